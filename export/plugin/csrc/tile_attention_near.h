// What is kept of the ranks, which are float16's and decide nothing.
//
// Each warp keeps, of its 16 cells, the largest rank and which cells come near it; those near the
// window's largest are evaluated again in float32 (tile_attention_winner.h), and one of these wins.
// "Near" is kMargin: at C = 64 to 256 and logits that spread by 1 the largest error of 36,864 ranks
// was seen to be 1/34 of it, about that of leaky in one piece.
#ifndef TILEFIX_TILE_ATTENTION_NEAR_H_
#define TILEFIX_TILE_ATTENTION_NEAR_H_

#include "tile_attention_tensor.h"

namespace tilefix {

constexpr float kMargin = 0.02f;    // relative to 1 + |rank|
constexpr int kMany = 4;            // near cells of a warp's 16 that it leaves to the answer
constexpr float kNoAnchor = -1e29f;
constexpr float kBroken = 1e30f;    // beyond float16: then every cell is evaluated exactly

__device__ __forceinline__ int cell_of_bit(int bit) { return bit / 4 + bit % 4 * 8; }

__device__ __forceinline__ float near_from(float top) { return top - kMargin * (1.f + fabsf(top)); }

// Exact logits of a click in one cell, by a whole warp; the best of them. u is the window's.
__device__ inline Key exact_best(TileAttentionArguments const& a, __half const* u, size_t at,
                                 int cell, float cosine, float gate) {
    int const lane = threadIdx.x % 32;
    size_t const cells = size_t(a.rows) * a.columns;
    float sum[kAnchors] = {};
#pragma unroll 2
    for (int c = lane; c < a.hidden; c += 32) {
        float const* const channel = a.channels + size_t(c) * 3;
        float const x = fmaf(widen(u[c * cells + cell]), channel[0], channel[1]);
        float const h = leaky(fmaf(gate, x, channel[2]));
#pragma unroll
        for (int k = 0; k < kAnchors; ++k)
            if (k < a.anchor_count) sum[k] = fmaf(a.confidence[size_t(k) * a.hidden + c], h, sum[k]);
    }
    float const prior = log_prior(a, at, cell);
    Key best = 0;
#pragma unroll
    for (int k = 0; k < kAnchors; ++k) {
        float const logit = warp_sum(sum[k]);
        if (k < a.anchor_count)
            best = max(best, key_of(logit + a.anchors[8 * k] + a.anchors[8 * k + 1] * cosine + prior,
                                    unsigned(k * cells) + cell));
    }
    return best;
}

// A cell's largest rank over a lane's anchors: 2 t, 2 t + 1 and, at t = 0, the ninth. sum has the
// bent part and the constant one, line the straight one.
__device__ __forceinline__ float rank_of(float gate, float cosine, float const (&sum)[3],
                                         float const (&line)[3], float const (&tau)[3]) {
    float value[3];
#pragma unroll
    for (int i = 0; i < 3; ++i) value[i] = fmaf(gate, line[i], fmaf(tau[i], cosine, sum[i]));
    bool const fine = fabsf(value[0]) + fabsf(value[1]) + fabsf(value[2]) < kBroken;
    return fine ? fmaxf(fmaxf(value[0], value[1]), value[2]) : INFINITY;
}

// From a lane's ranks of kCount clicks in cells g and g + 8 the largest of its four lanes; lane t is
// left with clicks t kCount / 4 and on, in front.
template <int kCount>
__device__ __forceinline__ void share_out(float (&rank)[kCount][2]) {
    int const t = threadIdx.x % 4;
#pragma unroll
    for (int half = kCount / 2, step = 2; step; half /= 2, step /= 2)
#pragma unroll
        for (int n = 0; n < half; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                bool const upper = t & step;
                float const sent = upper ? rank[n][i] : rank[n + half][i];
                float const kept = upper ? rank[n + half][i] : rank[n][i];
                rank[n][i] = fmaxf(kept, __shfl_xor_sync(~0u, sent, step));
            }
}

// The largest rank of a warp's cells for each lane's click, and the cells near it: bit 4 g + i is
// cell g + 8 i.
__device__ __forceinline__ uint2 near_cells(TileAttentionArguments const& a, TileShared const& s,
                                            int click, int first_cell, float const (&x_px)[2],
                                            float const (&y_px)[2], float (&rank)[2]) {
    int const g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    auto const& on = s.click[click];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float const dx = x_px[i] - on.x_px, dy = y_px[i] - on.y_px;
        rank[i] -= 0.5f * on.blurred * (dx * dx + dy * dy);
        if (first_cell + g + 8 * i >= a.rows * a.columns) rank[i] = -INFINITY;
    }
    float top = fmaxf(rank[0], rank[1]);
#pragma unroll
    for (int step = 4; step < 32; step *= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, step));
    float const from = near_from(top);
    unsigned mask = 0;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        unsigned const all = __ballot_sync(~0u, rank[i] > -INFINITY && !(rank[i] < from));
        mask |= (all >> t & 0x11111111u) << i;
    }
    return uint2{__float_as_uint(top), mask};
}

