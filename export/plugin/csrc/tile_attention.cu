// TileAttention (the equations: tile_attention.py).
//
// float16 inputs go by tensor cores where channel counts are multiples of 16, v's of any number, u's
// up to 256: `prepare` packs the head, then one kernel does everything, its blocks by turns reading v
// for S (tile_attention_cosines.h), reading u and ranking cells by the head (tile_attention_ranks.h),
// evaluating in float32 the cells that can win (tile_attention_exact.h), and answering clicks
// (tile_attention_winner.h), so that memory is busy while the head is computed.
// tile_attention_tensor.h has the order of the work. Everything else goes by float32 arithmetic
// (tile_attention_scan.h). The answers are float32's either way. Every sum has a fixed order, so
// equal calls give equal bits.
//
// Compulsory bytes: (D + C) cells 2 for v and u in float16; all else is a few percent (S, 4 N cells
// bytes, is written once and read once, out of the L2 cache). 64 x 64 x (512 + 256) cells: 6.3 MB a
// window; lite's 128 x 128 x (128 + 64): 6.3 MB. At the H200's measured copy bandwidth, 4.10 TB/s,
// these take 1.53 us.
//
// Measured on an H200, in us a window; first: when each block waited for its tile and evaluated a
// cell of each click exactly; then: as one kernel whose answers evaluated all near cells (aab0429,
// random inputs of DetGeo's variant and of lite's):
//   clicks                   1          2          4          8          16         64
//   batch of 32         6.2, 3.2   6.7, 3.0   8.0, 3.7   10, 4.3    17, 8.4    58, 16
//   lone window         25, 35     26, 29     28, 40     32, 43     46, 87     118, 117
//   lite, its batch     12, 4.0    14, 4.5    17, 5.0    21, 5.5    37, 8.7    142, 29
//   lite, lone          37, 30     39, 34     43, 36     44, 33     62, 49     181, 92
// MOGeo's variant (aab0429, no record kept): in a batch 4.5, 24 and 21.5 with 1, 8 and 16 clicks, lone 43, 171 and
// 143; models with random weights, whose maps are flat, lost half a millisecond: an answer, one
// block, evaluated nearly all cells of the window.
//
// Prediction, not measured, of what is here now. A share of n clicks evaluates 64 n cells at most; a
// warp does that for 16 cells in 271 instructions per 32 channels, and some 550 besides (sm_90,
// counted in the machine code). Where few cells are near, as many as 16 of a block take 83 per 32
// channels and some 400 besides, about 1 us in the chain of a lone window; for that the answer is
// left with three trips to the L2 cache. A lone window: launches 5 us, v 4, S and its range 2, ranks
// and logits 4, answer 3: 18 us with up to 8 clicks, 20 with 16 and 30 with 64; lite: 13, 16 and 40.
// A flat map costs a lone window 9 us more with 8 clicks, 18 with 16 and 45 with 64; lite 10, 20 and
// 80; no map costs more than a flat one. In a batch a window has some 2100 cycles of instructions
// with 8 clicks, 1.1 us; the counts of aab0429 promised 1.9 us there and 4.3 were measured, since
// blocks wait more than is counted; so 2.9 us with 1 click, 3.8 with 8, 5.5 with 16, and as much for
// MOGeo's variant; lite 3.8, 5, 8 and, with 64, 27.
#include "tile_attention_scan.h"
#include "tile_attention_cosines.h"
#include "tile_attention_prepare.h"
#include "tile_attention_ranks.h"
#include "tile_attention_winner.h"

