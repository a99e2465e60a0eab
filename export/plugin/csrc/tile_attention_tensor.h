// TileAttention for float16 on tensor cores: what its kernels share, and the order of their work.
//
// One kernel does everything: a block has the cosines of a share of one window, the ranks of the same
// share of that window or an earlier one, both, or a click's answer. It waits only for blocks of lower
// index, which began before it; so all ends however many the GPU runs at once. Atomics count, and take
// the maximum of integers; no sum depends on who comes first.
#ifndef TILEFIX_TILE_ATTENTION_TENSOR_H_
#define TILEFIX_TILE_ATTENTION_TENSOR_H_

#include "tile_attention_parts.h"

namespace tilefix {

constexpr int kTile = 64;         // cells of a block; a row of a tile is one line of 128 bytes
constexpr int kTileThreads = 128;
constexpr int kTileWarps = kTileThreads / 32;
// Blocks of a multiprocessor at once that registers are shared out for; shared memory holds as many
// with 256 channels of u (on sm_86, 89 and 120 two).
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ < 900 || __CUDA_ARCH__ >= 1200)
constexpr int kTileBlocks = 3;
#else
constexpr int kTileBlocks = 4;
#endif
constexpr int kRows = 16;         // channels of one product, and clicks
constexpr int kHeadRows = 256;    // channels of u at most
constexpr int kHeadSteps = kHeadRows / kRows;
constexpr int kTogether = 8;      // clicks that are ranked together
constexpr int kPartRow = 80;      // floats: 64 cells, spread over banks
constexpr unsigned kLead = 320;   // shares that cosines are ahead of ranks, where there are so many,
constexpr unsigned kLag = 512;    // and ranks of answers

constexpr int kExactRows = 3 + kAnchors;   // scale, shift, bias, then the anchors' weights
constexpr int kPackedLanes = 8;  // of the head in float32: a float4 is every eighth of 32 channels

constexpr float kBent = 1.f - kLeak;  // leaky(z) = kLeak z + kBent max(z, 0)

struct alignas(16) TileAffine {  // of channels 2 t and 2 t + 1, and of the next eight's
    __half2 scale[2], shift[2], bias[2], unused[2];
};

struct PackedHead {  // as `prepare` leaves it in the workspace
    uint4 fragment[kHeadSteps][32];  // a lane's kBent W: columns are anchors 0..7, then 8..15
    TileAffine affine[kHeadSteps][4];
    float straight[kRows];           // kLeak W . bias of an anchor
    float4 exact[kExactRows][kHeadRows / 4];  // element 8 g + s: channels 32 g + s, + 8, + 16, + 24
};

struct TileWorkspace {
    PackedHead* head;
    unsigned* cosines_done;  // [windows] shares; from here to the end of best_rank it begins as 0
    unsigned* ranks_done;    // [windows]
    uint2* range;            // [windows, clicks] largest rank of S, and of its complement
    unsigned* best_rank;     // [windows, clicks] order of the largest rank so far
    float* inverse_length;   // [windows, clicks] of the query
    float* similarity;       // [windows, clicks, cells], or the map itself where it is S
    Key* peak;               // [windows, clicks, tiles] largest S
    Key* exact;              // [windows, clicks, tiles] best logit of the cells evaluated in float32
    float* top;              // [windows, clicks, tiles] largest rank
};

struct Share {  // a block's: some clicks of a tile of a window
    int window, tile, tiles, first_click, end_click;
};

struct alignas(16) TileShared {
    struct {
        float low, inverse, slope;   // the gate is affine in (S - low) inverse, with slope in S
        float blurred, x_px, y_px;   // of the prior
    } click[kClicks];
    float2 anchor[kRows];            // a rank's constant part, tau
    float constant[kRows];           // a logit's
    float similarity[kTileWarps][kTogether][kRows];
    float top[kTileWarps][kClicks];      // of a warp's cells the largest rank,
    unsigned near[kTileWarps][kClicks];  // and which come near it
    Key exact[kClicks];
    Key keys[kTileWarps];
    float parts[kTileWarps][4];
    unsigned items;
    // behind it: fragments and affine of the head, before them the cosines' parts, after them the
    // cells to evaluate; then u [hidden][kTile]
};
constexpr size_t kStepBytes = 32 * sizeof(uint4) + 4 * sizeof(TileAffine);
constexpr size_t kPartBytes = size_t(kTileWarps) * 8 * kPartRow * sizeof(float);

__host__ __device__ inline size_t middle_bytes(int hidden) {
    size_t const head = size_t(hidden / kRows) * kStepBytes;
    return head > kPartBytes ? head : kPartBytes;
}
static_assert(kPartBytes >= kClicks * kTile * sizeof(uint16_t), "all cells of all clicks fit");
static_assert(2 * (sizeof(TileShared) + kHeadSteps * kStepBytes + kHeadRows * kTile * 2 + 1024) <=
                  100 * 1024, "two blocks fit a multiprocessor of sm_86 to sm_120");

// A rank's order as an unsigned number, 0 below all.
__device__ __forceinline__ unsigned order_of(float value) { return unsigned(key_of(value, 0) >> 32); }
__device__ __forceinline__ float value_of_order(unsigned order) { return value_of(Key(order) << 32); }

