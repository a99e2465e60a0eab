// CrossAttention by float32 arithmetic: either type, any alignment, any width of a head up to 128.
//
// A block has 16 queries, a warp four of them. For logits a lane is a key, for sums every 32nd channel.
#ifndef TILEFIX_CROSS_ATTENTION_FLOAT_H_
#define TILEFIX_CROSS_ATTENTION_FLOAT_H_

#include "cross_attention_parts.h"

namespace tilefix::cross {

constexpr int kOwn = 4;                // queries of a warp
constexpr int kFloatRows = kOwn * kWarps;
constexpr int kFloatKeys = 32;         // a warp's lanes
constexpr int kChunks = TILEFIX_HEAD_WIDTH_LIMIT / 32;

// Rows of keys are an odd number of words long: eight lanes that read a column meet no bank twice.
__host__ __device__ constexpr int key_stride(int head) { return head | 1; }

constexpr size_t float_shared_bytes(int head) {
    return sizeof(float) * (kFloatRows * head + kFloatKeys * (key_stride(head) + head) +
                            kFloatRows * kFloatKeys);
}

// Rows first..first+count-1 of the block's head to shared memory, positions added; 0 beyond `rows`.
template <typename T>
__device__ __forceinline__ void stage_rows(CrossAttentionArguments const& a, float* to, int stride,
                                           void const* from, int rows, int first, int count,
                                           int head, void const* position, int position_rows) {
    T const* const all = static_cast<T const*>(from) + size_t(blockIdx.z) * rows * a.width;
    int const offset = blockIdx.y * head;
    for (int i = threadIdx.x; i < count * head; i += kThreads) {
        int const row = first + i / head, c = i % head;
        float x = 0.f;
        if (row < rows) {
            x = widen(all[size_t(row) * a.width + offset + c]);
            if (position)
                x += widen(position_row<T>(position, position_rows, row, a.width)[offset + c]);
        }
        to[i / head * stride + c] = x;
    }
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    attend_by_floats(CrossAttentionArguments a, Plan plan, Partial partial) {
    TILEFIX_DYNAMIC_SHARED(memory);
    int const head = plan.head, stride = key_stride(head);
    float* const queries = reinterpret_cast<float*>(memory);  // [kFloatRows][head]
    float* const keys = queries + kFloatRows * head;          // [kFloatKeys][stride]
    float* const values = keys + kFloatKeys * stride;         // [kFloatKeys][head]
    float* const weights = values + kFloatKeys * head;        // [kFloatRows][kFloatKeys]
    int const lane = threadIdx.x % 32, own = threadIdx.x / 32 * kOwn;
    int const row_blocks = blocks_of(a.queries, kFloatRows), split = blockIdx.x / row_blocks;
    int const first = blockIdx.x % row_blocks * kFloatRows;
    int const begin = split * plan.tiles * kKeys;
    int const end = min(a.keys, begin + plan.tiles * kKeys);
    stage_rows<T>(a, queries, head, a.query, a.queries, first, kFloatRows, head, a.query_position,
                  a.query_position_rows);
    float out[kOwn][kChunks] = {}, top[kOwn], total[kOwn] = {};
    for (int r = 0; r < kOwn; ++r) top[r] = -INFINITY;
    for (int tile = begin; tile < end; tile += kFloatKeys) {
        __syncthreads();  // the tile before has been read
        stage_rows<T>(a, keys, stride, a.key, a.keys, tile, kFloatKeys, head, a.key_position,
                      a.key_position_rows);
        stage_rows<T>(a, values, head, a.value, a.keys, tile, kFloatKeys, head, nullptr, 1);
        __syncthreads();
        float logit[kOwn] = {};
        for (int c = 0; c < head; ++c) {
            float const key = keys[lane * stride + c];
#pragma unroll
            for (int r = 0; r < kOwn; ++r)
                logit[r] = fmaf(queries[(own + r) * head + c], key, logit[r]);
        }
#pragma unroll
        for (int r = 0; r < kOwn; ++r) {
            float const mine = tile + lane < end ? logit[r] * (a.scale * kLog2e) : -INFINITY;
            float const higher = fmaxf(top[r], warp_max(mine));
            float const shrink = exp2f(top[r] - higher), weight = exp2f(mine - higher);
            top[r] = higher;
            total[r] = total[r] * shrink + warp_sum(weight);
            weights[(own + r) * kFloatKeys + lane] = weight;
#pragma unroll
            for (int i = 0; i < kChunks; ++i) out[r][i] *= shrink;
        }
        __syncwarp();
#pragma unroll 8
        for (int key = 0; key < kFloatKeys; ++key)
#pragma unroll
            for (int i = 0; i < kChunks; ++i) {
                if (32 * i >= head) break;
                float const value = 32 * i + lane < head ? values[key * head + 32 * i + lane] : 0.f;
#pragma unroll
                for (int r = 0; r < kOwn; ++r)
                    out[r][i] = fmaf(weights[(own + r) * kFloatKeys + key], value, out[r][i]);
            }
    }
#pragma unroll
    for (int r = 0; r < kOwn; ++r) {
        int const row = first + own + r;
        if (row >= a.queries) break;
        size_t const line = size_t(blockIdx.z) * a.queries + row;
        if (plan.splits > 1 && lane == 0)
            partial.range[range_at(a, split, row)] = float2{top[r], total[r]};
#pragma unroll
        for (int i = 0; i < kChunks; ++i) {
            int const c = 32 * i + lane;
            if (c >= head) break;
            size_t const at = line * a.width + blockIdx.y * head + c;
            if (plan.splits == 1) {
                static_cast<T*>(a.attended)[at] = narrow<T>(out[r][i] / total[r]);
            } else {
                size_t const before = size_t(split) * a.batch * a.queries * a.width;
                partial.attended[before + at] = out[r][i];
            }
        }
    }
}

}  // namespace tilefix::cross
#endif
