// TileAttention (the equations: tile_attention.py). A block owns 32 cells of one window, for all its
// clicks: their columns of v and u come to shared memory once, 16 bytes at a time, and stay there.
//
//   affine gate     scan<kFused>: S, then the head, in one kernel; answer
//   min-max gate    scan<kCosine>: S and each block's range of it; scan<kHead>; answer
//
// `answer`, one block a click, finds the winner among the blocks', the peaks, and the box.
//
// Arithmetic is float32 throughout; every sum has a fixed order, so equal calls give equal bits.
// In a warp, lane = 4 slice + octet: eight lanes share eight cells and take every eighth channel.
//
// Compulsory bytes: (D + C) cells 2 for v and u in float16; all else is a few percent (S, 4 N cells
// bytes, is written once and read once or twice, out of the L2 cache). 64 x 64 x (512 + 256) cells:
// 6.3 MB a window; lite's 64 x 64 x (128 + 64): 1.6 MB.
// Prediction, not measured: at a copy bandwidth of 3.0 TB/s (H100) or 4.3 TB/s (H200) these bytes
// take 2.1 or 1.5 us, and 0.5 or 0.4 us; launches and latency add 4 to 6 us to a lone window. The
// head is about 14 instructions a click, channel and cell: 0.5 us per click on 132 multiprocessors
// at 1.7 GHz for the larger size. So a batch of windows is limited by memory up to about 4 clicks,
// and by float32 arithmetic beyond (8 clicks: near 5 us a window, 40 % of the copy bandwidth).
#include "tile_attention_parts.h"

namespace tilefix {
namespace {

enum Mode { kFused, kCosine, kHead };

// S of up to kCount clicks in the block's cells, to shared memory.
template <typename T, int kCount>
__device__ void cosines(TileAttentionArguments const& a, Shared& s, T* tile, int first_click,
                        int first_cell) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    int const count = min(kCount, a.clicks - first_click), window = blockIdx.y;
    T const* const query =
        static_cast<T const*>(a.query) + (size_t(window) * a.clicks + first_click) * a.embedding;
    T const* const v = static_cast<T const*>(a.v) + size_t(window) * a.embedding * cells;
    bool const resident = a.embedding <= kVRows;  // then staged before the first group, and kept
    float sum[kCount][8] = {}, squares[kCount] = {};
    for (int base = 0; base < a.embedding; base += kVRows) {
        int const rows = min(kVRows, a.embedding - base);
        __syncthreads();  // what was staged before has been read
        if (!resident) {
            stage_tile(tile, v + size_t(base) * cells, rows, cells, first_cell);
            close_copy_group();
        }
        for (int d = threadIdx.x; d < rows; d += kThreads) {
#pragma unroll
            for (int n = 0; n < kCount; ++n) {
                float const x =
                    n < count ? widen(query[size_t(n) * a.embedding + base + d]) : 0.f;
                s.cosine.query[d][n] = x;
                squares[n] += x * x;
            }
        }
        if (resident) {
            wait_for_copies<1>();  // u may still be on its way
        } else {
            wait_for_copies<0>();
        }
        __syncthreads();
        for (int d = warp * kSlices + lane / 4; d < rows; d += kWarps * kSlices) {
            float x[8];
            unpack(tile + d * kCells + lane % 4 * 8, x);
#pragma unroll
            for (int n = 0; n < kCount; ++n) {
                float const q = s.cosine.query[d][n];
#pragma unroll
                for (int i = 0; i < 8; ++i) sum[n][i] = fmaf(q, x[i], sum[n][i]);
            }
        }
    }
#pragma unroll
    for (int n = 0; n < kCount; ++n) {
        s.cosine.part[warp][n][cell_of_lane(lane)] = sum_slices(sum[n], lane);
        float const total = warp_sum(squares[n]);
        if (lane == 0) s.squares[warp][n] = total;
    }
    __syncthreads();
    if (warp < count) {  // a warp for a click, a lane for a cell
        float total = 0.f, square = 0.f;
        for (int w = 0; w < kWarps; ++w) {
            total += s.cosine.part[w][warp][lane];
            square += s.squares[w][warp];
        }
        s.similarity[first_click + warp][lane] = total / fmaxf(sqrtf(square), kLengthFloor);
    }
}

// Confidence sums of one click over some of `rows` channels in shared memory: of every `step`th from
// the lane's first on.
template <typename T>
__device__ __forceinline__ void add_channels(Shared const& s, T const* tile, int from, int rows,
                                             int step, float const (&gate)[8],
                                             float (&sum)[kAnchors][8]) {
#pragma unroll 1
    for (int c = from; c < rows; c += step) {
        float x[8];
        unpack(tile + c * kCells, x);
        Weights const& w = s.head.weights[c];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            x[i] = leaky(fmaf(gate[i], fmaf(x[i], w.scale, w.shift), w.bias));
#pragma unroll
            for (int k = 0; k < kAnchors; ++k) sum[k][i] = fmaf(w.confidence[k], x[i], sum[k][i]);
        }
    }
}