namespace tilefix {
inline namespace kernels {  // with a name: that of none is made from the path of the file

__host__ __device__ inline int parts_of(int clicks, int share_clicks) {
    return (clicks + share_clicks - 1) / share_clicks;
}

template <bool kAligned>
__global__ void __launch_bounds__(kTileThreads, kAligned ? kTileBlocks : 2)
    tile_attention(TileAttentionArguments a, TileWorkspace work, Order order, int tiles,
                   int share_clicks) {
    TILEFIX_DYNAMIC_SHARED(memory);
    TileShared& s = *reinterpret_cast<TileShared*>(memory);
    unsigned char* const middle = memory + sizeof(TileShared);
    __half* const u_tile = reinterpret_cast<__half*>(middle + middle_bytes(a.hidden));
    Item const item = order.item_of(blockIdx.x);
    int const cells = a.rows * a.columns, parts = parts_of(a.clicks, share_clicks);
    if (item.answers >= 0) {
        wait_for_launch_before();
        if (threadIdx.x == 0) wait_for_count(&work.ranks_done[item.answers], order.shares);
        __syncthreads();
        answer_click(a, work, s, item.answers, item.index, tiles);
        return;
    }
    int const tile = parts == 1 ? item.index : item.index / parts;
    int const first_click = (item.index - tile * parts) * share_clicks;
    Share by = {item.ranks, tile, tiles, first_click, min(first_click + share_clicks, a.clicks)};
    bool const ranks = item.ranks >= 0;
    auto const ask_for_u = [&] {  // before all waiting
        if (ranks)
            stage_u(u_tile, static_cast<__half const*>(a.u) + size_t(item.ranks) * a.hidden * cells,
                    a.hidden, cells, by.tile * kTile, kAligned);
    };
    if (item.cosines >= 0) {
        by.window = item.cosines;
        cosines_of_tile<kAligned>(a, work, reinterpret_cast<float*>(middle), by, ask_for_u);
        if (a.min_max && threadIdx.x == 0) count_up(&work.cosines_done[by.window]);
        by.window = item.ranks;
    } else {
        ask_for_u();
    }
    if (!ranks) return;
    if (threadIdx.x == 0) s.items = 0;
    wait_for_launch_before();
    stage_head(work, middle, a.hidden / kRows);
    close_copy_group();
    stage_clicks(a, work, s, by.window, order.shares);
    wait_for_copies<0>();
    __syncthreads();
    ranks_of_tile(a, work, s, middle, u_tile, by);
    exact_of_tile(a, work, s, reinterpret_cast<uint16_t*>(middle), u_tile, by);
    __syncthreads();
    if (threadIdx.x == 0) count_up(&work.ranks_done[by.window]);
}

}  // namespace kernels

// Whether tensor cores take a call; float32 arithmetic takes everything.
inline bool suits_tensors(TileAttentionArguments const& a) {
    return a.half && a.embedding % kRows == 0 && a.hidden % kRows == 0 && a.hidden <= kHeadRows;
}

inline int multiprocessors() {
    int device = 0, count = 0;
    cudaGetDevice(&device), cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
    return count;
}

inline bool is_aligned(void const* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

inline int32_t run_on_tensors(TileAttentionArguments const& a, cudaStream_t stream) {
    int const cells = a.rows * a.columns, tiles = (cells + kTile - 1) / kTile;
    TileWorkspace work;
    tile_workspace_bytes(a.windows, a.clicks, cells, a.workspace, &work);
    if (a.attention && !a.min_max) work.similarity = a.attention;
    int64_t const calls = int64_t(a.windows) * a.clicks, all = int64_t(a.windows) * tiles;
    int const each = clicks_of_share(a.clicks, all, multiprocessors());
    int64_t const shares = int64_t(tiles) * parts_of(a.clicks, each);
    if ((2 * shares + a.clicks) * a.windows > INT32_MAX) return TILEFIX_BAD_SIZE;
    Order const order = order_of_work(a.min_max, a.windows, unsigned(shares), a.clicks);
    size_t const bytes =
        sizeof(TileShared) + middle_bytes(a.hidden) + size_t(a.hidden) * kTile * sizeof(__half);
    unsigned const packers = unsigned(min(calls / kWarps + 8, int64_t{1024}));  // of each kind
    TILEFIX_LAUNCH(prepare, dim3(kPackers * packers), kThreads, 0, stream, a, work);
    auto const launch = [&](auto kernel) -> int32_t {
        cudaError_t const refused = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
        if (refused != cudaSuccess) return refused;
        TILEFIX_LAUNCH_EARLY(kernel, dim3(order.items()), kTileThreads, bytes, stream, a, work,
                       order, tiles, each);
        return cudaGetLastError();
    };
    bool const aligned = cells % 8 == 0 && is_aligned(a.v) && is_aligned(a.u) && is_aligned(a.query) &&
                         is_aligned(work.similarity);
    return aligned ? launch(tile_attention<true>) : launch(tile_attention<false>);
}

}  // namespace tilefix

extern "C" size_t tilefix_tile_attention_workspace_bytes(int32_t windows, int32_t clicks,
                                                         int32_t cells) {
    size_t const by_floats = tilefix::scan_workspace_bytes(windows, clicks, cells);
    size_t const by_tensors = tilefix::tile_workspace_bytes(windows, clicks, cells);
    return by_floats > by_tensors ? by_floats : by_tensors;
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
    if (tilefix::suits_tensors(a)) return tilefix::run_on_tensors(a, on);
    return a.half ? tilefix::run_scan<__half>(a, on) : tilefix::run_scan<float>(a, on);
}
