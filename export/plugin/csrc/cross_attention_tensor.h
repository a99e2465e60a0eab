// CrossAttention in float16 on tensor cores: heads of a multiple of 8 channels, up to 128.
//
// A warp has 16 queries, in registers, as it has its sums; the block's tiles of 64 keys and values
// pass through shared memory, one arriving while the one before is used. A head's channels are
// padded with zeros to kWidth.
#ifndef TILEFIX_CROSS_ATTENTION_TENSOR_H_
#define TILEFIX_CROSS_ATTENTION_TENSOR_H_

#include "cross_attention_parts.h"

namespace tilefix::cross {

// A tile's place for 8 channels of a key. Their 16 bytes are shuffled so that those of eight
// neighbouring keys lie in different banks.
template <int kWidth>
__device__ __forceinline__ int piece_at(int key, int piece) {
    constexpr int kPieces = kWidth / 8;
    int const turn = kPieces >= 8 ? key & 7 : key >> 1 & 3;
    return (key * kPieces + (piece ^ turn)) * 8;
}

template <int kWidth>
constexpr int tile_halves = kKeys * kWidth;

// Whether keys have positions decides how many tensors a stage holds.
template <int kWidth>
constexpr size_t shared_bytes(bool positions) {
    return 2 * (positions ? 3 : 2) * tile_halves<kWidth> * sizeof(__half);
}

// Asks for keys, values and the keys' positions of a tile; zeros beyond the last key and channel.
template <int kWidth>
__device__ __forceinline__ void stage_tile(CrossAttentionArguments const& a, __half* to, int first,
                                           int head) {
    constexpr int kPieces = kWidth / 8;
    size_t const batch = blockIdx.z;
    int const offset = blockIdx.y * head;
    __half const* const key = static_cast<__half const*>(a.key);
    __half const* const value = static_cast<__half const*>(a.value);
#pragma unroll 2
    for (int i = threadIdx.x; i < kKeys * kPieces; i += blockDim.x) {
        int const row = first + i / kPieces, piece = i % kPieces;
        __half* const place = to + piece_at<kWidth>(i / kPieces, piece);
        if (row < a.keys && piece * 8 < head) {
            size_t const from = (batch * a.keys + row) * a.width + offset + piece * 8;
            copy_16_bytes(place, key + from);
            copy_16_bytes(place + tile_halves<kWidth>, value + from);
            if (a.key_position)
                copy_16_bytes(place + 2 * tile_halves<kWidth>,
                              position_row<__half>(a.key_position, a.key_position_rows, row,
                                                   a.width) + offset + piece * 8);
        } else {
            uint4 const nothing{0, 0, 0, 0};
            *reinterpret_cast<uint4*>(place) = nothing;
            *reinterpret_cast<uint4*>(place + tile_halves<kWidth>) = nothing;
            if (a.key_position)
                *reinterpret_cast<uint4*>(place + 2 * tile_halves<kWidth>) = nothing;
        }
    }
    close_copy_group();
}

// Adds a tile's positions to its keys: each thread to what it asked for itself, before a barrier.
template <int kWidth>
__device__ __forceinline__ void add_positions(__half* tile) {
    constexpr int kPieces = kWidth / 8;
    for (int i = threadIdx.x; i < kKeys * kPieces; i += blockDim.x) {
        __half* const place = tile + piece_at<kWidth>(i / kPieces, i % kPieces);
        uint4 key = *reinterpret_cast<uint4 const*>(place);
        uint4 const add = *reinterpret_cast<uint4 const*>(place + 2 * tile_halves<kWidth>);
        key.x = word_of(__hadd2(pair_of(key.x), pair_of(add.x)));
        key.y = word_of(__hadd2(pair_of(key.y), pair_of(add.y)));
        key.z = word_of(__hadd2(pair_of(key.z), pair_of(add.z)));
        key.w = word_of(__hadd2(pair_of(key.w), pair_of(add.w)));
        *reinterpret_cast<uint4*>(place) = key;
    }
}

// Fragments of the warp's 16 queries, positions added; zeros beyond the last.
template <int kWidth>
__device__ __forceinline__ void load_queries(CrossAttentionArguments const& a, int first, int head,
                                             unsigned (&q)[kWidth / 16][4]) {
    int const lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, offset = blockIdx.y * head;
#pragma unroll
    for (int step = 0; step < kWidth / 16; ++step)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            int const row = first + g + i % 2 * 8, column = step * 16 + i / 2 * 8 + 2 * t;
            q[step][i] = 0;
            if (row >= a.queries || column >= head) continue;
            size_t const at = (size_t(blockIdx.z) * a.queries + row) * a.width + offset + column;
            q[step][i] = *reinterpret_cast<unsigned const*>(static_cast<__half const*>(a.query) + at);
            if (!a.query_position) continue;
            auto const* const add =
                position_row<__half>(a.query_position, a.query_position_rows, row, a.width);
            unsigned const word = *reinterpret_cast<unsigned const*>(add + offset + column);
            q[step][i] = word_of(__hadd2(pair_of(q[step][i]), pair_of(word)));
        }
}

template <int kWidth>
struct Sums {
    float out[kWidth / 8][4] = {};  // of rows g and g + 8, as a product leaves them
    float top[2] = {-INFINITY, -INFINITY}, total[2] = {};  // a lane's own part of the total
};

