// TileAttention (the equations: tile_attention.py). A block owns 32 cells of one window, for all its
// clicks: their columns of v and u come to shared memory once, 16 bytes at a time, and stay there.
//
//   affine gate     scan<kFused>: S, then the head, in one kernel; answer
//   min-max gate    scan<kCosine>: S and each block's range of it; scan<kHead>; answer
//
// `answer`, one block a click, finds the winner among the blocks', the peaks, and the box.
//
// float16 inputs go by tensor cores (tile_attention_tensor.h) where channel counts are multiples of
// 16, v's of any number, u's up to 256; everything else by float32 arithmetic (tile_attention_float.h).
// The answers are float32's either way. Every sum has a fixed order, so equal calls give equal bits.
//
// Compulsory bytes: (D + C) cells 2 for v and u in float16; all else is a few percent (S, 4 N cells
// bytes, is written once and read once or twice, out of the L2 cache). 64 x 64 x (512 + 256) cells:
// 6.3 MB a window; lite's 128 x 128 x (128 + 64): 6.3 MB.
// Prediction, not measured: at a copy bandwidth of 3.0 TB/s (H100) or 4.3 TB/s (H200) these bytes
// take 2.1 or 1.5 us, and 0.5 or 0.4 us; launches and latency add 4 to 6 us to a lone window. On
// tensor cores the head is about 2 instructions a click, channel and cell, 0.07 us per click on 132
// multiprocessors at 1.7 GHz for the larger size, so that a batch of windows is limited by memory up
// to 16 clicks or so. By float32 arithmetic it is about 14 instructions, and memory limits 4 clicks.
#include "tile_attention_float.h"
#include "tile_attention_tensor.h"

