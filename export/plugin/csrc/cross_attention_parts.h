// Pieces of the CrossAttention kernels: sizes, how the keys are split, where things lie.
#ifndef TILEFIX_CROSS_ATTENTION_PARTS_H_
#define TILEFIX_CROSS_ATTENTION_PARTS_H_

#include "cross_attention.h"
#include "device.h"

namespace tilefix::cross {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kRows = 16 * kWarps;  // queries of a block on tensor cores, where there are as many
constexpr int kKeys = 64;           // of a tile; splits are of whole tiles
constexpr int kBlocks = 128;        // wanted at once; where heads and queries give fewer, keys are split
constexpr int kSplits = 8;          // and no further
constexpr float kLog2e = 1.4426950408889634f;

__host__ __device__ constexpr int blocks_of(int count, int each) {
    return count / each + (count % each != 0);
}

// Each part has two tiles at least: a tile's arithmetic then hides the next one's way.
inline int splits_of(int batch, int queries, int keys, int heads) {
    int64_t const blocks = int64_t(batch) * heads * blocks_of(queries, kRows);
    int const wanted = min(int((kBlocks + blocks - 1) / blocks), kSplits);
    return max(1, min(wanted, blocks_of(keys, kKeys) / 2));
}

struct Plan {
    int splits;
    int tiles;  // of one part; the last may have fewer
    int head;   // channels of one
};

// The same number of tiles for all parts but the last, so that no part is empty.
inline Plan plan_of(CrossAttentionArguments const& a) {
    int const all = blocks_of(a.keys, kKeys);
    int const wanted = a.splits ? a.splits : splits_of(a.batch, a.queries, a.keys, a.heads);
    int const tiles = blocks_of(all, min(wanted, all));
    return {blocks_of(all, tiles), tiles, a.width / a.heads};
}

// What the parts leave for `merge`; unused where there is one.
struct Partial {
    float* attended;  // [splits, batch, queries, width] sums of weights times values
    float2* range;    // [splits, batch, heads, queries] largest logit times log2(e), sum of weights
};

inline size_t padded_floats(size_t rows, int width) { return (rows * width + 3) / 4 * 4; }

inline size_t partial_bytes(size_t splits, int batch, int queries, int heads, int width) {
    size_t const rows = splits * batch * queries;
    return padded_floats(rows, width) * sizeof(float) + rows * heads * sizeof(float2);
}

inline Partial partial_in(CrossAttentionArguments const& a, int splits) {
    Partial p;
    p.attended = static_cast<float*>(a.workspace);
    size_t const rows = size_t(splits) * a.batch * a.queries;
    p.range = reinterpret_cast<float2*>(p.attended + padded_floats(rows, a.width));
    return p;
}

// A row of `partial.range` for a split, of the block's batch and head.
__device__ __forceinline__ size_t range_at(CrossAttentionArguments const& a, int split, int row) {
    return ((size_t(split) * a.batch + blockIdx.z) * a.heads + blockIdx.y) * a.queries + row;
}

// Where a row of a position tensor begins; one row serves all where there is only one.
template <typename T>
__device__ __forceinline__ T const* position_row(void const* position, int rows, int row,
                                                 int width) {
    return static_cast<T const*>(position) + (rows == 1 ? 0 : size_t(row) * width);
}

}  // namespace tilefix::cross
#endif
