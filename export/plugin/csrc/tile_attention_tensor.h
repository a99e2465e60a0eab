// The TileAttention kernels' inner parts for float16 on tensor cores.
//
// S loses nothing: queries and v are float16 as stored, products are exact, sums are float32. The
// head would: its hidden layer is rounded to float16. So here it only ranks a block's cells; those
// whose rank comes near the best are evaluated again in float32, and one of these wins. "Near" is
// kMargin, some twenty times the error that the rounding of 256 channels makes.
#ifndef TILEFIX_TILE_ATTENTION_TENSOR_H_
#define TILEFIX_TILE_ATTENTION_TENSOR_H_

#include "tile_attention_parts.h"

namespace tilefix {

// S of up to 16 clicks in the block's cells, to shared memory. embedding is a multiple of 16.
__device__ inline void tensor_cosines(TileAttentionArguments const& a, Shared& s, __half* tile,
                                      int first_click, int first_cell) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int const cells = a.rows * a.columns, count = min(kRankGroup, a.clicks - first_click);
    size_t const window = blockIdx.y;
    __half const* const query = static_cast<__half const*>(a.query) +
                                (window * a.clicks + first_click) * a.embedding;
    __half const* const v = static_cast<__half const*>(a.v) + window * a.embedding * cells;
    bool const resident = a.embedding <= kVRows;
    float sum[4][4] = {}, squares[2] = {};
    for (int base = 0; base < a.embedding; base += kVRows) {
        int const rows = min(kVRows, a.embedding - base);
        __syncthreads();  // what was staged before has been read
        if (resident) {
            wait_for_copies<1>();  // u may still be on its way
        } else {
            stage_tile(tile, v + size_t(base) * cells, rows, cells, first_cell);
            close_copy_group();
            wait_for_copies<0>();
        }
        __syncthreads();
        for (int step = warp; step * 16 < rows; step += kWarps) {
            unsigned q[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                int const row = g + i % 2 * 8, d = base + step * 16 + i / 2 * 8 + 2 * t;
                q[i] = row < count ? *reinterpret_cast<unsigned const*>(
                                         query + size_t(row) * a.embedding + d)
                                   : 0u;
                float2 const x = __half22float2(pair_of(q[i]));
                squares[i % 2] += x.x * x.x + x.y * x.y;
            }
#pragma unroll
            for (int two = 0; two < 2; ++two) {
                unsigned b[4];
                int const row = step * 16 + lane % 16, cell = (2 * two + lane / 16) * 8;
                load_transposed(b, tile + tile_at<__half>(row, cell));
                multiply(sum[2 * two], q, b[0], b[1]);
                multiply(sum[2 * two + 1], q, b[2], b[3]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
            s.ranking.cosine_part[warp][g + j / 2 * 8][i * 8 + 2 * t + j % 2] = sum[i][j];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        squares[i] += __shfl_xor_sync(~0u, squares[i], 1);
        squares[i] += __shfl_xor_sync(~0u, squares[i], 2);
        if (t == 0) s.squares[warp][g + i * 8] = squares[i];
    }
    __syncthreads();
    for (int n = warp; n < count; n += kWarps) {  // a warp for a click, a lane for a cell
        float total = 0.f, square = 0.f;
        for (int w = 0; w < kWarps; ++w) {
            total += s.ranking.cosine_part[w][n][lane];
            square += s.squares[w][n];
        }
        s.similarity[first_click + n][lane] = total / fmaxf(sqrtf(square), kLengthFloor);
    }
}

// Weights once in float32, once as fragments: anchors are rows, channels columns.
__device__ inline void stage_ranking(TileAttentionArguments const& a, Ranking& r) {
    for (int c = threadIdx.x; c < a.hidden; c += kThreads) stage_weights(a, r.weights[c], c);
    __syncthreads();
    for (int i = threadIdx.x; i < a.hidden / 2; i += kThreads) {
        Weights const &x = r.weights[2 * i], &y = r.weights[2 * i + 1];
        r.affine[i].scale = __floats2half2_rn(x.scale, y.scale);
        r.affine[i].shift = __floats2half2_rn(x.shift, y.shift);
        r.affine[i].bias = __floats2half2_rn(x.bias, y.bias);
    }
    for (int i = threadIdx.x; i < a.hidden / 16 * 32; i += kThreads) {
        int const g = i % 32 / 4, t = i % 4;
        unsigned words[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int const anchor = g + j % 2 * 8, c = i / 32 * 16 + j / 2 * 8 + 2 * t;
            bool const there = anchor < kAnchors;
            words[j] = word_of(__floats2half2_rn(there ? r.weights[c].confidence[anchor] : 0.f,
                                                 there ? r.weights[c + 1].confidence[anchor] : 0.f));
        }
        r.fragment[i] = uint4{words[0], words[1], words[2], words[3]};
    }
}

// Exact logits of one click in one cell, by a whole warp; the best of them.
__device__ inline Key exact_best(TileAttentionArguments const& a, Shared const& s,
                                 __half const* tile, int click, int cell, int first_cell) {
    int const lane = threadIdx.x % 32;
    float const cosine = s.similarity[click][cell];
    float const gate =
        fmaf(a.gate_slope, (cosine - s.low[click]) * s.inverse[click], a.gate_offset);
    float sum[kAnchors] = {};
    for (int c = lane; c < a.hidden; c += 32) {
        Weights const& w = s.ranking.weights[c];
        float const x = fmaf(widen(tile[tile_at<__half>(c, cell)]), w.scale, w.shift);
        float const h = leaky(fmaf(gate, x, w.bias));
#pragma unroll
        for (int k = 0; k < kAnchors; ++k) sum[k] = fmaf(w.confidence[k], h, sum[k]);
    }
    size_t const at = size_t(blockIdx.y) * a.clicks + click;
    float const prior = log_prior(a, at, first_cell + cell);
    unsigned const cells = a.rows * a.columns;
    Key best = 0;
#pragma unroll
    for (int k = 0; k < kAnchors; ++k) {
        float const logit = warp_sum(sum[k]);
        if (k < a.anchor_count)
            best = max(best, key_of(logit + a.anchors[8 * k] + a.anchors[8 * k + 1] * cosine + prior,
                                    k * cells + first_cell + cell));
    }
    return best;
}

// The winner of each click among the block's cells, after `stage_ranking`. hidden is a multiple of
// 16, at most kURows.
__device__ inline void tensor_head(TileAttentionArguments const& a, Workspace const& work, Shared& s,
                                   __half* tile, int first_cell) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int const cells = a.rows * a.columns, octet = warp % 4, share = warp / 4;
    int const steps = a.hidden / 16;
    size_t const window = blockIdx.y;
    Ranking& r = s.ranking;
    wait_for_copies<0>();
    __syncthreads();
    __half2 const leak = __floats2half2_rn(kLeak, kLeak);
    for (int first = 0; first < a.clicks; first += kGroup) {
        int const together = min(kGroup, a.clicks - first);
        // Each warp takes eight cells and every second pair of steps, 16 channels each.
        __half2 gate[kGroup];
        float sum[kGroup][4] = {};
#pragma unroll
        for (int n = 0; n < kGroup; ++n) {
            int const click = min(first + n, a.clicks - 1);
            float const stretched =
                (s.similarity[click][octet * 8 + g] - s.low[click]) * s.inverse[click];
            gate[n] = __half2half2(__float2half(fmaf(a.gate_slope, stretched, a.gate_offset)));
        }
        for (int base = 2 * share; base < steps; base += 4) {
            unsigned words[4];
            int const row = min(base + lane / 16, steps - 1) * 16 + lane % 16;
            load_transposed(words, tile + tile_at<__half>(row, octet * 8));
#pragma unroll
            for (int next = 0; next < 2; ++next) {
                int const step = base + next;
                if (step >= steps) break;
                Affine const low = r.affine[step * 8 + t], high = r.affine[step * 8 + 4 + t];
                uint4 const packed = r.fragment[step * 32 + lane];
                unsigned const weights[4] = {packed.x, packed.y, packed.z, packed.w};
                __half2 const x = __hfma2(pair_of(words[2 * next]), low.scale, low.shift);
                __half2 const y = __hfma2(pair_of(words[2 * next + 1]), high.scale, high.shift);
#pragma unroll
                for (int n = 0; n < kGroup; ++n) {
                    if (n >= together) break;
                    __half2 h0 = __hfma2(gate[n], x, low.bias);
                    __half2 h1 = __hfma2(gate[n], y, high.bias);
                    h0 = __hmax2(h0, __hmul2(h0, leak));
                    h1 = __hmax2(h1, __hmul2(h1, leak));
                    multiply(sum[n], weights, word_of(h0), word_of(h1));
                }
            }
        }
        if (share == 1) {
#pragma unroll
            for (int n = 0; n < kGroup; ++n) {
                r.part[n][octet][lane] = float2{sum[n][0], sum[n][1]};
                if (g == 0) r.ninth[n][octet][t] = float2{sum[n][2], sum[n][3]};
            }
        }
        __syncthreads();
        if (share == 0) {
            float const inf = INFINITY;
#pragma unroll
            for (int n = 0; n < kGroup; ++n) {
                if (n >= together) break;
                float2 const other = r.part[n][octet][lane];
                float2 const ninth = r.ninth[n][octet][t];
                float const eight[2] = {sum[n][0] + other.x, sum[n][1] + other.y};
                float const last[2] = {sum[n][2] + ninth.x, sum[n][3] + ninth.y};
#pragma unroll
                for (int j = 0; j < 2; ++j) {
                    int const cell = octet * 8 + 2 * t + j;
                    float const cosine = s.similarity[first + n][cell];
                    float rank = -inf;
                    bool broken = false;  // beyond float16: then every cell is evaluated exactly
                    if (g < a.anchor_count) {
                        rank = eight[j] + a.anchors[8 * g] + a.anchors[8 * g + 1] * cosine;
                        broken = !(fabsf(rank) < 1e30f);
                    }
                    if (g == 0 && a.anchor_count == kAnchors) {
                        float const value = last[j] + a.anchors[64] + a.anchors[65] * cosine;
                        broken = broken || !(fabsf(value) < 1e30f);
                        rank = fmaxf(rank, value);
                    }
                    if (broken) rank = inf;
#pragma unroll
                    for (int step = 4; step < 32; step *= 2)
                        rank = fmaxf(rank, __shfl_xor_sync(~0u, rank, step));
                    if (g == 0) r.rank[n][cell] = rank;
                }
            }
        }
        __syncthreads();
        if (warp < together) {
            int const click = first + warp;
            size_t const at = window * a.clicks + click;
            bool const inside = first_cell + lane < cells;
            float const mine =
                inside ? r.rank[warp][lane] + log_prior(a, at, first_cell + lane) : -INFINITY;
            float const top = warp_max(mine);
            bool const near = inside && !(mine < top - kMargin * (1.f + fabsf(top)));
            Key best = 0;
            for (unsigned left = __ballot_sync(~0u, near); left; left &= left - 1)
                best = max(best, exact_best(a, s, tile, click, __ffs(left) - 1, first_cell));
            if (lane == 0) work.best[at * gridDim.x + blockIdx.x] = best;
        }
    }
}

}  // namespace tilefix
#endif