// Ends `rank_clicks`: from the products' sums to the workspace.
template <int kCount>
__device__ __forceinline__ void keep_near(TileAttentionArguments const& a, TileWorkspace const& work,
                                          TileShared& s, __half2 const (&gate)[kCount],
                                          float const (&sum)[kCount][2][4],
                                          float const (&line)[2][4], int window, int click, int tile,
                                          int tiles) {
    constexpr int kPadded = kCount < 4 ? 4 : kCount, kEach = kPadded / 4;
    int const warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int const first_cell = tile * kTile + warp * kRows;
    float const tau[3] = {s.anchor[2 * t].y, s.anchor[2 * t + 1].y, s.anchor[8 + 2 * t].y};
    float rank[kPadded][2], x_px[2], y_px[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        int const cell = first_cell + g + 8 * i;
        x_px[i] = (float(cell % a.columns) + 0.5f) * a.stride_px;
        y_px[i] = (float(cell / a.columns) + 0.5f) * a.stride_px;
        float const bend = kLeak / kBent;
        float const lines[3] = {bend * line[0][2 * i], bend * line[0][2 * i + 1],
                                bend * line[1][2 * i]};
#pragma unroll
        for (int n = 0; n < kPadded; ++n) {
            rank[n][i] = -INFINITY;
            if (n >= kCount) continue;
            float2 const gates = __half22float2(gate[n]);
            float const sums[3] = {sum[n][0][2 * i], sum[n][0][2 * i + 1], sum[n][1][2 * i]};
            rank[n][i] = rank_of(i ? gates.y : gates.x, s.similarity[warp][n][g + 8 * i], sums, lines,
                                 tau);
        }
    }
    share_out<kPadded>(rank);
#pragma unroll
    for (int n = 0; n < kEach; ++n) {
        int const mine = t * kEach + n, last = click + kCount - 1;
        uint2 const near =
            near_cells(a, s, min(click + mine, last), first_cell, x_px, y_px, rank[n]);
        size_t const at = size_t(window) * a.clicks + click + mine;
        if (g != 0 || mine >= kCount) continue;
        work.near[(at * tiles + tile) * kTileWarps + warp] = near;
        s.near[warp][click + mine] = near.y;
    }
}

// Where many of a warp's cells are near, as on a flat map, finds the one among them that can win, so
// that the answer has few left.
__device__ inline void thin_out(TileAttentionArguments const& a, TileWorkspace const& work,
                                TileShared& s, int window, int tile, int tiles) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    int const first_cell = tile * kTile + warp * kRows;
    auto const* const u = static_cast<__half const*>(a.u) + size_t(window) * a.hidden * cells;
    __syncwarp();
    for (int base = 0; base < a.clicks; base += 32) {
        bool const many = base + lane < a.clicks && __popc(s.near[warp][base + lane]) > kMany;
        for (unsigned left = __ballot_sync(~0u, many); left; left &= left - 1) {
            int const click = base + __ffs(left) - 1;
            size_t const at = size_t(window) * a.clicks + click;
            Key best = 0;
            for (unsigned mask = s.near[warp][click]; mask; mask &= mask - 1) {
                int const cell = first_cell + cell_of_bit(__ffs(mask) - 1);
                float const cosine = __ldcg(&work.similarity[at * cells + cell]);
                float const stretched = (cosine - s.click[click].low) * s.click[click].inverse;
                float const gate = fmaf(a.gate_slope, stretched, a.gate_offset);
                best = max(best, exact_best(a, u, at, cell, cosine, gate));
            }
            int const cell = int(index_of(best) % unsigned(cells)) - first_cell;
            if (lane == 0)
                work.near[(at * tiles + tile) * kTileWarps + warp].y = 1u << (cell % 8 * 4 + cell / 8);
        }
    }
}

}  // namespace tilefix
#endif
