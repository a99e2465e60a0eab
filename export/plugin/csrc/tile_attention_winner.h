// The answer of one click after the ranks: its exact winner, its peaks and its box.
#ifndef TILEFIX_TILE_ATTENTION_WINNER_H_
#define TILEFIX_TILE_ATTENTION_WINNER_H_

#include "tile_attention_answer.h"
#include "tile_attention_ranks.h"

namespace tilefix {

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
                int const cell = group * kRows + cell_of_bit(__ffs(mask) - 1);
                float const cosine = __ldcg(&work.similarity[at * cells + cell]);
                float const gate = fmaf(a.gate_slope, (cosine - low) * inverse, a.gate_offset);
                best = max(best, exact_best(a, u, at, cell, cosine, gate));
            }
        }
    }
    return best;
}

// The largest S that a thread finds outside the 5 x 5 cells around the peak: a tile's own peak where
// that lies outside, and all cells of the tiles that may have theirs inside.
__device__ inline Key second_of_tiles(TileAttentionArguments const& a, TileWorkspace const& work,
                                      size_t at, int tiles, int peak) {
    int const cells = a.rows * a.columns, row = peak / a.columns;
    Key second = key_of(-1.f, ~0u);
    for (int i = threadIdx.x; i < tiles; i += kTileThreads) {
        Key const own = __ldcg(&work.peak[at * tiles + i]);
        if (!is_near(index_of(own), peak, a.columns)) second = max(second, own);
    }
    int const first = max(row - kRadius, 0) * a.columns / kTile * kTile;
    int const last = (min(row + kRadius + 1, a.rows) * a.columns + kTile - 1) / kTile * kTile;
#pragma unroll 4
    for (int i = first + threadIdx.x; i < min(last, cells); i += kTileThreads) {
        float const cosine = __ldcg(&work.similarity[at * cells + i]);
        if (!is_near(i, peak, a.columns)) second = max(second, key_of(cosine, i));
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
    Key second = second_of_tiles(a, work, at, tiles, index_of(peak));
    Key best = best_of_near(a, work, at, window, groups, near_from(top), low, inverse);
    best = block_max(best, s.keys);
    second = block_max(second, s.keys);
    float const cosine = __ldcg(&work.similarity[at * cells + index_of(best) % unsigned(cells)]);
    float const gate = fmaf(a.gate_slope, (cosine - low) * inverse, a.gate_offset);
    write_answer<__half>(a, window, at, best, peak, second, cosine, gate, s.parts);
}

}  // namespace tilefix
#endif