namespace tilefix {
inline namespace kernels {  // with a name: that of none is made from the path of the file

enum Mode { kFused, kCosine, kHead };

template <typename T, Mode kMode>
__global__ void __launch_bounds__(kThreads, 2) scan(TileAttentionArguments a, Workspace work) {
    TILEFIX_DYNAMIC_SHARED(memory);
    Shared& s = *reinterpret_cast<Shared*>(memory);
    T* const v_tile = reinterpret_cast<T*>(memory + sizeof(Shared));
    T* const u_tile = v_tile + (kMode == kHead ? 0 : min(a.embedding, v_rows<T>) * kCells);
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int const cells = a.rows * a.columns, first_cell = blockIdx.x * kCells;
    size_t const window = blockIdx.y, blocks = gridDim.x;

    bool const v_by_tensors = sizeof(T) == 2 && a.embedding % 16 == 0 &&
                              reinterpret_cast<uintptr_t>(a.query) % 4 == 0;
    bool const u_by_tensors = sizeof(T) == 2 && a.hidden % 16 == 0 && a.hidden <= u_rows<T>;

    // All that fits is asked for at once: v in one group, u in the next.
    if (kMode != kHead && a.embedding <= v_rows<T>)
        stage_tile(v_tile, static_cast<T const*>(a.v) + window * a.embedding * cells, a.embedding,
                   cells, first_cell);
    close_copy_group();
    if (kMode != kCosine && a.hidden <= u_rows<T>)
        stage_tile(u_tile, static_cast<T const*>(a.u) + window * a.hidden * cells, a.hidden, cells,
                   first_cell);
    close_copy_group();

    if (kMode != kHead) {
        // Weights come while v is on its way; the float32 cosines would need their place.
        if constexpr (sizeof(T) == 2) {
            if (v_by_tensors && u_by_tensors && kMode == kFused) stage_ranking(a, s.ranking);
            for (int first = 0; v_by_tensors && first < a.clicks; first += kRankGroup)
                tensor_cosines(a, s, v_tile, first, first_cell);
        }
        for (int first = 0; !v_by_tensors && first < a.clicks; first += kGroup) {
            int const left = a.clicks - first;
            if (left == 1) {
                cosines<T, 1>(a, s, v_tile, first, first_cell);
            } else if (left <= 4) {
                cosines<T, 4>(a, s, v_tile, first, first_cell);
            } else {
                cosines<T, kGroup>(a, s, v_tile, first, first_cell);
            }
        }
        __syncthreads();
        bool const inside = first_cell + lane < cells;
        for (int n = warp; n < a.clicks; n += kWarps) {
            float const cosine = s.similarity[n][lane];
            size_t const at = window * a.clicks + n;
            if (inside) work.similarity[at * cells + first_cell + lane] = cosine;
            if (kMode == kCosine) {
                float const low = warp_min(inside ? cosine : INFINITY);
                float const high = warp_max(inside ? cosine : -INFINITY);
                if (lane == 0) work.range[at * blocks + blockIdx.x] = float2{low, high};
            } else if (lane == 0) {
                s.low[n] = 0.f, s.inverse[n] = 1.f;
            }
        }
    } else {
        for (int n = warp; n < a.clicks; n += kWarps) {
            size_t const at = window * a.clicks + n;
            bool const inside = first_cell + lane < cells;
            s.similarity[n][lane] = inside ? work.similarity[at * cells + first_cell + lane] : 0.f;
            float low = INFINITY, high = -INFINITY;
            for (size_t i = lane; i < blocks; i += 32) {
                float2 const range = work.range[at * blocks + i];
                low = fminf(low, range.x), high = fmaxf(high, range.y);
            }
            low = warp_min(low), high = warp_max(high);
            if (lane == 0) s.low[n] = low, s.inverse[n] = inverse_range(low, high);
        }
    }
    if (kMode != kCosine) {
        __syncthreads();
        if constexpr (sizeof(T) == 2) {
            if (u_by_tensors && !(v_by_tensors && kMode == kFused)) stage_ranking(a, s.ranking);
            if (u_by_tensors) tensor_head(a, work, s, u_tile, first_cell);
        }
        if (!u_by_tensors) head<T>(a, work, s, u_tile, first_cell);
    }
    wait_for_copies<0>();
}

#include "tile_attention_answer.h"

template <typename T>
int32_t run(TileAttentionArguments const& a, cudaStream_t stream) {
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

}  // namespace kernels
}  // namespace tilefix

extern "C" size_t tilefix_tile_attention_workspace_bytes(int32_t windows, int32_t clicks,
                                                         int32_t cells) {
    size_t const calls = size_t(windows) * clicks;
    size_t const blocks = (cells + tilefix::kCells - 1) / tilefix::kCells;
    return (calls * cells + 3) / 4 * 16 + calls * blocks * (sizeof(tilefix::Key) + sizeof(float2));
}

extern "C" int32_t tilefix_tile_attention(TileAttentionArguments const* arguments, void* stream) {
    TileAttentionArguments const& a = *arguments;
    if (a.struct_bytes != int64_t(sizeof a)) return TILEFIX_OTHER_VERSION;
    int64_t const cells = int64_t(a.rows) * a.columns;
    bool const sizes = a.windows >= 1 && a.windows <= 65535 && a.clicks >= 1 &&
                       a.clicks <= TILEFIX_CLICK_LIMIT && a.embedding >= 1 && a.hidden >= 1 &&
                       a.rows >= 1 && a.columns >= 1 && cells <= (1 << 26) && a.anchor_count >= 1 &&
                       a.anchor_count <= TILEFIX_ANCHOR_LIMIT;
    if (!sizes) return TILEFIX_BAD_SIZE;
    void const* const needed[] = {
        a.query,         a.v,           a.u,
        a.channels,      a.confidence,  a.boxes,
        a.anchors,       a.prior_xy_px, a.prior_inv_var,
        a.box_xyxy_px,   a.confidence_logit, a.peak_similarity,
        a.second_peak_similarity, a.cell_similarity, a.workspace};
    for (void const* pointer : needed)
        if (!pointer) return TILEFIX_BAD_POINTER;
    auto const on = static_cast<cudaStream_t>(stream);
    return a.half ? tilefix::run<__half>(a, on) : tilefix::run<float>(a, on);
}
