// What is kept of the ranks, which are float16's and decide nothing.
//
// Each warp keeps, of its 16 cells, the largest rank and which cells come near it; those that can
// win are evaluated again in float32 (tile_attention_exact.h), and one of these wins.
// "Near" is kMargin: at C = 64 to 256 and logits that spread by 1 the largest error of 36,864 ranks
// was seen to be 1/34 of it, about that of leaky in one piece.
#ifndef TILEFIX_TILE_ATTENTION_NEAR_H_
#define TILEFIX_TILE_ATTENTION_NEAR_H_

#include "tile_attention_tensor.h"

namespace tilefix {

constexpr float kMargin = 0.02f;    // relative to 1 + |rank|
constexpr float kNoAnchor = -1e29f;
constexpr float kBroken = 1e30f;    // beyond float16: then every cell is evaluated exactly

__device__ __forceinline__ int cell_of_bit(int bit) { return bit / 4 + bit % 4 * 8; }

// The least rank near a largest one. Rounded once, hence monotonic; beyond float16 all are near.
__device__ __forceinline__ float near_from(float top) {
    return top < INFINITY ? fmaf(top, top > 0.f ? 1.f - kMargin : 1.f + kMargin, -kMargin) : -INFINITY;
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
        if (!(fabsf(rank[i]) < INFINITY)) rank[i] = INFINITY;  // no rank: evaluated, whatever it is
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

// Ends `rank_clicks`: from the products' sums to shared memory.
template <int kCount>
__device__ __forceinline__ void keep_near(TileAttentionArguments const& a, TileShared& s,
                                          __half2 const (&gate)[kCount],
                                          float const (&sum)[kCount][2][4],
                                          float const (&line)[2][4], int click, int first_cell) {
    constexpr int kPadded = kCount < 4 ? 4 : kCount, kEach = kPadded / 4;
    int const warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
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
        if (g != 0 || mine >= kCount) continue;
        s.top[warp][click + mine] = __uint_as_float(near.x), s.near[warp][click + mine] = near.y;
    }
}

}  // namespace tilefix
#endif
