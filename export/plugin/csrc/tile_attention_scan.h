// The TileAttention kernels by float32 arithmetic, for what tensor cores do not take.
//
// A block owns 32 cells of one window, for all its clicks: their columns of v and u come to shared
// memory once, 16 bytes at a time, and stay there.
//
//   affine gate     scan<kFused>: S, then the head, in one kernel; answer
//   min-max gate    scan<kCosine>: S and each block's range of it; scan<kHead>; answer
//
// `answer`, one block a click, finds the winner among the blocks', the peaks, and the box.
#ifndef TILEFIX_TILE_ATTENTION_SCAN_H_
#define TILEFIX_TILE_ATTENTION_SCAN_H_

#include "tile_attention_answer.h"
#include "tile_attention_float.h"

namespace tilefix {
inline namespace kernels {

enum Mode { kFused, kCosine, kHead };

template <typename T>
__device__ void scan_cosines(TileAttentionArguments const& a, Workspace const& work, Shared& s,
                             T* tile, int first_cell, bool ranges) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    for (int first = 0; first < a.clicks; first += kGroup) {
        int const left = a.clicks - first;
        if (left == 1) {
            cosines<T, 1>(a, s, tile, first, first_cell);
        } else if (left <= 4) {
            cosines<T, 4>(a, s, tile, first, first_cell);
        } else {
            cosines<T, kGroup>(a, s, tile, first, first_cell);
        }
    }
    __syncthreads();
    bool const inside = first_cell + lane < cells;
    for (int n = warp; n < a.clicks; n += kWarps) {
        float const cosine = s.similarity[n][lane];
        size_t const at = size_t(blockIdx.y) * a.clicks + n;
        if (inside) work.similarity[at * cells + first_cell + lane] = cosine;
        if (ranges) {
            float const low = warp_min(inside ? cosine : INFINITY);
            float const high = warp_max(inside ? cosine : -INFINITY);
            if (lane == 0) work.range[at * gridDim.x + blockIdx.x] = float2{low, high};
        } else if (lane == 0) {
            s.low[n] = 0.f, s.inverse[n] = 1.f;
        }
    }
}

// S of the block's cells and its range over the window, of the kernel before.
__device__ inline void read_cosines(TileAttentionArguments const& a, Workspace const& work, Shared& s,
                                    int first_cell) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    for (int n = warp; n < a.clicks; n += kWarps) {
        size_t const at = size_t(blockIdx.y) * a.clicks + n;
        bool const inside = first_cell + lane < cells;
        s.similarity[n][lane] = inside ? work.similarity[at * cells + first_cell + lane] : 0.f;
        float low = INFINITY, high = -INFINITY;
        for (unsigned i = lane; i < gridDim.x; i += 32) {
            float2 const range = work.range[at * gridDim.x + i];
            low = fminf(low, range.x), high = fmaxf(high, range.y);
        }
        low = warp_min(low), high = warp_max(high);
        if (lane == 0) s.low[n] = low, s.inverse[n] = inverse_range(low, high);
    }
}

template <typename T, Mode kMode>
__global__ void __launch_bounds__(kThreads, 2) scan(TileAttentionArguments a, Workspace work) {
    TILEFIX_DYNAMIC_SHARED(memory);
    Shared& s = *reinterpret_cast<Shared*>(memory);
    T* const v_tile = reinterpret_cast<T*>(memory + sizeof(Shared));
    T* const u_tile = v_tile + (kMode == kHead ? 0 : min(a.embedding, v_rows<T>) * kCells);
    int const cells = a.rows * a.columns, first_cell = blockIdx.x * kCells;
    size_t const window = blockIdx.y;

    // All that fits is asked for at once: v in one group, u in the next.
    if (kMode != kHead && a.embedding <= v_rows<T>)
        stage_tile(v_tile, static_cast<T const*>(a.v) + window * a.embedding * cells, a.embedding,
                   cells, first_cell);
    close_copy_group();
    if (kMode != kCosine && a.hidden <= u_rows<T>)
        stage_tile(u_tile, static_cast<T const*>(a.u) + window * a.hidden * cells, a.hidden, cells,
                   first_cell);
    close_copy_group();
    if (kMode == kHead) {
        read_cosines(a, work, s, first_cell);
    } else {
        scan_cosines(a, work, s, v_tile, first_cell, kMode == kCosine);
    }
    if (kMode != kCosine) {
        __syncthreads();
        head<T>(a, work, s, u_tile, first_cell);
    }
    wait_for_copies<0>();
}

