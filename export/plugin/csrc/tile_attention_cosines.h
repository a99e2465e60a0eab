// S on tensor cores: v goes from memory straight to the registers of the products.
//
// A lane reads eight cells of four channels, 16 bytes at a time. Product j of a step takes the j-th
// of each eight, and channels in the order that suits the lanes, for v and queries alike. Nothing
// is lost: queries and v are float16 as stored, products are exact, sums are float32.
#ifndef TILEFIX_TILE_ATTENTION_COSINES_H_
#define TILEFIX_TILE_ATTENTION_COSINES_H_

#include "tile_attention_tensor.h"

namespace tilefix {

template <bool kAligned>
constexpr int kAhead = kAligned ? 2 : 1;  // steps that a warp asks for at once

struct VStep {  // of one lane
    uint4 v[4];      // channels 4 t..4 t + 3 of a step, cells 8 g..8 g + 7 of a tile
    uint2 query[2];  // the same channels of clicks g and g + 8
};

// kCount float16 from any address, or 0.
template <typename Words, int kCount>
__device__ __forceinline__ Words gather(__half const* row, int first, int end, bool wanted) {
    __half x[kCount];
#pragma unroll
    for (int i = 0; i < kCount; ++i) x[i] = wanted ? row[min(first + i, end - 1)] : zero<__half>();
    Words words;
    memcpy(&words, x, sizeof words);
    return words;
}

// Reads a lane's part of a step, if it is one, and sets the pointers on to the warp's next one. What
// lies beyond the window's cells is never kept, so that the last ones do instead.
template <bool kAligned>
__device__ __forceinline__ void load_step(VStep& to, __half const*& v, int first, int cells,
                                          __half const* (&query)[2], bool wanted) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        __half const* const row = v + size_t(i) * cells;
        if constexpr (kAligned) {
            load_once(to.v[i], row + min(first, cells - 8), wanted);
        } else {
            to.v[i] = gather<uint4, 8>(row, first, cells, wanted);
        }
    }
    v += size_t(kTileWarps * kRows) * cells;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        if constexpr (kAligned) {
            load_shared_by_many(to.query[i], query[i], wanted);
        } else {
            to.query[i] = gather<uint2, 4>(query[i], 0, 4, wanted);
        }
        query[i] += kTileWarps * kRows;
    }
}

__device__ __forceinline__ void multiply_step(VStep const& x, float (&sum)[8][4]) {
    unsigned const q[4] = {x.query[0].x, x.query[1].x, x.query[0].y, x.query[1].y};
    unsigned words[4][4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
        words[i][0] = x.v[i].x, words[i][1] = x.v[i].y, words[i][2] = x.v[i].z,
        words[i][3] = x.v[i].w;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
        unsigned const halves = j % 2 ? 0x7632 : 0x5410;
        multiply(sum[j], q, __byte_perm(words[0][j / 2], words[1][j / 2], halves),
                 __byte_perm(words[2][j / 2], words[3][j / 2], halves));
    }
}

__device__ __forceinline__ int spread(int cell) { return cell + cell / 16 * 4; }

// Adds the warps' sums of up to eight clicks (rows g of sum's half `upper`), and keeps S.
template <bool kAligned>
__device__ inline void keep_cosines(TileAttentionArguments const& a, TileWorkspace const& work,
                                    float* part, float const (&sum)[8][4], int upper,
                                    Share const& by, int first_click) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    int const cells = a.rows * a.columns, count = min(8, by.end_click - first_click);
    // Half a warp adds and keeps a click's, four cells a lane.
    int const n = threadIdx.x / 16;
    bool const wanted = n < count;
    size_t const at = size_t(by.window) * a.clicks + first_click + (wanted ? n : 0);
    float const inverse_length = work.inverse_length[at];  // is here when the parts are
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float* const to = part + (warp * 8 + g) * kPartRow + spread(16 * t) + 8 * i;
        int const j = 2 * upper + i;
        float4 const low = {sum[0][j], sum[1][j], sum[2][j], sum[3][j]};
        float4 const high = {sum[4][j], sum[5][j], sum[6][j], sum[7][j]};
        *reinterpret_cast<float4*>(to) = low, *reinterpret_cast<float4*>(to + 4) = high;
    }
    __syncthreads();
    int const own = threadIdx.x % 16 * 4, cell = by.tile * kTile + own;
    float total[4] = {};