// One tile of `count` keys.
template <int kWidth>
__device__ __forceinline__ void read_tile(__half const* keys, int count, float scale,
                                          unsigned const (&q)[kWidth / 16][4], Sums<kWidth>& sums) {
    int const lane = threadIdx.x % 32, t = lane % 4;
    float s[kKeys / 8][4] = {};
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j) {
        if (8 * j >= count) break;
#pragma unroll
        for (int step = 0; step < kWidth / 16; step += 2) {
            unsigned b[4];
            load_rows(b, keys + piece_at<kWidth>(8 * j + lane % 8, 2 * step + lane / 8));
            multiply(s[j], q[step], b[0], b[1]);
            multiply(s[j], q[step + 1], b[2], b[3]);
        }
    }
    float top[2] = {sums.top[0], sums.top[1]};
#pragma unroll
    for (int j = 0; j < kKeys / 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            s[j][i] = 8 * j + 2 * t + i % 2 < count ? s[j][i] * scale : -INFINITY;
            top[i / 2] = fmaxf(top[i / 2], s[j][i]);
        }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        top[r] = fmaxf(top[r], __shfl_xor_sync(~0u, top[r], 1));
        top[r] = fmaxf(top[r], __shfl_xor_sync(~0u, top[r], 2));
        float const shrink = exp2f(sums.top[r] - top[r]);
        sums.top[r] = top[r];
        sums.total[r] *= shrink;
#pragma unroll
        for (int n = 0; n < kWidth / 8; ++n)
            sums.out[n][2 * r] *= shrink, sums.out[n][2 * r + 1] *= shrink;
    }
    __half const* const values = keys + tile_halves<kWidth>;
#pragma unroll
    for (int part = 0; part < kKeys / 16; ++part) {
        if (16 * part >= count) break;
        unsigned weight[4];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float const(&logit)[4] = s[2 * part + i / 2];
            float const x = exp2f(logit[i % 2 * 2] - top[i % 2]);
            float const y = exp2f(logit[i % 2 * 2 + 1] - top[i % 2]);
            sums.total[i % 2] += x + y;
            weight[i] = word_of(__floats2half2_rn(x, y));
        }
#pragma unroll
        for (int two = 0; two < kWidth / 16; ++two) {
            unsigned b[4];
            load_transposed(
                b, values + piece_at<kWidth>(16 * part + lane % 16, 2 * two + lane / 16));
            multiply(sums.out[2 * two], weight, b[0], b[1]);
            multiply(sums.out[2 * two + 1], weight, b[2], b[3]);
        }
    }
}

template <int kWidth>
__device__ __forceinline__ void write_rows(CrossAttentionArguments const& a, Plan const& plan,
                                           Partial const& partial, Sums<kWidth>& sums, int first,
                                           int split) {
    int const lane = threadIdx.x % 32, t = lane % 4, offset = blockIdx.y * plan.head;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
        sums.total[r] += __shfl_xor_sync(~0u, sums.total[r], 1);
        sums.total[r] += __shfl_xor_sync(~0u, sums.total[r], 2);
        int const row = first + lane / 4 + 8 * r;
        if (row >= a.queries) continue;
        size_t const line = size_t(blockIdx.z) * a.queries + row;
        if (plan.splits > 1 && t == 0)
            partial.range[range_at(a, split, row)] = float2{sums.top[r], sums.total[r]};
        float const inverse = 1.f / sums.total[r];
#pragma unroll
        for (int n = 0; n < kWidth / 8; ++n) {
            if (8 * n >= plan.head) break;
            size_t const at = line * a.width + offset + 8 * n + 2 * t;
            float const x = sums.out[n][2 * r], y = sums.out[n][2 * r + 1];
            if (plan.splits == 1) {
                *reinterpret_cast<__half2*>(static_cast<__half*>(a.attended) + at) =
                    __floats2half2_rn(x * inverse, y * inverse);
            } else {
                size_t const before = size_t(split) * a.batch * a.queries * a.width;
                *reinterpret_cast<float2*>(partial.attended + before + at) = float2{x, y};
            }
        }
    }
}

template <int kWidth>
__global__ void __launch_bounds__(kThreads)
    attend_by_tensors(CrossAttentionArguments a, Plan plan, Partial partial) {
    TILEFIX_DYNAMIC_SHARED(memory);
    __half* const shared = reinterpret_cast<__half*>(memory);
    int const stage = (a.key_position ? 3 : 2) * tile_halves<kWidth>;
    int const rows = blockDim.x / 2, row_blocks = blocks_of(a.queries, rows);  // 16 to a warp
    int const split = blockIdx.x / row_blocks;
    int const first = blockIdx.x % row_blocks * rows + threadIdx.x / 32 * 16;
    int const begin = split * plan.tiles * kKeys;
    int const end = min(a.keys, begin + plan.tiles * kKeys);
    stage_tile<kWidth>(a, shared, begin, plan.head);
    unsigned q[kWidth / 16][4];
    load_queries<kWidth>(a, first, plan.head, q);
    Sums<kWidth> sums;
    for (int tile = begin, turn = 0; tile < end; tile += kKeys, turn ^= 1) {
        __half* const keys = shared + turn * stage;
        wait_for_copies<0>();
        if (a.key_position) add_positions<kWidth>(keys);
        __syncthreads();  // this tile is there, and the one before has been read
        if (tile + kKeys < end)
            stage_tile<kWidth>(a, shared + (turn ^ 1) * stage, tile + kKeys, plan.head);
        if (first < a.queries)
            read_tile<kWidth>(keys, min(kKeys, end - tile), a.scale * kLog2e, q, sums);
    }
    if (first < a.queries) write_rows<kWidth>(a, plan, partial, sums, first, split);
}

}  // namespace tilefix::cross
#endif
