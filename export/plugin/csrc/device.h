// What a kernel needs of CUDA, or of the host's imitation of it: under nvcc the real thing, under
// g++ -DTILEFIX_HOST the same names from host_block.h, so that one source is tested on any machine.
#ifndef TILEFIX_DEVICE_H_
#define TILEFIX_DEVICE_H_

#ifdef TILEFIX_HOST
#include "host_block.h"
#else
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#define TILEFIX_LAUNCH(kernel, grid, threads, shared_bytes, stream, ...) \
    kernel<<<grid, threads, shared_bytes, stream>>>(__VA_ARGS__)
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

}  // namespace tilefix
#endif

namespace tilefix {

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
__device__ __forceinline__ T zero();
template <>
__device__ __forceinline__ float zero<float>() {
    return 0.f;
}
template <>
__device__ __forceinline__ __half zero<__half>() {
    return __float2half(0.f);
}

}  // namespace tilefix
#endif
