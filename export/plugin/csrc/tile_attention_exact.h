// Logits in float32, of the cells that can win.
//
// A block evaluates cells right after their ranks, out of the tile of u that is still in shared
// memory: those near the tile's largest rank, where that comes near the window's largest so far. So
// a block evaluates each of its clicks in kTile cells at most, whatever the data, and all blocks
// share the work of a flat map.
//
// Which tiles are evaluated depends on whose ranks come first; the answer does not. It takes the best
// of the tiles whose largest rank comes near the window's; the largest so far is no larger than
// that, `near_from` is monotonic, so all these tiles have been evaluated, and of each the same cells.
// A tile with a rank beyond float16 is always evaluated, and raises nothing. The sums of a cell have
// one order, however many cells a lane evaluates at once.
#ifndef TILEFIX_TILE_ATTENTION_EXACT_H_
#define TILEFIX_TILE_ATTENTION_EXACT_H_

#include "tile_attention_near.h"

namespace tilefix {

constexpr int kAtOnce = 4;  // cells of a lane where there are many: each weight is read once for them

__device__ __forceinline__ float exact_gate(TileAttentionArguments const& a, float low, float inverse,
                                            float cosine) {
    return fmaf(a.gate_slope, (cosine - low) * inverse, a.gate_offset);
}

// Lists a click's cells to evaluate, by one thread: 64 click + cell.
__device__ inline void list_click(TileAttentionArguments const& a, TileWorkspace const& work,
                                  TileShared& s, uint16_t* list, Share const& by, int click) {
    size_t const at = size_t(by.window) * a.clicks + click;
    float top = -INFINITY;
    for (int w = 0; w < kTileWarps; ++w) top = fmaxf(top, s.top[w][click]);
    work.top[at * by.tiles + by.tile] = top;
    s.exact[click] = 0;
    if (top < INFINITY) {
        unsigned const mine = order_of(top), before = atomicMax(&work.best_rank[at], mine);
        if (top < near_from(value_of_order(max(mine, before)))) return;
    }
    float const from = near_from(top);
    unsigned mask[kTileWarps], count = 0;
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w) {
        mask[w] = s.top[w][click] < from ? 0 : s.near[w][click];
        count += __popc(mask[w]);
    }
    uint16_t* to = list + atomicAdd(&s.items, count);
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w)
        for (; mask[w]; mask[w] &= mask[w] - 1)
            *to++ = uint16_t(click * kTile + w * kRows + cell_of_bit(__ffs(mask[w]) - 1));
}

// Adds a cell's sums over the kSlice lanes that share its channels. Of several cells a group of lanes
// is left with one, in front.
template <int kItems, int kSlice>
__device__ __forceinline__ void add_slices(float (&sum)[kItems][kAnchors]) {
    int const slice = threadIdx.x % kSlice;
#pragma unroll
    for (int step = kSlice / 2, left = kItems; step; step /= 2) {
        bool const halves = left > 1, upper = slice & step;
        left = halves ? left / 2 : 1;
#pragma unroll
        for (int n = 0; n < left; ++n)
#pragma unroll
            for (int k = 0; k < kAnchors; ++k) {
                int const other = halves ? n + left : n;
                float const sent = upper ? sum[n][k] : sum[other][k];
                float const kept = upper ? sum[other][k] : sum[n][k];
                sum[n][k] = kept + __shfl_xor_sync(~0u, sent, step);
            }
    }
}

// The best of a cell's logits from its sums.
__device__ __forceinline__ Key best_anchor(TileAttentionArguments const& a, TileShared const& s,
                                           int click, int cell, float cosine,
                                           float const (&sum)[kAnchors]) {
    auto const& on = s.click[click];
    float const dx = fmaf(float(cell % a.columns) + 0.5f, a.stride_px, -on.x_px);
    float const dy = fmaf(float(cell / a.columns) + 0.5f, a.stride_px, -on.y_px);
    float const weight = -0.5f * on.blurred, square = fmaf(dx, dx, dy * dy);
    Key best = 0;
#pragma unroll
    for (int k = 0; k < kAnchors; ++k)
        if (k < a.anchor_count)
            best = max(best, key_of(fmaf(weight, square,  // contracted alike wherever it is inlined
                                         fmaf(s.anchor[k].y, cosine, sum[k] + s.constant[k])),
                                    unsigned(k * a.rows * a.columns) + cell));
    return best;
}

