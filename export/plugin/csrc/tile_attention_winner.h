// The answer of one click after the ranks: its exact winner, its peaks and its box.
#ifndef TILEFIX_TILE_ATTENTION_WINNER_H_
#define TILEFIX_TILE_ATTENTION_WINNER_H_

#include "tile_attention_answer.h"
#include "tile_attention_ranks.h"

namespace tilefix {

// Exact logits of a click in one cell, by a whole warp; the best of them.
__device__ inline Key exact_best(TileAttentionArguments const& a, __half const* u, size_t at,
                                 int cell, float cosine, float gate) {
    int const lane = threadIdx.x % 32;
    size_t const cells = size_t(a.rows) * a.columns;
    float sum[kAnchors] = {};
#pragma unroll 4
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

// The best of a warp's share of the cells whose rank comes near the window's largest.
__device__ inline Key best_of_near(TileAttentionArguments const& a, TileWorkspace const& work,
                                   size_t at, int window, int groups, float from, float low,
                                   float inverse) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    __half const* const u = static_cast<__half const*>(a.u) + size_t(window) * a.hidden * cells;
    Key best = 0;
    for (int base = warp * 32; base < groups; base += kTileThreads) {
        uint2 near = {0, 0};
        if (base + lane < groups) near = __ldcg(&work.near[at * groups + base + lane]);
        bool const chosen = near.y && !(__uint_as_float(near.x) < from);
        for (unsigned left = __ballot_sync(~0u, chosen); left; left &= left - 1) {
            int const group = base + __ffs(left) - 1;
            unsigned mask = __shfl_sync(~0u, near.y, group - base);
            for (; mask; mask &= mask - 1) {
                int const bit = __ffs(mask) - 1, cell = group * kRows + bit / 4 + bit % 4 * 8;
                float const cosine = __ldcg(&work.similarity[at * cells + cell]);
                float const gate = fmaf(a.gate_slope, (cosine - low) * inverse, a.gate_offset);
                best = max(best, exact_best(a, u, at, cell, cosine, gate));
            }
        }
    }
    return best;
}

// The largest S outside the 5 x 5 cells around the peak, of a warp's share of the tiles: a tile's own
// peak where it lies outside, all of its cells where it does not.
__device__ inline Key second_of_tiles(TileAttentionArguments const& a, TileWorkspace const& work,
                                      size_t at, int tiles, int peak) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    Key second = key_of(-1.f, ~0u);
    for (int base = warp * 32; base < tiles; base += kTileThreads) {
        bool again = false;
        if (base + lane < tiles) {
            Key const own = __ldcg(&work.peak[at * tiles + base + lane]);
            again = is_near(index_of(own), peak, a.columns);
            if (!again) second = max(second, own);
        }
        for (unsigned left = __ballot_sync(~0u, again); left; left &= left - 1) {
#pragma unroll
            for (int i = 0; i < kTile / 32; ++i) {
                int const cell = (base + __ffs(left) - 1) * kTile + lane + 32 * i;
                if (cell < cells && !is_near(cell, peak, a.columns))
                    second = max(second, key_of(__ldcg(&work.similarity[at * cells + cell]), cell));
            }
        }
    }
    return second;
}

__device__ inline void answer_click(TileAttentionArguments const& a, TileWorkspace const& work,
                                    TileShared& s, int window, int click, int tiles) {
    int const groups = tiles * kTileWarps, cells = a.rows * a.columns;
    size_t const at = size_t(window) * a.clicks + click;
    float top = -INFINITY, low = 0.f, inverse = 1.f;
    for (int i = threadIdx.x; i < groups; i += kTileThreads)
        top = fmaxf(top, __uint_as_float(__ldcg(&work.near[at * groups + i].x)));
    Key peak = 0;
    for (int i = threadIdx.x; i < tiles; i += kTileThreads)
        peak = max(peak, __ldcg(&work.peak[at * tiles + i]));
    if (a.min_max) {
        uint2 const range = __ldcg(&work.range[at]);
        low = value_of_order(~range.y), inverse = inverse_range(low, value_of_order(range.x));
    }
    top = value_of(block_max(key_of(top, 0), s.keys));
    peak = block_max(peak, s.keys);
    Key best = best_of_near(a, work, at, window, groups, near_from(top), low, inverse);
    Key second = second_of_tiles(a, work, at, tiles, index_of(peak));
    best = block_max(best, s.keys);
    second = block_max(second, s.keys);
    float const cosine = __ldcg(&work.similarity[at * cells + index_of(best) % unsigned(cells)]);
    float const gate = fmaf(a.gate_slope, (cosine - low) * inverse, a.gate_offset);
    write_answer<__half>(a, window, at, best, peak, second, cosine, gate, s.parts);
}

}  // namespace tilefix
#endif