template <typename T>
__global__ void __launch_bounds__(kThreads) answer(TileAttentionArguments a, Workspace work,
                                                   int blocks) {
    TILEFIX_STATIC_SHARED(Answer, s);
    int const thread = threadIdx.x, cells = a.rows * a.columns;
    size_t const window = blockIdx.y, at = window * a.clicks + blockIdx.x;
    float const* const similarity = work.similarity + at * cells;

    Key best = 0, peak = 0;
    float low = INFINITY;
    for (int i = thread; i < blocks; i += kThreads) best = max(best, work.best[at * blocks + i]);
    for (int i = thread; i < cells; i += kThreads) {
        peak = max(peak, key_of(similarity[i], i));
        low = fminf(low, similarity[i]);
    }
    best = block_max(best, s.keys);
    peak = block_max(peak, s.keys);
    low = value_of(~block_max(~key_of(low, ~0u), s.keys));  // ~ turns the order round
    float inverse = 1.f;
    if (a.min_max) {
        inverse = inverse_range(low, value_of(peak));
    } else {
        low = 0.f;
    }
    Key second = key_of(-1.f, ~0u);
    for (int i = thread; i < cells; i += kThreads) {
        if (!is_near(i, index_of(peak), a.columns)) second = max(second, key_of(similarity[i], i));
        if (a.attention)
            a.attention[at * cells + i] = a.min_max ? (similarity[i] - low) * inverse : similarity[i];
    }
    second = block_max(second, s.keys);
    float const cosine = similarity[index_of(best) % cells];
    float const gate = fmaf(a.gate_slope, (cosine - low) * inverse, a.gate_offset);
    write_answer<T>(a, window, at, best, peak, second, cosine, gate, s.parts);
}

}  // namespace kernels

inline size_t scan_workspace_bytes(int windows, int clicks, int cells) {
    size_t const calls = size_t(windows) * clicks, blocks = (cells + kCells - 1) / kCells;
    return (calls * cells + 3) / 4 * 16 + calls * blocks * (sizeof(Key) + sizeof(float2));
}

template <typename T>
int32_t run_scan(TileAttentionArguments const& a, cudaStream_t stream) {
    int const cells = a.rows * a.columns, blocks = (cells + kCells - 1) / kCells;
    size_t const calls = size_t(a.windows) * a.clicks;
    Workspace work;
    work.similarity = static_cast<float*>(a.workspace);
    work.best = reinterpret_cast<Key*>(work.similarity + (calls * cells + 3) / 4 * 4);
    work.range = reinterpret_cast<float2*>(work.best + calls * blocks);
    size_t const row = kCells * sizeof(T);
    size_t const v_bytes = min(a.embedding, v_rows<T>) * row, u_bytes = min(a.hidden, u_rows<T>) * row;
    dim3 const grid(blocks, a.windows);
    auto const launch = [&](auto kernel, size_t tiles) -> int32_t {
        size_t const bytes = sizeof(Shared) + tiles;
        cudaError_t const refused = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
        if (refused != cudaSuccess) return refused;
        TILEFIX_LAUNCH(kernel, grid, kThreads, bytes, stream, a, work);
        return cudaGetLastError();
    };
    int32_t failed;
    if (a.min_max) {
        failed = launch(scan<T, kCosine>, v_bytes);
        if (!failed) failed = launch(scan<T, kHead>, u_bytes);
    } else {
        failed = launch(scan<T, kFused>, v_bytes + u_bytes);
    }
    if (failed) return failed;
    TILEFIX_LAUNCH(answer<T>, dim3(a.clicks, a.windows), kThreads, 0, stream, a, work, blocks);
    return cudaGetLastError();
}

}  // namespace tilefix
#endif
