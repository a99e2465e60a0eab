// What a kernel needs of CUDA, or of the host's imitation of it: under nvcc the real thing, under
// g++ -DTILEFIX_HOST the same names from host_device.h, so that one source is tested on any machine.
#ifndef TILEFIX_DEVICE_H_
#define TILEFIX_DEVICE_H_

#ifdef TILEFIX_HOST
#include "host_device.h"
#else
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define TILEFIX_LAUNCH(kernel, grid, threads, shared_bytes, stream, ...) \
    kernel<<<grid, threads, shared_bytes, stream>>>(__VA_ARGS__)
// The same, but blocks may begin while the stream's launch before this one still runs, where the GPU
// can. Two rules: every thread calls `wait_for_launch_before` before it touches what that launch writes,
// or else before it ends; and that launch is an ordinary one. What a block reads ahead of the wait was
// there when that launch began.
#define TILEFIX_LAUNCH_EARLY(kernel, grid, threads, shared_bytes, stream, ...) \
    tilefix::launch_early(kernel, grid, threads, shared_bytes, stream, __VA_ARGS__)
#define TILEFIX_STATIC_SHARED(type, name) __shared__ type name
#define TILEFIX_DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

namespace tilefix {

// 16 bytes from global to shared memory, in the background; both addresses 16-byte aligned.
__device__ __forceinline__ void copy_16_bytes(void* to, void const* from) {
    auto const shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared), "l"(from) : "memory");
}

__device__ __forceinline__ void close_copy_group() {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Until at most `kOpen` of this thread's groups are unfinished; a barrier shows them to the others.
template <int kOpen>
__device__ __forceinline__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kOpen) : "memory");
}

// 16 bytes of global memory that nothing writes meanwhile and no other thread wants; x as it was where
// they are not wanted. Without a branch: loads of several steps can be on their way, each waited for
// alone.
__device__ __forceinline__ void load_once(uint4& x, void const* from, bool wanted) {
    asm volatile(
        "{.reg .pred p; setp.ne.s32 p, %5, 0;"
        "@p ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];}"
        : "+r"(x.x), "+r"(x.y), "+r"(x.z), "+r"(x.w)
        : "l"(from), "r"(int(wanted)));
}

// The same for 8 bytes that other threads want too.
__device__ __forceinline__ void load_shared_by_many(uint2& x, void const* from, bool wanted) {
    asm volatile("{.reg .pred p; setp.ne.s32 p, %3, 0; @p ld.global.nc.v2.u32 {%0,%1}, [%2];}"
                 : "+r"(x.x), "+r"(x.y)
                 : "l"(from), "r"(int(wanted)));
}

// Until the launch before is over and what it wrote is seen; and in that launch: the next may begin.
__device__ __forceinline__ void wait_for_launch_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void let_next_launch_begin() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

template <typename Kernel, typename... Arguments>
cudaError_t launch_early(Kernel kernel, dim3 grid, unsigned threads, size_t shared_bytes,
                         cudaStream_t stream, Arguments... arguments) {
    cudaFuncAttributes made{};
    cudaError_t const refused = cudaFuncGetAttributes(&made, reinterpret_cast<void const*>(kernel));
    if (refused != cudaSuccess) return refused;
    cudaLaunchAttribute early{};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config{};
    config.gridDim = grid, config.blockDim = dim3(threads), config.dynamicSmemBytes = shared_bytes;
    config.stream = stream, config.attrs = &early;
    config.numAttrs = made.ptxVersion >= 90;  // compiled with the waiting in it
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

// The host's imitation counts a block's costly steps; a GPU does not.
__device__ __forceinline__ void count_work() {}

// Until a counter that other blocks raise has come to `least`; then what they wrote before is seen.
__device__ __forceinline__ void wait_for_count(unsigned const* counter, unsigned least) {
    for (unsigned now = 0;; __nanosleep(32)) {
        asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
        if (now >= least) return;
    }
}

// Raises such a counter, after a barrier that the block's writes came before.
__device__ __forceinline__ void count_up(unsigned* counter) {
    asm volatile("red.release.gpu.global.add.u32 [%0], 1;" ::"l"(counter) : "memory");
}

// d += a b for 16 x 16 a and 16 x 8 b in float16, in the fragments of mma.m16n8k16: with
// lane = 4 g + t, a[0], a[1] hold rows g and g + 8 of columns 2 t and 2 t + 1, a[2], a[3] the same of
// columns 2 t + 8 and 2 t + 9; b[0], b[1] rows 2 t.. and 2 t + 8.. of column g; d rows g and g + 8 of
// columns 2 t and 2 t + 1.
__device__ __forceinline__ void multiply(float (&d)[4], unsigned const (&a)[4],
                                         unsigned b0, unsigned b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 8 matrices of float16 from shared memory, transposed. Lane 8 m + i points at row i of
// matrix m; out[m] gets its elements (2 t, g) and (2 t + 1, g).
__device__ __forceinline__ void load_transposed(unsigned (&out)[4], void const* row) {
    auto const at = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(at)
                 : "memory");
}

// The same without transposing: out[m] gets elements (g, 2 t) and (g, 2 t + 1).
__device__ __forceinline__ void load_rows(unsigned (&out)[4], void const* row) {
    auto const at = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(at)
                 : "memory");
}

}  // namespace tilefix
#endif

namespace tilefix {

__device__ __forceinline__ __half2 pair_of(unsigned word) {
    __half2 pair;
    memcpy(&pair, &word, 4);
    return pair;
}
__device__ __forceinline__ unsigned word_of(__half2 pair) {
    unsigned word;
    memcpy(&word, &pair, 4);
    return word;
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int step = 16; step; step /= 2) x += __shfl_xor_sync(~0u, x, step);
    return x;
}
__device__ __forceinline__ float warp_min(float x) {
#pragma unroll
    for (int step = 16; step; step /= 2) x = fminf(x, __shfl_xor_sync(~0u, x, step));
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int step = 16; step; step /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
    return x;
}

// Eight neighbours in shared memory, 16-byte aligned.
__device__ __forceinline__ void unpack(float const* from, float (&to)[8]) {
    auto const low = *reinterpret_cast<float4 const*>(from);
    auto const high = *reinterpret_cast<float4 const*>(from + 4);
    to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
    to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ __forceinline__ void unpack(__half const* from, float (&to)[8]) {
    struct alignas(16) Pairs {
        __half2 pair[4];
    };
    auto const raw = *reinterpret_cast<Pairs const*>(from);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        float2 const pair = __half22float2(raw.pair[i]);
        to[2 * i] = pair.x, to[2 * i + 1] = pair.y;
    }
}

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }

template <typename T>
__device__ __forceinline__ T narrow(float x);
template <>
__device__ __forceinline__ float narrow<float>(float x) {
    return x;
}
template <>
__device__ __forceinline__ __half narrow<__half>(float x) {
    return __float2half(x);
}

template <typename T>
__device__ __forceinline__ T zero() {
    return narrow<T>(0.f);
}

}  // namespace tilefix
#endif
