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
// Measured on an H200 (benchmarks/results), in us a window; random inputs of DetGeo's variant, whose
// maps have few near cells, and of lite's:
//   clicks                   1          2          4          8          16         64
//   batch of 32            2.7        2.8        3.0        3.6         4.9         15
//   lone window             24         24         24         26          30         48
//   lite, its batch        3.8        4.0        4.4        5.3         7.7         24
//   lite, lone              18         18         19         20          25         40
// MOGeo's variant in a batch: 2.6 with 1 click, 3.7 with 8; lone 22 and 25. A model's flat map costs
// `lite` no more than that (it lost half a millisecond when answers evaluated all near cells).
//
// Where a batch's time goes with 8 clicks, by the clock in a copy of the kernel, in cycles of a block:
// cosines 16,800: ticket 1300, v 10,000 (four trips to memory), adding and keeping S 3600, telling the
// others 1400. Ranks 23,200: ticket 1300, asking for u 1500, waiting for the window's S 2400, its
// range 2400, ranks 10,200, what can win 1500, evaluating it 3900. An answer 17,000. Four blocks at
// once share a multiprocessor: it issues in 35 of 100 cycles, 15,700 warp instructions a tile; and a
// call begins and ends with some 20 us that no batch of 32 hides.
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

// What a block has to do, to shared memory.
__device__ inline void draw_work(TileAttentionArguments const& a, TileWorkspace const& work,
                                 TileShared& s, int tiles, int share_clicks) {
    int const parts = parts_of(a.clicks, share_clicks);
    Item const item =
        item_of(atomicAdd(work.ticket, 1u), a.min_max, a.windows, tiles * parts, a.clicks);
    int const first = item.work == kAnswer ? item.index : item.index % parts * share_clicks;
    s.items = 0, s.work = item.work;
    s.by = {item.window, item.index / parts, tiles, first, min(first + share_clicks, a.clicks)};
}

template <bool kAligned>
__global__ void __launch_bounds__(kTileThreads, kAligned ? kTileBlocks : 2)
    tile_attention(TileAttentionArguments a, TileWorkspace work, int tiles, int share_clicks) {
    TILEFIX_DYNAMIC_SHARED(memory);
    TileShared& s = *reinterpret_cast<TileShared*>(memory);
    unsigned char* const middle = memory + sizeof(TileShared);
    __half* const u_tile = reinterpret_cast<__half*>(middle + middle_bytes(a.hidden));
    if (threadIdx.x == 0) draw_work(a, work, s, tiles, share_clicks);
    __syncthreads();
    Share const& by = s.by;
    int const cells = a.rows * a.columns, shares = tiles * parts_of(a.clicks, share_clicks);
    if (s.work == kAnswer) {
        if (threadIdx.x == 0) wait_for_count(&work.ranks_done[by.window], shares);
        __syncthreads();
        answer_click(a, work, s, by.window, by.first_click, tiles);
        return;
    }
    if (s.work & kRanks)  // asked for before all waiting
        stage_u(u_tile, static_cast<__half const*>(a.u) + size_t(by.window) * a.hidden * cells, a.hidden,
                cells, by.tile * kTile, kAligned);
    if (s.work & kCosines)
        cosines_of_tile<kAligned>(a, work, reinterpret_cast<float*>(middle), by);
    if (s.work & kRanks) {
        stage_head(work, middle, a.hidden / kRows);
        close_copy_group();
        if (s.work == kRanks && threadIdx.x == 0)
            wait_for_count(&work.cosines_done[by.window], shares);
        __syncthreads();
        stage_clicks(a, work, s, by.window);
        wait_for_copies<0>();
        __syncthreads();
        ranks_of_tile(a, work, s, middle, u_tile, by);
        exact_of_tile(a, work, s, reinterpret_cast<uint16_t*>(middle), u_tile, by);
    }
    __syncthreads();
    if (threadIdx.x == 0)
        count_up(s.work & kRanks ? &work.ranks_done[by.window] : &work.cosines_done[by.window]);
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
    int64_t const shares = all * parts_of(a.clicks, each);
    int64_t const items = shares * (a.min_max ? 2 : 1) + calls;
    if (items > INT32_MAX) return TILEFIX_BAD_SIZE;
    size_t const bytes =
        sizeof(TileShared) + middle_bytes(a.hidden) + size_t(a.hidden) * kTile * sizeof(__half);
    unsigned const packers = unsigned(min(calls / kWarps + 8, int64_t{1024}));  // of each kind
    TILEFIX_LAUNCH(prepare, dim3(kPackers * packers), kThreads, 0, stream, a, work);
    auto const launch = [&](auto kernel) -> int32_t {
        cudaError_t const refused = cudaFuncSetAttribute(
            kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
        if (refused != cudaSuccess) return refused;
        TILEFIX_LAUNCH(kernel, dim3(unsigned(items)), kTileThreads, bytes, stream, a, work, tiles,
                       each);
        return cudaGetLastError();
    };
    bool const aligned = cells % 8 == 0 && is_aligned(a.v) && is_aligned(a.u) && is_aligned(a.query);
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
