// CUDA's vector types and float16 arithmetic for the host, in software.
#ifndef TILEFIX_HOST_HALF_H_
#define TILEFIX_HOST_HALF_H_

#include <cmath>
#include <cstdint>
#include <cstring>

struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(8) uint2 { unsigned x, y; };
struct __half { uint16_t bits; };
struct __half2 { __half x, y; };

inline float __half2float(__half h) {
    int const exponent = h.bits >> 10 & 31, fraction = h.bits & 1023;
    float const size = exponent == 31  ? (fraction ? NAN : INFINITY)
                       : exponent == 0 ? std::ldexp(float(fraction), -24)
                                       : std::ldexp(float(fraction + 1024), exponent - 25);
    return h.bits >> 15 ? -size : size;
}
inline __half __float2half(float x) {  // to the nearest, ties to even
    uint16_t const sign = std::signbit(x) ? 0x8000 : 0;
    float const size = std::fabs(x);
    if (std::isnan(x)) return {0x7fff};
    if (size >= 65520.f) return {uint16_t(sign | 0x7c00)};
    int exponent = size < 0x1p-14f ? -14 : std::ilogb(size);
    long const units = std::lrint(std::ldexp(size, 10 - exponent));  // of the last place
    uint16_t const bits = uint16_t(units < 1024 ? units : ((exponent + 15) << 10) + units - 1024);
    return {uint16_t(sign | bits)};
}
inline float2 __half22float2(__half2 h) { return {__half2float(h.x), __half2float(h.y)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half(x), __float2half(y)}; }
inline __half2 __low2half2(__half2 h) { return {h.x, h.x}; }
inline __half2 __high2half2(__half2 h) { return {h.y, h.y}; }
// One rounding, as the device's: a float holds the product of two halves, and a double the sum.
inline __half __hfma(__half a, __half b, __half c) {
    return __float2half(float(double(__half2float(a)) * __half2float(b) + __half2float(c)));
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) {
    return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
inline __half2 __hadd2(__half2 a, __half2 b) {  // a sum of two halves rounds once, as by __hfma
    return {__hfma(a.x, {0x3c00}, b.x), __hfma(a.y, {0x3c00}, b.y)};
}
inline __half2 __hfma2_relu(__half2 a, __half2 b, __half2 c) {
    auto const positive = [](__half x) { return __half2float(x) <= 0.f ? __half{0} : x; };
    __half2 const z = __hfma2(a, b, c);
    return {positive(z.x), positive(z.y)};
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned select) {
    uint64_t const both = uint64_t(y) << 32 | x;
    unsigned chosen = 0;
    for (int i = 0; i < 4; ++i) chosen |= unsigned(both >> (select >> 4 * i & 7) * 8 & 255) << 8 * i;
    return chosen;
}
inline unsigned __float_as_uint(float x) { unsigned u; std::memcpy(&u, &x, 4); return u; }
inline float __uint_as_float(unsigned u) { float x; std::memcpy(&x, &u, 4); return x; }

#endif
