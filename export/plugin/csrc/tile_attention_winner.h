// The answer of one click after the ranks: its exact winner, its peaks and its box.
#ifndef TILEFIX_TILE_ATTENTION_WINNER_H_
#define TILEFIX_TILE_ATTENTION_WINNER_H_

#include "tile_attention_answer.h"
#include "tile_attention_exact.h"

namespace tilefix {

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

// The best logit of a thread's share of the tiles whose largest rank comes near the window's.
__device__ inline Key best_of_tiles(TileWorkspace const& work, size_t at, int tiles, float from) {
    Key best = 0;
#pragma unroll 2
    for (int i = threadIdx.x; i < tiles; i += kTileThreads) {
        Key const own = __ldcg(&work.exact[at * tiles + i]);
        if (!(__ldcg(&work.top[at * tiles + i]) < from)) best = max(best, own);
    }
    return best;
}

__device__ inline void answer_click(TileAttentionArguments const& a, TileWorkspace const& work,
                                    TileShared& s, int window, int click, int tiles) {
    int const cells = a.rows * a.columns;
    size_t const at = size_t(window) * a.clicks + click;
    float top = -INFINITY, low = 0.f, inverse = 1.f;
    Key peak = 0;
#pragma unroll 2
    for (int i = threadIdx.x; i < tiles; i += kTileThreads) {
        float const own = __ldcg(&work.top[at * tiles + i]);
        peak = max(peak, __ldcg(&work.peak[at * tiles + i]));
        if (own < INFINITY) top = fmaxf(top, own);  // beyond float16: no rank
    }
    if (a.min_max) {
        uint2 const range = __ldcg(&work.range[at]);
        low = value_of_order(~range.y), inverse = inverse_range(low, value_of_order(range.x));
    }
    top = value_of(block_max(key_of(top, 0), s.keys));
    peak = block_max(peak, s.keys);
    Key best = best_of_tiles(work, at, tiles, near_from(top));
    Key second = second_of_tiles(a, work, at, tiles, index_of(peak));
    best = block_max(best, s.keys);
    second = block_max(second, s.keys);
    float const cosine = __ldcg(&work.similarity[at * cells + index_of(best) % unsigned(cells)]);
    float const gate = exact_gate(a, low, inverse, cosine);
    write_answer<__half>(a, window, at, best, peak, second, cosine, gate, s.parts);
}

}  // namespace tilefix
#endif
