// Pieces of the TileAttention kernels: sizes, shared memory, staging, reductions, small formulas.
#ifndef TILEFIX_TILE_ATTENTION_PARTS_H_
#define TILEFIX_TILE_ATTENTION_PARTS_H_

#include "device.h"
#include "tile_attention.h"

namespace tilefix {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kCells = 32;    // of a block; a warp's lanes are 4 octets of them x 8 channel slices
constexpr int kSlices = 8;
constexpr int kGroup = 8;     // clicks in one pass over a tile
constexpr int kVRows = 512;   // channels of v in shared memory at once, in float16
constexpr int kURows = 256;   // and of u
constexpr int kAnchors = TILEFIX_ANCHOR_LIMIT;
constexpr int kClicks = TILEFIX_CLICK_LIMIT;
constexpr int kRadius = 2;          // cells around the first peak that the second lies outside
constexpr float kLeak = 0.1f;
constexpr float kRangeFloor = 1e-6f;
constexpr float kLengthFloor = 1e-12f;

// As many bytes for either type: with `Shared` they fit the 99 KB of a desktop GPU's block.
template <typename T>
constexpr int v_rows = kVRows * 2 / sizeof(T);
template <typename T>
constexpr int u_rows = kURows * 2 / sizeof(T);

using Key = unsigned long long;  // a float's rank above, the complement of its index below

struct alignas(16) Weights {  // of one hidden channel
    float scale, shift, bias, confidence[kAnchors];
};
static_assert(sizeof(Weights) == 48, "three 16-byte loads a channel");

struct alignas(16) Shared {
    float similarity[kClicks][kCells];
    float low[kClicks], inverse[kClicks];  // the gate is affine in (S - low) inverse
    float squares[kWarps][kGroup];
    union {
        struct {
            float query[kVRows][kGroup];
            float part[kWarps][kGroup][kCells];
        } cosine;
        struct {
            Weights weights[kURows];
            float part[kWarps][kAnchors][kCells];
        } head;
    };
    // the tiles follow: v [min(embedding, v_rows)][kCells], u [min(hidden, u_rows)][kCells]
};
static_assert(sizeof(Shared) % 16 == 0, "the tiles behind it are 16-byte aligned");
static_assert(sizeof(Shared) + (kVRows + kURows) * kCells * 2 <= 99 * 1024, "fits sm_86 to sm_120");

struct Answer {  // shared memory of the kernel of that name
    Key keys[kWarps];
    float parts[kWarps][4];
};

struct Workspace {  // of the float32 kernels
    float* similarity;  // [windows, clicks, cells]
    Key* best;          // [windows, clicks, blocks]
    float2* range;      // [windows, clicks, blocks] smallest and largest S
};

// Where a cell of a channel lies in a tile. Rows of float16 are 64 bytes; their 16-byte pieces are
// shuffled so that eight rows' pieces of the same cells lie in different banks.
template <typename T>
__device__ __forceinline__ int tile_at(int row, int cell) {
    return row * kCells + (sizeof(T) == 2 ? cell ^ (row >> 1 & 3) << 3 : cell);
}

// A row-major matrix's columns first..first+31 of some rows to shared memory; 0 beyond its columns.
template <typename T>
__device__ void stage_tile(T* to, T const* from, int rows, int cells, int first) {
    constexpr int kPiece = 16 / sizeof(T);
    bool const aligned = cells % kPiece == 0 && reinterpret_cast<uintptr_t>(from) % 16 == 0;
    if (aligned) {
        constexpr int kPieces = kCells / kPiece;  // of a row
#pragma unroll 1
        for (int i = threadIdx.x; i < rows * kPieces; i += kThreads) {
            int const row = i / kPieces, cell = i % kPieces * kPiece;
            T* const place = to + tile_at<T>(row, cell);
            if (first + cell < cells) {
                copy_16_bytes(place, from + size_t(row) * cells + first + cell);
            } else {
                *reinterpret_cast<uint4*>(place) = uint4{0, 0, 0, 0};
            }
        }
    } else {
#pragma unroll 1
        for (int i = threadIdx.x; i < rows * kCells; i += kThreads) {
            int const row = i / kCells, cell = first + i % kCells;
            to[tile_at<T>(row, i % kCells)] =
                cell < cells ? from[size_t(row) * cells + cell] : zero<T>();
        }
    }
}

// Sums eight cells over the warp's eight slices; slice i of an octet keeps cell i.
__device__ __forceinline__ float sum_slices(float const (&x)[8], int lane) {
    float four[4], two[2];
    bool upper = lane & 16;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float const sent = upper ? x[i] : x[i + 4];
        four[i] = (upper ? x[i + 4] : x[i]) + __shfl_xor_sync(~0u, sent, 16);
    }
    upper = lane & 8;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float const sent = upper ? four[i] : four[i + 2];
        two[i] = (upper ? four[i + 2] : four[i]) + __shfl_xor_sync(~0u, sent, 8);
    }
    upper = lane & 4;
    float const sent = upper ? two[0] : two[1];
    return (upper ? two[1] : two[0]) + __shfl_xor_sync(~0u, sent, 4);
}