// Evaluates kItems cells by each kSlice lanes of a warp, which share their channels; from `base` of
// the list on.
template <int kItems, int kSlice>
__device__ __forceinline__ void evaluate(TileAttentionArguments const& a, TileWorkspace const& work,
                                         TileShared& s, uint16_t const* list, __half const* u,
                                         Share const& by, int base) {
    constexpr int kGroups = 32 / kSlice;
    int const lane = threadIdx.x % 32, slice = lane % kSlice, cells = a.rows * a.columns;
    int const first = base + lane / kSlice, last = s.items - 1;
    static_assert(kPackedLanes == 8, "a float4 of the packed head is every eighth of 32 channels");
    int const channel = slice / 8 * 32 + slice % 8;  // and those 8, 16 and 24 behind it
    __half const* column[kItems];
    float cosine[kItems], gate[kItems], sum[kItems][kAnchors] = {};
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
        int const item = list[min(first + kGroups * i, last)];
        int const click = item / kTile, cell = item % kTile;
        size_t const at = size_t(by.window) * a.clicks + click;
        cosine[i] = __ldcg(&work.similarity[at * cells + by.tile * kTile + cell]);
        gate[i] = exact_gate(a, s.click[click].low, s.click[click].inverse, cosine[i]);
        column[i] = u + piece_at(channel, cell);
    }
    float4 const* weight = &work.head->exact[0][slice];
#pragma unroll kItems == 1 ? 2 : 1
    for (int c = channel; c < a.hidden; c += 4 * kSlice, weight += kSlice) {
        float hidden[kItems][4];
        float4 const by_channel[3] = {weight[0], weight[kHeadRows / 4], weight[kHeadRows / 2]};
        float const scale[4] = {by_channel[0].x, by_channel[0].y, by_channel[0].z, by_channel[0].w};
        float const shift[4] = {by_channel[1].x, by_channel[1].y, by_channel[1].z, by_channel[1].w};
        float const bias[4] = {by_channel[2].x, by_channel[2].y, by_channel[2].z, by_channel[2].w};
        bool const whole = c + 16 < a.hidden;  // or the last 16 channels are left
#pragma unroll
        for (int i = 0; i < kItems; ++i, column[i - 1] += 4 * kSlice * kTile)
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                __half const x = j < 2 || whole ? column[i][j * 8 * kTile] : zero<__half>();
                float const affine = fmaf(widen(x), scale[j], shift[j]);
                hidden[i][j] = leaky(fmaf(gate[i], affine, bias[j]));
            }
#pragma unroll
        for (int k = 0; k < kAnchors; ++k) {
            float4 const w = weight[(3 + k) * (kHeadRows / 4)];
#pragma unroll
            for (int i = 0; i < kItems; ++i)
                sum[i][k] = fmaf(w.w, hidden[i][3],
                                 fmaf(w.z, hidden[i][2],
                                      fmaf(w.y, hidden[i][1], fmaf(w.x, hidden[i][0], sum[i][k]))));
        }
    }
    __syncwarp();
    add_slices<kItems, kSlice>(sum);
    int const mine = slice * kItems / kSlice;
#pragma unroll
    for (int i = 1; i < kItems; ++i)
        if (i == mine) cosine[0] = cosine[i];
    int const item = list[min(first + kGroups * mine, last)], click = item / kTile;
    Key const best =
        best_anchor(a, s, click, by.tile * kTile + item % kTile, cosine[0], sum[0]);
    if (slice % (kSlice / kItems) != 0 || first + kGroups * mine > last) return;
    atomicMax(&s.exact[click], best);
    count_work();
}

template <int kSlice>
__device__ __forceinline__ void evaluate_list(TileAttentionArguments const& a,
                                              TileWorkspace const& work, TileShared& s,
                                              uint16_t const* list, __half const* u,
                                              Share const& by) {
    constexpr int kEach = 32 / kSlice;  // cells of a warp at once
    int const warp = threadIdx.x / 32, items = s.items;
    if (items <= kEach * kTileWarps) {
        if (kEach * warp < items) evaluate<1, kSlice>(a, work, s, list, u, by, kEach * warp);
    } else {
        int const step = kEach * kAtOnce;
        for (int base = step * warp; base < items; base += step * kTileWarps)
            evaluate<kAtOnce, kSlice>(a, work, s, list, u, by, base);
    }
}

// Evaluates what can win of a share after its ranks. `list` lies where the head was.
__device__ inline void exact_of_tile(TileAttentionArguments const& a, TileWorkspace const& work,
                                     TileShared& s, uint16_t* list, __half const* u,
                                     Share const& by) {
    int const click = by.first_click + threadIdx.x;
    __syncthreads();  // the ranks are there, and the head has been read
    if (click < by.end_click) list_click(a, work, s, list, by, click);
    __syncthreads();
    if (a.hidden > 64) {
        evaluate_list<32>(a, work, s, list, u, by);
    } else {
        evaluate_list<16>(a, work, s, list, u, by);
    }
    __syncthreads();
    if (click < by.end_click)
        work.exact[(size_t(by.window) * a.clicks + click) * by.tiles + by.tile] = s.exact[click];
}

}  // namespace tilefix
#endif
