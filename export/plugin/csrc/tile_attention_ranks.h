// The head on tensor cores: a rank of each cell of a tile for each click (tile_attention_near.h).
//
// W leaky(z) is kLeak W z + kBent W max(z, 0). The second part costs an instruction per click, cell
// and two channels, and the products with anchors 0..7 and the ninth; the first is linear in the
// gate, and W x is summed once for eight clicks.
#ifndef TILEFIX_TILE_ATTENTION_RANKS_H_
#define TILEFIX_TILE_ATTENTION_RANKS_H_

#include "tile_attention_near.h"

namespace tilefix {

// What the ranks of a tile need of the clicks and anchors, once the range of S is complete: by the
// last threads, which have nothing else to wait for.
__device__ inline void stage_clicks(TileAttentionArguments const& a, TileWorkspace const& work,
                                    TileShared& s, int window, unsigned shares) {
    int const i = threadIdx.x, n = kTileThreads - 1 - i;
    if (n < a.clicks) {
        size_t const at = size_t(window) * a.clicks + n;
        float const weight = prior_weight(a, at), x_px = a.prior_xy_px[2 * at];
        float const y_px = a.prior_xy_px[2 * at + 1];
        float low = 0.f, inverse = 1.f;
        if (a.min_max) {
            wait_for_count(&work.cosines_done[window], shares);
            uint2 const range = __ldcg(&work.range[at]);
            low = value_of_order(~range.y), inverse = inverse_range(low, value_of_order(range.x));
        }
        bool const given = weight != 0.f;  // none has no place: what is there is not looked at
        s.click[n] = {low,           inverse,
                      a.gate_slope * inverse, weight, given ? x_px : 0.f, given ? y_px : 0.f};
    }
    if (i < a.anchor_count) {
        s.constant[i] = a.anchors[8 * i];
        s.anchor[i] = {s.constant[i] + work.head->straight[i], a.anchors[8 * i + 1]};
    } else if (i < kRows) {
        s.anchor[i] = {kNoAnchor, 0.f};
    }
}

// The head's weights from the workspace to shared memory, in the background.
__device__ inline void stage_head(TileWorkspace const& work, unsigned char* to, int steps) {
    int const fragments = steps * 32, all = fragments + steps * int(4 * sizeof(TileAffine) / 16);
    auto const* const affine = reinterpret_cast<uint4 const*>(work.head->affine);
    for (int i = threadIdx.x; i < all; i += kTileThreads)
        copy_16_bytes(to + 16 * i, i < fragments ? &work.head->fragment[0][0] + i
                                                 : affine + (i - fragments));
}

// S of a warp's 16 cells for some clicks, to shared memory; the map of a min-max gate on the way.
// Half a warp reads a click's.
template <int kCount>
__device__ __forceinline__ void stage_similarity(TileAttentionArguments const& a,
                                                 TileWorkspace const& work, TileShared& s,
                                                 int window, int click, int first_cell) {
    int const warp = threadIdx.x / 32, cell = threadIdx.x % 16, odd = threadIdx.x % 32 / 16;
    int const cells = a.rows * a.columns;
    bool const inside = first_cell + cell < cells;
    size_t const at = (size_t(window) * a.clicks + click + odd) * cells + first_cell + cell;
    float const* from = work.similarity + at;
    float cosine[(kCount + 1) / 2];
#pragma unroll
    for (int n = 0; n < kCount; n += 2, from += 2 * cells)  // all loads before the first store
        cosine[n / 2] = inside && n + odd < kCount ? __ldcg(from) : 0.f;
    __syncwarp();  // what was there has been read
#pragma unroll
    for (int n = 0; n < kCount; n += 2)
        if (n + odd < kCount) s.similarity[warp][n + odd][cell] = cosine[n / 2];
    if (a.min_max && a.attention && inside) {
        float* to = a.attention + at;
#pragma unroll
        for (int n = 0; n < kCount; n += 2, to += 2 * cells) {
            auto const& on = s.click[min(click + n + odd, kClicks - 1)];
            if (n + odd < kCount) *to = (cosine[n / 2] - on.low) * on.inverse;
        }
    }
    __syncwarp();
}

// Ranks of kCount clicks in a warp's 16 cells; u's tile and the head are in shared memory.
template <int kCount>
__device__ __forceinline__ void rank_clicks(TileAttentionArguments const& a,
                                            TileWorkspace const& work, TileShared& s,
                                            unsigned char const* head, __half const* u,
                                            Share const& by, int click) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int const steps = a.hidden / kRows, first_cell = by.tile * kTile + warp * kRows;
    auto const* const fragment = reinterpret_cast<uint4 const*>(head);
    auto const* const affine = reinterpret_cast<TileAffine const*>(fragment + steps * 32);
    stage_similarity<kCount>(a, work, s, by.window, click, first_cell);
    __half2 gate[kCount];  // of cells g and g + 8
#pragma unroll
    for (int n = 0; n < kCount; ++n) {
        auto const& on = s.click[click + n];
        float const low = s.similarity[warp][n][g] - on.low;
        float const high = s.similarity[warp][n][g + 8] - on.low;
        gate[n] = __floats2half2_rn(fmaf(on.slope, low, a.gate_offset),
                                    fmaf(on.slope, high, a.gate_offset));
    }
    float2 const anchor[3] = {s.anchor[2 * t], s.anchor[2 * t + 1], s.anchor[8 + 2 * t]};
    float sum[kCount][2][4], line[2][4] = {};
#pragma unroll
    for (int n = 0; n < kCount; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            sum[n][0][i] = anchor[i % 2].x;
            sum[n][1][i] = i % 2 ? 0.f : anchor[2].x;
        }
#pragma unroll kCount == 8 ? 1 : 2  // eight clicks have enough to do side by side
    for (int step = 0; step < steps; ++step) {
        unsigned words[4], x[4];
        int const row = step * kRows + lane % 8 + lane / 16 * 8;
        load_transposed(words, u + piece_at(row, warp * kRows + lane / 8 % 2 * 8));
        TileAffine const to = affine[step * 4 + t];
        uint4 const w = fragment[step * 32 + lane];
#pragma unroll
        for (int i = 0; i < 4; ++i)
            x[i] = word_of(__hfma2(pair_of(words[i]), to.scale[i / 2], to.shift[i / 2]));
        multiply(line[0], x, w.x, w.y);
        multiply(line[1], x, w.z, w.w);
#pragma unroll
        for (int n = 0; n < kCount; ++n) {
            __half2 const by_cell[2] = {__low2half2(gate[n]), __high2half2(gate[n])};
            unsigned z[4];
#pragma unroll
            for (int i = 0; i < 4; ++i)
                z[i] = word_of(__hfma2_relu(by_cell[i % 2], pair_of(x[i]), to.bias[i / 2]));
            multiply(sum[n][0], z, w.x, w.y);
            multiply(sum[n][1], z, w.z, w.w);
        }
    }
    keep_near<kCount>(a, s, gate, sum, line, click, first_cell);
}

// Ranks of a share. hidden is a multiple of 16, at most kHeadRows.
__device__ inline void ranks_of_tile(TileAttentionArguments const& a, TileWorkspace const& work,
                                     TileShared& s, unsigned char const* head, __half const* u,
                                     Share const& by) {
    for (int click = by.first_click; click < by.end_click;) {
        int const left = by.end_click - click;
        if (left >= 8) {
            rank_clicks<8>(a, work, s, head, u, by, click), click += 8;
        } else if (left >= 4) {
            rank_clicks<4>(a, work, s, head, u, by, click), click += 4;
        } else if (left >= 2) {
            rank_clicks<2>(a, work, s, head, u, by, click), click += 2;
        } else {
            rank_clicks<1>(a, work, s, head, u, by, click), click += 1;
        }
    }
}

}  // namespace tilefix
#endif