// The cell that `sum_slices` leaves to a lane.
__device__ __forceinline__ int cell_of_lane(int lane) { return lane % 4 * 8 + lane / 4; }

__device__ __forceinline__ Key key_of(float value, unsigned index) {
    unsigned const bits = __float_as_uint(value + 0.f);  // -0 ranks as 0 does
    unsigned const rank = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return Key(rank) << 32 | (~index & 0xffffffffu);
}
__device__ __forceinline__ float value_of(Key key) {
    unsigned const rank = unsigned(key >> 32);
    return __uint_as_float(rank & 0x80000000u ? rank & 0x7fffffffu : ~rank);
}
__device__ __forceinline__ unsigned index_of(Key key) { return ~unsigned(key); }

__device__ __forceinline__ Key other_lanes(Key key, int step) {
    return Key(__shfl_xor_sync(~0u, unsigned(key >> 32), step)) << 32 |
           __shfl_xor_sync(~0u, unsigned(key), step);
}
__device__ __forceinline__ float other_lanes(float x, int step) {
    return __shfl_xor_sync(~0u, x, step);
}
template <typename T>
__device__ __forceinline__ T half_warp_max(T x) {
#pragma unroll
    for (int step = 8; step; step /= 2) x = max(x, other_lanes(x, step));
    return x;
}
__device__ __forceinline__ Key warp_max(Key key) {
    key = half_warp_max(key);
    return max(key, other_lanes(key, 16));
}

__device__ __forceinline__ float inverse_range(float low, float high) {
    return high - low > kRangeFloor ? 1.f / (high - low) : 1.f;
}
__device__ __forceinline__ float leaky(float x) { return fmaxf(x, kLeak * x); }

__device__ __forceinline__ void stage_weights(TileAttentionArguments const& a, Weights& w, int c) {
    float const* const channel = a.channels + size_t(c) * 3;
    w.scale = channel[0], w.shift = channel[1], w.bias = channel[2];
    for (int k = 0; k < kAnchors; ++k)
        w.confidence[k] = k < a.anchor_count ? a.confidence[size_t(k) * a.hidden + c] : 0.f;
}

// The prior's inverse variance once a cell's own variance is added.
__device__ __forceinline__ float prior_weight(TileAttentionArguments const& a, size_t click) {
    float const inv_var = a.prior_inv_var[click];
    return inv_var / (1.f + inv_var * (a.stride_px * a.stride_px / 12.f));
}

// The prior's log-density at a cell, up to its constant. None has no place: that is not looked at.
__device__ __forceinline__ float log_prior(TileAttentionArguments const& a, size_t click, int cell) {
    float const stride = a.stride_px;
    float const dx = fmaf(float(cell % a.columns) + 0.5f, stride, -a.prior_xy_px[2 * click]);
    float const dy = fmaf(float(cell / a.columns) + 0.5f, stride, -a.prior_xy_px[2 * click + 1]);
    float const weight = prior_weight(a, click);
    return weight == 0.f ? 0.f : -0.5f * weight * fmaf(dx, dx, dy * dy);
}

}  // namespace tilefix
#endif
