// The last TileAttention kernel, included by tile_attention.cu inside its namespaces.

__device__ float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// The largest key of the block's threads, to all of them.
__device__ Key block_max(Key key, Key (&part)[kWarps]) {
    key = warp_max(key);
    __syncthreads();  // part is free
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = key;
    __syncthreads();
    for (int w = 0; w < kWarps; ++w) key = max(key, part[w]);
    return key;
}

// The box's centre and the prior, averaged by their precisions; all in one fraction, so that no
// prior (inverse variance 0) needs no division by zero.
__device__ void blend(TileAttentionArguments const& a, size_t at, float area, float (&centre)[2]) {
    float const inv_var = a.prior_inv_var[at];
    float const own = inv_var * (a.centre_var * area + a.floor_var_px2);
    float const trust = own / (1.f + inv_var * a.click_var * area + own);
    for (int i = 0; i < 2; ++i) centre[i] += trust * (a.prior_xy_px[2 * at + i] - centre[i]);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) answer(TileAttentionArguments a, Workspace work,
                                                   int blocks) {
    TILEFIX_STATIC_SHARED(Answer, s);
    int const thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    int const cells = a.rows * a.columns;
    size_t const window = blockIdx.y, at = window * a.clicks + blockIdx.x;
    float const* const similarity = work.similarity + at * cells;

    Key best = 0, peak = 0;
    float low = INFINITY;
    for (int i = thread; i < blocks; i += kThreads) best = max(best, work.best[at * blocks + i]);
    for (int i = thread; i < cells; i += kThreads) {
        peak = max(peak, key_of(similarity[i], i));
        low = fminf(low, similarity[i]);
    }
    best = block_max(best, s.keys);
    peak = block_max(peak, s.keys);
    low = value_of(~block_max(~key_of(low, ~0u), s.keys));  // ~ turns the order round
    float inverse = 1.f;
    if (a.min_max) {
        inverse = inverse_range(low, value_of(peak));
    } else {
        low = 0.f;
    }

    int const peak_row = index_of(peak) / a.columns, peak_column = index_of(peak) % a.columns;
    Key second = key_of(-1.f, ~0u);
    for (int i = thread; i < cells; i += kThreads) {
        int const down = abs(i / a.columns - peak_row), right = abs(i % a.columns - peak_column);
        if (max(down, right) > kRadius) second = max(second, key_of(similarity[i], i));
        if (a.attention)
            a.attention[at * cells + i] = a.min_max ? (similarity[i] - low) * inverse : similarity[i];
    }
    second = block_max(second, s.keys);

    int const anchor = index_of(best) / cells, cell = index_of(best) % cells;
    float const cosine = similarity[cell];
    float const gate = fmaf(a.gate_slope, (cosine - low) * inverse, a.gate_offset);
    T const* const u = static_cast<T const*>(a.u) + window * a.hidden * cells + cell;
    float t[4] = {};
    for (int c = thread; c < a.hidden; c += kThreads) {
        float const* const channel = a.channels + size_t(c) * 3;
        float const x = fmaf(widen(u[size_t(c) * cells]), channel[0], channel[1]);
        float const hidden = leaky(fmaf(gate, x, channel[2]));
        for (int k = 0; k < 4; ++k)
            t[k] = fmaf(a.boxes[(size_t(anchor) * 4 + k) * a.hidden + c], hidden, t[k]);
    }
    for (int k = 0; k < 4; ++k) {
        float const total = warp_sum(t[k]);
        if (lane == 0) s.parts[warp][k] = total;
    }
    __syncthreads();
    if (thread != 0) return;
    float const* const row = a.anchors + 8 * anchor;
    for (int k = 0; k < 4; ++k) {
        t[k] = row[2 + k];
        for (int w = 0; w < kWarps; ++w) t[k] += s.parts[w][k];
    }
    float centre[2] = {(sigmoid(t[0]) + float(cell % a.columns)) * a.stride_px,
                       (sigmoid(t[1]) + float(cell / a.columns)) * a.stride_px};
    float side[2];
    for (int i = 0; i < 2; ++i)
        side[i] = expf(fminf(fmaxf(t[2 + i], -a.log_size_limit), a.log_size_limit)) * row[6 + i];
    blend(a, at, side[0] * side[1], centre);
    for (int i = 0; i < 2; ++i) {
        a.box_xyxy_px[4 * at + i] = centre[i] - 0.5f * side[i];
        a.box_xyxy_px[4 * at + 2 + i] = centre[i] + 0.5f * side[i];
    }
    a.confidence_logit[at] = value_of(best);
    a.peak_similarity[at] = value_of(peak);
    a.second_peak_similarity[at] = value_of(second);
    a.cell_similarity[at] = cosine;
}
