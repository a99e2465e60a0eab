// CrossAttention (the equations: cross_attention.py). A block owns a head's 64 queries and passes over
// the keys with a running softmax, so that no logit goes to memory; heads are slices of the tokens'
// rows, so that nothing is transposed, and positions are added where rows are read.
//
//   attend    sums of weights times values over one part of the keys
//   merge     where the keys are split: the parts in order, divided by their weights
//
// Keys are split where heads and queries give fewer than 128 blocks (kBlocks), into 8 parts at most:
// each costs a write and a read of the queries' sums in float32. The number depends on the sizes
// alone, all sums have a fixed order, and nothing is atomic: equal calls give equal bits.
//
// float16 goes by tensor cores (cross_attention_tensor.h) where a head has a multiple of 8 channels;
// everything else by float32 arithmetic (cross_attention_float.h). Logits, weights' sums and output
// sums are float32's either way; q + Pq, k + Pk and the weights are rounded to float16 on tensor cores.
//
// Compulsory bytes in float16: 4 B D (L + S), once each of Q, O, K and V. Q and O are touched once;
// K and V once per 64 queries, after the first time out of the L2 cache. TensorRT's own kernel adds
// three transposed copies, as many bytes again twice over.
// Prediction, not measured (H100, 3.0 TB/s copies, 400 TFLOP/s of products in this form):
//
//   AttenGeo, 8 clicks, 64 x 1024 or back, 8 x 32     8.9 MB  3.0 us; products 0.5 GFLOP 1.3 us
//   OCGNet, 8 clicks, 64 x 64, 8 x 64                 2.1 MB  0.7 us; 0.07 GFLOP 0.2 us
//   TROGeo, 8 clicks, 1024 x 64, 12 x 64             13.4 MB  4.5 us; 1.6 GFLOP 4 us
//   TROGeo encoding, 1024 x 1024, 12 x 64             6.3 MB  2.1 us; 3.2 GFLOP 8 us
//
// A launch and the way of the first tile add 3 us, a split one (AttenGeo's 64 x 1024) 2 us for
// `merge`. So all but the last are as short as their launches: what can be saved beside TensorRT's
// own fused attention is its transposing kernels, not time in this one.
#include "cross_attention_float.h"
#include "cross_attention_tensor.h"

namespace tilefix::cross {
inline namespace kernels {  // with a name: that of none is made from the path of the file

// One block a row of queries: rows x batch.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    merge(CrossAttentionArguments a, Plan plan, Partial partial) {
    int const row = blockIdx.x;
    size_t const lines = size_t(a.batch) * a.queries, line = size_t(blockIdx.y) * a.queries + row;
    for (int c = threadIdx.x; c < a.width; c += kThreads) {
        size_t const range = (size_t(blockIdx.y) * a.heads + c / plan.head) * a.queries + row;
        float top = -INFINITY, out = 0.f, total = 0.f;
        for (int split = 0; split < plan.splits; ++split)
            top = fmaxf(top, partial.range[split * lines * a.heads + range].x);
        for (int split = 0; split < plan.splits; ++split) {
            float2 const part = partial.range[split * lines * a.heads + range];
            float const shrink = exp2f(part.x - top);
            out = fmaf(shrink, partial.attended[(split * lines + line) * a.width + c], out);
            total = fmaf(shrink, part.y, total);
        }
        static_cast<T*>(a.attended)[line * a.width + c] = narrow<T>(out / total);
    }
}

template <typename Kernel>
int32_t launch(Kernel kernel, CrossAttentionArguments const& a, Plan const& plan, int rows,
               int threads, size_t bytes, cudaStream_t stream) {
    cudaError_t const refused =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(bytes));
    if (refused != cudaSuccess) return refused;
    dim3 const grid(unsigned(blocks_of(a.queries, rows)) * plan.splits, a.heads, a.batch);
    TILEFIX_LAUNCH(kernel, grid, threads, bytes, stream, a, plan, partial_in(a, plan.splits));
    return cudaGetLastError();
}

template <int kWidth>
int32_t by_tensors(CrossAttentionArguments const& a, Plan const& plan, cudaStream_t stream) {
    int const warps = min(kWarps, blocks_of(a.queries, 16));
    size_t const bytes = shared_bytes<kWidth>(a.key_position != nullptr);
    return launch(attend_by_tensors<kWidth>, a, plan, 16 * warps, 32 * warps, bytes, stream);
}

