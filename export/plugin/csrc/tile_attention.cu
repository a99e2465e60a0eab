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
// Measured on an H200 at df9c2c9 (benchmarks/results), in us a window; random inputs of DetGeo's
// variant, whose maps have few near cells, and of lite's. In brackets what separate blocks for every
// tile's cosines and ranks took, by tickets, before (2abae6b):
//   clicks                   1          2          4          8          16         64
//   batch of 128           2.1        2.2        2.3        2.7        3.8        14
//   batch of 32            2.6 (2.7)  2.7 (2.8)  2.9 (3.0)  3.4 (3.6)  4.7 (4.9)  16 (15)
//   lone window            19 (23)    19 (24)    20 (24)    21 (25)    24 (29)    42 (48)
//   lite, batch of 128     3.1        3.3        3.6        4.4        6.4        21
//   lite, batch of 32      3.6 (3.8)  3.9 (4.0)  4.1 (4.4)  4.9 (5.3)  7.0 (7.6)  22 (24)
//   lite, lone             15 (18)    16 (18)    16 (19)    17 (20)    20 (24)    36 (39)
// A model's flat map costs little more: `lite` lost half a millisecond when answers evaluated all near
// cells, and has it back.
//
// Memory gives more: a kernel that only reads v, in the same tiles and as many blocks, takes 1.0 us a
// window of 192 and 1.2 of 48. A call begins and ends with some 15 us that no batch of 32 hides. With 8
// clicks a block of both kinds of work takes some 38,000 cycles, four of them at once: asking for u
// 3700, v 10,500, adding and keeping S 3700, waiting for others and staging 1500, ranks 14,000, what
// can win and evaluating it 3700, telling 900 (by the clock, in a copy of the kernel). Before, the four
// issued in 35 of 100 cycles, and tensor cores were busy less: what is missing is more work that is
// ready at once, and registers for it.
//
// Tried there and not kept: v of later windows brought to the L2 cache ahead of its turn (4 to 9 %
// slower), three blocks with twice the loads ahead (3 to 6 %, lite 16 %), three steps of v ahead (0 to
// 2 %) and four, which spill (10 %), the next step of ranks loaded before the present one (none), and
// answers further behind (none).
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
    // Not early: blocks of the next launch read v, u and queries before they wait for this one.
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
