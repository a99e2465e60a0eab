// A click's answer from its winner: the box, and what is known of the peaks.
#ifndef TILEFIX_TILE_ATTENTION_ANSWER_H_
#define TILEFIX_TILE_ATTENTION_ANSWER_H_

#include "tile_attention_parts.h"

namespace tilefix {

__device__ inline float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

// The largest key of the block's threads, to all of them.
template <int kCount>
__device__ Key block_max(Key key, Key (&part)[kCount]) {
    key = warp_max(key);
    __syncthreads();  // part is free
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = key;
    __syncthreads();
    for (int w = 0; w < kCount; ++w) key = max(key, part[w]);
    return key;
}

// Whether a cell lies among the 5 x 5 around the peak.
__device__ __forceinline__ bool is_near(int cell, int peak, int columns) {
    int const down = abs(cell / columns - peak / columns);
    int const right = abs(cell % columns - peak % columns);
    return max(down, right) <= kRadius;
}

// The box's centre and the prior, averaged by their precisions; all in one fraction, so that no
// prior (inverse variance 0) needs no division by zero.
__device__ inline void blend(TileAttentionArguments const& a, size_t at, float area,
                             float (&centre)[2]) {
    float const inv_var = a.prior_inv_var[at];
    float const own = inv_var * (a.centre_var * area + a.floor_var_px2);
    float const trust = own / (1.f + inv_var * a.click_var * area + own);
    for (int i = 0; i < 2; ++i) centre[i] += trust * (a.prior_xy_px[2 * at + i] - centre[i]);
}

// Evaluates the winner's box, by a block of kCount warps, and writes all answers of a click but its
// map.
template <typename T, int kCount>
__device__ void write_answer(TileAttentionArguments const& a, size_t window, size_t at, Key best,
                             Key peak, Key second, float cosine, float gate,
                             float (&parts)[kCount][4]) {
    int const thread = threadIdx.x, warp = thread / 32, lane = thread % 32;
    int const cells = a.rows * a.columns;
    int const anchor = index_of(best) / cells, cell = index_of(best) % cells;
    T const* const u = static_cast<T const*>(a.u) + window * a.hidden * cells + cell;
    float t[4] = {};
    for (int c = thread; c < a.hidden; c += 32 * kCount) {
        float const* const channel = a.channels + size_t(c) * 3;
        float const x = fmaf(widen(u[size_t(c) * cells]), channel[0], channel[1]);
        float const hidden = leaky(fmaf(gate, x, channel[2]));
        for (int k = 0; k < 4; ++k)
            t[k] = fmaf(a.boxes[(size_t(anchor) * 4 + k) * a.hidden + c], hidden, t[k]);
    }
    for (int k = 0; k < 4; ++k) {
        float const total = warp_sum(t[k]);
        if (lane == 0) parts[warp][k] = total;
    }
    __syncthreads();
    if (thread != 0) return;
    float const* const row = a.anchors + 8 * anchor;
    for (int k = 0; k < 4; ++k) {
        t[k] = row[2 + k];
        for (int w = 0; w < kCount; ++w) t[k] += parts[w][k];
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

}  // namespace tilefix
#endif