#pragma unroll
    for (int w = 0; w < kTileWarps; ++w) {
        auto const x = *reinterpret_cast<float4 const*>(part + (w * 8 + n) * kPartRow + spread(own));
        total[0] += x.x, total[1] += x.y, total[2] += x.z, total[3] += x.w;
    }
    float low = INFINITY;
    Key peak = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        total[i] *= inverse_length;
        if (cell + i >= cells) continue;
        low = fminf(low, total[i]);
        peak = max(peak, key_of(total[i], cell + i));
    }
    float* const to = work.similarity + at * cells + cell;
    if (kAligned && wanted && cell < cells) {
        *reinterpret_cast<float4*>(to) = {total[0], total[1], total[2], total[3]};
    } else if (wanted) {
        for (int i = 0; i < min(4, cells - cell); ++i) to[i] = total[i];
    }
    peak = half_warp_max(peak);
    if (a.min_max) low = -half_warp_max(-low);
    if (wanted && threadIdx.x % 16 == 0) {
        work.peak[at * by.tiles + by.tile] = peak;
        if (a.min_max) {
            atomicMax(&work.range[at].x, unsigned(peak >> 32));
            atomicMax(&work.range[at].y, ~order_of(low));
        }
    }
    __syncthreads();  // part is free
}

// S of a share, to the workspace. embedding is a multiple of 16. `meanwhile` is called once, with the
// first loads on their way.
template <bool kAligned, typename Meanwhile>
__device__ inline void cosines_of_tile(TileAttentionArguments const& a, TileWorkspace const& work,
                                       float* part, Share const& by, Meanwhile const& meanwhile) {
    int const warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    int const cells = a.rows * a.columns, first = by.tile * kTile + 8 * g, steps = a.embedding / kRows;
    size_t const channel = warp * kRows + 4 * t;
    for (int click = by.first_click; click < by.end_click; click += kRows) {
        __half const* v = static_cast<__half const*>(a.v) +
                          (size_t(by.window) * a.embedding + channel) * cells;
        __half const* query[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {  // beyond the last click it is that one again, and not kept
            size_t const row = min(click + g + 8 * i, by.end_click - 1);
            query[i] = static_cast<__half const*>(a.query) + channel +
                       (size_t(by.window) * a.clicks + row) * a.embedding;
        }
        float sum[8][4] = {};
        constexpr int kSteps = kAhead<kAligned>;
        VStep ahead[kSteps] = {};
#pragma unroll
        for (int i = 0; i < kSteps; ++i)
            load_step<kAligned>(ahead[i], v, first, cells, query, warp + kTileWarps * i < steps);
        if (click == by.first_click) meanwhile();
        int base = warp;
#pragma unroll 1
        for (; base + kTileWarps * kSteps < steps; base += kTileWarps * kSteps) {
#pragma unroll
            for (int i = 0; i < kSteps; ++i) {
                multiply_step(ahead[i], sum);
                load_step<kAligned>(ahead[i], v, first, cells, query,
                                    base + kTileWarps * (i + kSteps) < steps);
            }
        }
#pragma unroll
        for (int i = 0; i < kSteps; ++i)
            if (base + kTileWarps * i < steps) multiply_step(ahead[i], sum);
        wait_for_launch_before();
        keep_cosines<kAligned>(a, work, part, sum, 0, by, click);
        if (click + 8 < by.end_click) keep_cosines<kAligned>(a, work, part, sum, 1, by, click + 8);
    }
}

}  // namespace tilefix
#endif