template <typename T>
int32_t by_floats(CrossAttentionArguments const& a, Plan const& plan, cudaStream_t stream) {
    return launch(attend_by_floats<T>, a, plan, kFloatRows, kThreads, float_shared_bytes(plan.head),
                  stream);
}

bool fits_tensors(CrossAttentionArguments const& a, int head) {
    void const* const read[] = {a.query, a.key, a.value, a.query_position, a.key_position,
                                a.attended};
    uintptr_t bits = 0;
    for (void const* pointer : read) bits |= reinterpret_cast<uintptr_t>(pointer);
    return a.half && head % 8 == 0 && bits % 16 == 0;
}

int32_t run(CrossAttentionArguments const& a, cudaStream_t stream) {
    Plan const plan = plan_of(a);
    int32_t failed;
    if (!fits_tensors(a, plan.head)) {
        failed = a.half ? by_floats<__half>(a, plan, stream) : by_floats<float>(a, plan, stream);
    } else if (plan.head <= 32) {
        failed = by_tensors<32>(a, plan, stream);
    } else if (plan.head <= 64) {
        failed = by_tensors<64>(a, plan, stream);
    } else {
        failed = by_tensors<128>(a, plan, stream);
    }
    if (failed || plan.splits == 1) return failed;
    dim3 const grid(a.queries, a.batch);
    Partial const partial = partial_in(a, plan.splits);
    if (a.half) {
        TILEFIX_LAUNCH(merge<__half>, grid, kThreads, 0, stream, a, plan, partial);
    } else {
        TILEFIX_LAUNCH(merge<float>, grid, kThreads, 0, stream, a, plan, partial);
    }
    return cudaGetLastError();
}

}  // namespace kernels
}  // namespace tilefix::cross

extern "C" int32_t tilefix_cross_attention_splits(int32_t batch, int32_t queries, int32_t keys,
                                                  int32_t heads) {
    return tilefix::cross::splits_of(batch, queries, keys, heads);
}

extern "C" size_t tilefix_cross_attention_workspace_bytes(int32_t batch, int32_t queries,
                                                          int32_t keys, int32_t heads,
                                                          int32_t width, int32_t splits) {
    using namespace tilefix::cross;
    if (splits == 1) return 0;
    int const tiles = blocks_of(keys, kKeys);
    if (splits > 1) return partial_bytes(min(splits, tiles), batch, queries, heads, width);
    // Fewer clicks may be split where more are not. What is split has fewer than kBlocks blocks, and
    // after it fewer than 2 kBlocks; each leaves a head's sums of kRows queries.
    if (tiles < 4) return 0;
    size_t const blocks = 2 * kBlocks * (size_t(kRows) * (width / heads) * sizeof(float) +
                                         kRows * sizeof(float2)) + 16;
    int const most = min(kSplits, tiles / 2);
    return min(blocks, partial_bytes(most, batch, queries, heads, width));
}

extern "C" int32_t tilefix_cross_attention(CrossAttentionArguments const* arguments, void* stream) {
    CrossAttentionArguments const& a = *arguments;
    if (a.struct_bytes != int64_t(sizeof a)) return TILEFIX_OTHER_VERSION;
    bool const sizes = a.batch >= 1 && a.batch <= 65535 && a.queries >= 1 && a.keys >= 1 &&
                       a.heads >= 1 && a.heads <= 65535 && a.width >= a.heads &&
                       a.width % a.heads == 0 && a.width / a.heads <= TILEFIX_HEAD_WIDTH_LIMIT &&
                       a.splits >= 0 && a.queries <= (1 << 24) && a.keys <= (1 << 24) &&
                       (a.query_position_rows == 1 || a.query_position_rows == a.queries) &&
                       (a.key_position_rows == 1 || a.key_position_rows == a.keys);
    if (!sizes) return TILEFIX_BAD_SIZE;
    bool const split = tilefix::cross::plan_of(a).splits > 1;
    if (!a.query || !a.key || !a.value || !a.attended || (split && !a.workspace))
        return TILEFIX_BAD_POINTER;
    return tilefix::cross::run(a, static_cast<cudaStream_t>(stream));
}
