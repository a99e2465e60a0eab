// Features out of an INT8 store: level times the scale of its channel, rounded to float16 once.
//
// An int8 times a float16 has at most 19 significant bits, so the product in float32 is exact and
// the one rounding is that of the conversion: subnormal numbers, infinity and the sign of zero come
// out as edge.feature_quantization has them on the host.
//
// Grid: x covers a channel by kPerThread * blockDim.x levels, y is the channel. A thread takes
// levels that lie blockDim.x apart, so that the loads of a warp lie together whatever the size of a
// map, and several are under way at once.
//
// dequantise.ptx beside this file is what the driver is given. To make it again:
//
//     nvcc -std=c++17 -arch=compute_75 -ptx dequantise.cu -o dequantise.ptx
//
// and set its ".version" to 6.3, which the drivers of every JetPack with TensorRT 10 read.
#include <cuda_fp16.h>

constexpr unsigned kPerThread = 4;

// levels [C, plane] int8, scales [C] float16 -> features [C, plane] float16
extern "C" __global__ void tilefix_dequantise(const signed char* levels, const __half* scales,
                                              __half* features, unsigned plane) {
  const float scale = __half2float(scales[blockIdx.y]);
  const size_t channel = size_t(blockIdx.y) * plane;
  const unsigned first = blockIdx.x * blockDim.x * kPerThread + threadIdx.x;
#pragma unroll
  for (unsigned k = 0; k < kPerThread; ++k) {
    const unsigned i = first + k * blockDim.x;
    if (i < plane) features[channel + i] = __float2half_rn(float(levels[channel + i]) * scale);
  }
}
