// What precedes TileAttention's one kernel: zero counters, a packed head, the queries' lengths.
#ifndef TILEFIX_TILE_ATTENTION_PREPARE_H_
#define TILEFIX_TILE_ATTENTION_PREPARE_H_

#include "tile_attention_tensor.h"

namespace tilefix {

constexpr unsigned kPackers = 3;  // kinds of blocks, at work side by side: a lone window waits for them

struct Packer {  // a thread, among those of its kind
    unsigned me, all;
};

// The head in float16, as fragments.
__device__ inline void pack_fragments(TileAttentionArguments const& a, PackedHead& head, Packer by) {
    auto const pair = [&](int anchor, int c) {
        bool const there = anchor < a.anchor_count;
        float const* const row = a.confidence + size_t(there ? anchor : 0) * a.hidden + c;
        return word_of(__floats2half2_rn(there ? kBent * row[0] : 0.f, there ? kBent * row[1] : 0.f));
    };
    unsigned const steps = a.hidden / kRows;
    for (unsigned i = by.me; i < steps * 32; i += by.all) {
        int const c = i / 32 * kRows + i % 4 * 2, anchor = i % 32 / 4;
        head.fragment[i / 32][i % 32] = uint4{pair(anchor, c), pair(anchor, c + 8),
                                              pair(anchor + 8, c), pair(anchor + 8, c + 8)};
    }
    for (unsigned i = by.me; i < steps * 4; i += by.all) {
        TileAffine affine{};
        for (int j = 0; j < 2; ++j) {
            float const* const x = a.channels + size_t(i / 4 * kRows + i % 4 * 2 + 8 * j) * 3;
            affine.scale[j] = __floats2half2_rn(x[0], x[3]);
            affine.shift[j] = __floats2half2_rn(x[1], x[4]);
            affine.bias[j] = __floats2half2_rn(x[2], x[5]);
        }
        head.affine[i / 4][i % 4] = affine;
    }
}

// The head in float32, as lanes read it that share a cell's channels; 0 beyond channels and anchors.
__device__ inline void pack_exact(TileAttentionArguments const& a, PackedHead& head, Packer by) {
    unsigned const each = unsigned(a.hidden + 31) / 32 * kPackedLanes;
    for (unsigned i = by.me; i < kExactRows * each; i += by.all) {
        int const row = i / each, place = i % each;
        int const first = place / kPackedLanes * 32 + place % kPackedLanes;
        float x[4];
        for (int j = 0; j < 4; ++j) {
            int const c = first + 8 * j;
            bool const there = c < a.hidden && row < 3 + a.anchor_count;
            x[j] = !there    ? 0.f
                   : row < 3 ? a.channels[3 * c + row]
                             : a.confidence[size_t(row - 3) * a.hidden + c];
        }
        head.exact[row][place] = float4{x[0], x[1], x[2], x[3]};
    }
}

// kLeak W . bias of the anchors, each by a warp.
__device__ inline void pack_straight(TileAttentionArguments const& a, PackedHead& head, Packer by) {
    unsigned const anchor = by.me / 32;
    if (anchor >= unsigned(a.anchor_count)) return;
    float sum = 0.f;
#pragma unroll 8
    for (int c = by.me % 32; c < a.hidden; c += 32)
        sum = fmaf(a.confidence[size_t(anchor) * a.hidden + c], a.channels[3 * c + 2], sum);
    sum = warp_sum(sum);
    if (by.me % 32 == 0) head.straight[anchor] = kLeak * sum;
}

__device__ inline void measure_queries(TileAttentionArguments const& a, TileWorkspace const& work,
                                       Packer by) {
    unsigned const calls = a.windows * a.clicks;
    for (unsigned at = by.me / 32; at < calls; at += by.all / 32) {
        auto const* const query = static_cast<__half const*>(a.query) + size_t(at) * a.embedding;
        float square = 0.f;
#pragma unroll 8
        for (int d = by.me % 32; d < a.embedding; d += 32)
            square = fmaf(widen(query[d]), widen(query[d]), square);
        square = warp_sum(square);
        if (by.me % 32 == 0) work.inverse_length[at] = 1.f / fmaxf(sqrtf(square), kLengthFloor);
    }
}

__global__ void __launch_bounds__(kThreads) prepare(TileAttentionArguments a, TileWorkspace work) {
    let_next_launch_begin();
    Packer const by = {blockIdx.x / kPackers * kThreads + threadIdx.x,
                       gridDim.x / kPackers * kThreads};
    if (blockIdx.x % kPackers == 0) {
        measure_queries(a, work, by);
    } else if (blockIdx.x % kPackers == 1) {
        pack_fragments(a, *work.head, by);
        pack_straight(a, *work.head, by);
    } else {
        unsigned const counters = a.windows * (2 + 3 * a.clicks);  // as the workspace has them
        for (unsigned i = by.me; i < counters; i += by.all) work.cosines_done[i] = 0;
        pack_exact(a, *work.head, by);
    }
}

}  // namespace tilefix
#endif
