// The TileAttention kernels' inner parts by float32 arithmetic: any type, any number of channels.
//
// In a warp, lane = 4 slice + octet: eight lanes share eight cells and take every eighth channel.
#ifndef TILEFIX_TILE_ATTENTION_FLOAT_H_
#define TILEFIX_TILE_ATTENTION_FLOAT_H_

#include "tile_attention_parts.h"

namespace tilefix {

// S of up to kCount clicks in the block's cells, to shared memory.
template <typename T, int kCount>
__device__ void cosines(TileAttentionArguments const& a, Shared& s, T* tile, int first_click,
                        int first_cell) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    int const count = min(kCount, a.clicks - first_click), window = blockIdx.y;
    T const* const query =
        static_cast<T const*>(a.query) + (size_t(window) * a.clicks + first_click) * a.embedding;
    T const* const v = static_cast<T const*>(a.v) + size_t(window) * a.embedding * cells;
    bool const resident = a.embedding <= v_rows<T>;  // then staged before the first group, and kept
    float sum[kCount][8] = {}, squares[kCount] = {};
    for (int base = 0; base < a.embedding; base += v_rows<T>) {
        int const rows = min(v_rows<T>, a.embedding - base);
        __syncthreads();  // what was staged before has been read
        if (!resident) {
            stage_tile(tile, v + size_t(base) * cells, rows, cells, first_cell);
            close_copy_group();
        }
        for (int d = threadIdx.x; d < rows; d += kThreads) {
#pragma unroll
            for (int n = 0; n < kCount; ++n) {
                float const x =
                    n < count ? widen(query[size_t(n) * a.embedding + base + d]) : 0.f;
                s.cosine.query[d][n] = x;
                squares[n] += x * x;
            }
        }
        if (resident) {
            wait_for_copies<1>();  // u may still be on its way
        } else {
            wait_for_copies<0>();
        }
        __syncthreads();
        for (int d = warp * kSlices + lane / 4; d < rows; d += kWarps * kSlices) {
            float x[8];
            unpack(tile + tile_at<T>(d, lane % 4 * 8), x);
#pragma unroll
            for (int n = 0; n < kCount; ++n) {
                float const q = s.cosine.query[d][n];
#pragma unroll
                for (int i = 0; i < 8; ++i) sum[n][i] = fmaf(q, x[i], sum[n][i]);
            }
        }
    }
#pragma unroll
    for (int n = 0; n < kCount; ++n) {
        s.cosine.part[warp][n][cell_of_lane(lane)] = sum_slices(sum[n], lane);
        float const total = warp_sum(squares[n]);
        if (lane == 0) s.squares[warp][n] = total;
    }
    __syncthreads();
    if (warp < count) {  // a warp for a click, a lane for a cell
        float total = 0.f, square = 0.f;
        for (int w = 0; w < kWarps; ++w) {
            total += s.cosine.part[w][warp][lane];
            square += s.squares[w][warp];
        }
        s.similarity[first_click + warp][lane] = total / fmaxf(sqrtf(square), kLengthFloor);
    }
}

// Confidence sums of one click over some of `rows` channels in shared memory: of every `step`th from
// the lane's first on.
template <typename T>
__device__ __forceinline__ void add_channels(Shared const& s, T const* tile, int from, int rows,
                                             int step, float const (&gate)[8],
                                             float (&sum)[kAnchors][8]) {
#pragma unroll 1
    for (int c = from; c < rows; c += step) {
        float x[8];
        unpack(tile + tile_at<T>(c, threadIdx.x % 4 * 8), x);
        Weights const& w = s.head.weights[c];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            x[i] = leaky(fmaf(gate[i], fmaf(x[i], w.scale, w.shift), w.bias));
#pragma unroll
            for (int k = 0; k < kAnchors; ++k) sum[k][i] = fmaf(w.confidence[k], x[i], sum[k][i]);
        }
    }
}

// The winner of each click among the block's cells and all anchors.
template <typename T>
__device__ void head(TileAttentionArguments const& a, Workspace const& work, Shared& s, T* tile,
                     int first_cell) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    size_t const window = blockIdx.y;
    T const* const u = static_cast<T const*>(a.u) + window * a.hidden * cells;
    bool const resident = a.hidden <= u_rows<T>;
    for (int first = 0, together; first < a.clicks; first += together) {
        for (together = kGroup; together > a.clicks - first; together /= 2) {
        }
        int const mine = warp % together, split = warp / together;  // click; share of the channels
        int const slices = kWarps / together * kSlices, click = first + mine;
        float gate[8], sum[kAnchors][8] = {};
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            float const stretched =
                (s.similarity[click][lane % 4 * 8 + i] - s.low[click]) * s.inverse[click];
            gate[i] = fmaf(a.gate_slope, stretched, a.gate_offset);
        }
        for (int base = 0; base < a.hidden; base += u_rows<T>) {
            int const rows = min(u_rows<T>, a.hidden - base);
            __syncthreads();  // what was staged before has been read
            if (!resident) {
                stage_tile(tile, u + size_t(base) * cells, rows, cells, first_cell);
                close_copy_group();
            }
            if (!resident || first == 0) {
#pragma unroll 1
                for (int c = threadIdx.x; c < rows; c += kThreads)
                    stage_weights(a, s.head.weights[c], base + c);
            }
            wait_for_copies<0>();
            __syncthreads();
            add_channels(s, tile, split * kSlices + lane / 4, rows, slices, gate,
                         sum);
        }
#pragma unroll
        for (int k = 0; k < kAnchors; ++k)
            s.head.part[warp][k][cell_of_lane(lane)] = sum_slices(sum[k], lane);
        __syncthreads();
        if (warp < together) {
            int const cell = first_cell + lane;
            size_t const at = window * a.clicks + click;
            Key best = 0;
            if (cell < cells) {
                float const prior = log_prior(a, at, cell), cosine = s.similarity[click][lane];
                for (int k = 0; k < a.anchor_count; ++k) {
                    float logit = 0.f;
                    for (int w = warp; w < kWarps; w += together) logit += s.head.part[w][k][lane];
                    logit += a.anchors[8 * k] + a.anchors[8 * k + 1] * cosine + prior;
                    best = max(best, key_of(logit, unsigned(k) * cells + cell));
                }
            }
            best = warp_max(best);
            if (lane == 0) work.best[at * gridDim.x + blockIdx.x] = best;
        }
    }
}

}  // namespace tilefix
#endif