struct Item {  // of a block; a window of -1 is none
    int cosines, ranks, answers;  // windows
    int index;                    // of the share in both its windows, or of the click
};

// Clicks of a share. Fewer than all where multiprocessors would have nothing to do, as in a lone
// window: v and u are read again for each share, but at once, and out of the L2 cache.
inline int clicks_of_share(int clicks, int64_t tiles, int multiprocessors) {
    int const fewest = clicks <= 8 ? 4 : clicks <= kRows ? 8 : kRows;
    int64_t const wanted = int64_t(clicks > kRows ? 4 : 2) * multiprocessors / tiles;
    int64_t const parts = max(wanted, int64_t{1}), each = (clicks + parts - 1) / parts;
    return int(min((each + fewest - 1) / fewest * fewest, int64_t(clicks)));
}

// What a block has to do, by its index: in that order CUDA starts them, on which CUB's scans rest too
// ("blocks are launched in increasing order"). So what a block waits for has begun before it.
//
// With a min-max gate the ranks of a window need all its cosines, and an answer all its ranks. So a
// block computes the cosines of a share and the ranks of the same share `lead` windows before; v is
// read while another block computes. Answers follow `lag` windows behind: of many, they need not wait.
// The first lead windows of blocks have cosines only, the last lead ranks only; `shares` of a window.
struct Order {
    unsigned windows, shares, clicks, lead, lag;

    __host__ __device__ unsigned items() const {
        return (windows + lead) * shares + windows * clicks;
    }
    __host__ __device__ Item item_of(unsigned block) const {
        unsigned const both = shares + clicks, alone = (lead + lag) * shares;
        unsigned const mixed = (windows - lag) * both;
        bool const early = block < alone, late = block >= alone + mixed;
        unsigned const rest = early ? block : block - alone - (late ? mixed : 0);
        unsigned const each = early ? shares : late ? clicks : both, turn = rest / each;
        unsigned const at = rest - turn * each;
        if (late) return {-1, -1, int(windows - lag + turn), int(at)};
        if (at >= shares) return {-1, -1, int(turn), int(at - shares)};
        unsigned const window = early ? turn : lead + lag + turn;
        return {window < windows ? int(window) : -1, window < lead ? -1 : int(window - lead), -1,
                int(at)};
    }
};

inline Order order_of_work(bool min_max, unsigned windows, unsigned shares, unsigned clicks) {
    auto const windows_of = [&](unsigned blocks) { return min(windows, 1 + (blocks - 1) / shares); };
    return {windows, shares, clicks, min_max ? windows_of(kLead) : 0, windows_of(kLag)};
}

// Bytes of the workspace, and through `work` where its arrays lie in `base`.
inline size_t tile_workspace_bytes(size_t windows, size_t clicks, size_t cells,
                                   void* base = nullptr, TileWorkspace* work = nullptr) {
    size_t const calls = windows * clicks, tiles = (cells + kTile - 1) / kTile;
    size_t const counters = sizeof(PackedHead), range = counters + 2 * windows * 4;
    size_t const best_rank = range + calls * sizeof(uint2), peak = best_rank + (calls + 1) / 2 * 8;
    size_t const exact = peak + calls * tiles * sizeof(Key), top = exact + calls * tiles * sizeof(Key);
    size_t const length = top + calls * tiles * sizeof(float);
    size_t const similarity = (length + calls * sizeof(float) + 15) / 16 * 16;
    if (work) {
        auto* const at = static_cast<unsigned char*>(base);
        work->head = reinterpret_cast<PackedHead*>(at);
        work->cosines_done = reinterpret_cast<unsigned*>(at + counters);
        work->ranks_done = work->cosines_done + windows;
        work->range = reinterpret_cast<uint2*>(at + range);
        work->peak = reinterpret_cast<Key*>(at + peak);
        work->best_rank = reinterpret_cast<unsigned*>(at + best_rank);
        work->exact = reinterpret_cast<Key*>(at + exact);
        work->top = reinterpret_cast<float*>(at + top);
        work->inverse_length = reinterpret_cast<float*>(at + length);
        work->similarity = reinterpret_cast<float*>(at + similarity);
    }
    return similarity + calls * cells * sizeof(float);
}

// Where 16 bytes of a row of u's tile lie: eight rows' pieces of the same cells in different banks.
__device__ __forceinline__ int piece_at(int row, int cell) {
    return row * kTile + (cell ^ (row & 7) << 3);
}

// u's columns of a tile to shared memory, in the background; 0 beyond the window.
__device__ inline void stage_u(__half* to, __half const* from, int rows, int cells, int first,
                               bool aligned) {
    if (aligned) {
        int const cell = threadIdx.x % 8 * 8;
        for (int row = threadIdx.x / 8; row < rows; row += kTileThreads / 8) {
            __half* const place = to + piece_at(row, cell);
            if (first + cell < cells) {
                copy_16_bytes(place, from + size_t(row) * cells + first + cell);
            } else {
                *reinterpret_cast<uint4*>(place) = uint4{0, 0, 0, 0};
            }
        }
    } else {
        for (int i = threadIdx.x; i < rows * kTile; i += kTileThreads) {
            int const row = i / kTile, cell = i % kTile;
            to[piece_at(row, cell)] =
                first + cell < cells ? from[size_t(row) * cells + first + cell] : zero<__half>();
        }
    }
}

}  // namespace tilefix
#endif