// The winner of each click among the block's cells and all anchors.
template <typename T>
__device__ void head(TileAttentionArguments const& a, Workspace const& work, Shared& s, T* tile,
                     int first_cell) {
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32, cells = a.rows * a.columns;
    size_t const window = blockIdx.y;
    T const* const u = static_cast<T const*>(a.u) + window * a.hidden * cells;
    bool const resident = a.hidden <= kURows;
    for (int first = 0, together; first < a.clicks; first += together) {
        for (together = kGroup; together > a.clicks - first; together /= 2) {
        }
        int const mine = warp % together, split = warp / together;  // click; share of the channels
        int const slices = kWarps / together * kSlices, click = first + mine;
        float gate[8], sum[kAnchors][8] = {};
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            float const stretched =
                (s.similarity[click][lane % 4 * 8 + i] - s.low[click]) * s.inverse[click];
            gate[i] = fmaf(a.gate_slope, stretched, a.gate_offset);
        }
        for (int base = 0; base < a.hidden; base += kURows) {
            int const rows = min(kURows, a.hidden - base);
            __syncthreads();  // what was staged before has been read
            if (!resident) {
                stage_tile(tile, u + size_t(base) * cells, rows, cells, first_cell);
                close_copy_group();
            }
            if (!resident || first == 0) {
#pragma unroll 1
                for (int c = threadIdx.x; c < rows; c += kThreads) {
                    Weights& w = s.head.weights[c];
                    float const* const channel = a.channels + size_t(base + c) * 3;
                    w.scale = channel[0], w.shift = channel[1], w.bias = channel[2];
                    for (int k = 0; k < kAnchors; ++k)
                        w.confidence[k] =
                            k < a.anchor_count ? a.confidence[size_t(k) * a.hidden + base + c] : 0.f;
                }
            }
            wait_for_copies<0>();
            __syncthreads();
            add_channels(s, tile + lane % 4 * 8, split * kSlices + lane / 4, rows, slices, gate,
                         sum);
        }
#pragma unroll
        for (int k = 0; k < kAnchors; ++k)
            s.head.part[warp][k][cell_of_lane(lane)] = sum_slices(sum[k], lane);
        __syncthreads();
        if (warp < together) {
            int const cell = first_cell + lane;
            size_t const at = window * a.clicks + click;
            Key best = 0;
            if (cell < cells) {
                float const prior = log_prior(a, at, cell), cosine = s.similarity[click][lane];
                for (int k = 0; k < a.anchor_count; ++k) {
                    float logit = 0.f;
                    for (int w = warp; w < kWarps; w += together) logit += s.head.part[w][k][lane];
                    logit += a.anchors[8 * k] + a.anchors[8 * k + 1] * cosine + prior;
                    best = max(best, key_of(logit, unsigned(k) * cells + cell));
                }
            }
            best = warp_max(best);
            if (lane == 0) work.best[at * gridDim.x + blockIdx.x] = best;
        }
    }
}

template <typename T, Mode kMode>
__global__ void __launch_bounds__(kThreads, 2) scan(TileAttentionArguments a, Workspace work) {
    TILEFIX_DYNAMIC_SHARED(memory);
    Shared& s = *reinterpret_cast<Shared*>(memory);
    T* const v_tile = reinterpret_cast<T*>(memory + sizeof(Shared));
    T* const u_tile = v_tile + (kMode == kHead ? 0 : min(a.embedding, kVRows) * kCells);
    int const warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int const cells = a.rows * a.columns, first_cell = blockIdx.x * kCells;
    size_t const window = blockIdx.y, blocks = gridDim.x;

    // All that fits is asked for at once: v in one group, u in the next.
    if (kMode != kHead && a.embedding <= kVRows)
        stage_tile(v_tile, static_cast<T const*>(a.v) + window * a.embedding * cells, a.embedding,
                   cells, first_cell);
    close_copy_group();
    if (kMode != kCosine && a.hidden <= kURows)
        stage_tile(u_tile, static_cast<T const*>(a.u) + window * a.hidden * cells, a.hidden, cells,
                   first_cell);
    close_copy_group();

    if (kMode != kHead) {
        for (int first = 0; first < a.clicks; first += kGroup) {
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
        head<T>(a, work, s, u_tile, first_cell);
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
    size_t const v_bytes = min(a.embedding, kVRows) * row, u_bytes = min(a.hidden, kURows) * row;
    dim3 const grid(blocks, a.windows);
    auto const launch = [&](auto kernel, size_t tiles) -> int32_t {
        size_t const bytes = sizeof(Shared) + tiles;
        cudaError_t const refused = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
        if (refused != cudaSuccess) return refused;
        TILEFIX_LAUNCH(kernel, grid, kThreads, bytes, stream, a, work);
        return cudaPeekAtLastError();
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
    return cudaPeekAtLastError();
}

}  // namespace
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
