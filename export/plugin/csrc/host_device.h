// What device.h has in instructions of the GPU, for the host: copies, counters, tensor cores.
#ifndef TILEFIX_HOST_DEVICE_H_
#define TILEFIX_HOST_DEVICE_H_

#include "host_block.h"

namespace tilefix {

inline void copy_16_bytes(void* to, void const* from) {
    if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % 16) std::abort();
    auto& b = host::block();
    b.fibers[b.current].copies.back().push_back({to, from});
}
inline void load_once(uint4& x, void const* from, bool wanted) {
    if (reinterpret_cast<uintptr_t>(from) % 16) std::abort();
    if (wanted) x = *static_cast<uint4 const*>(from);
}
inline void load_shared_by_many(uint2& x, void const* from, bool wanted) {
    if (reinterpret_cast<uintptr_t>(from) % 8) std::abort();
    if (wanted) x = *static_cast<uint2 const*>(from);
}
inline void wait_for_launch_before() {
    auto& b = host::block();
    b.fibers[b.current].waited = true;
}
inline void let_next_launch_begin() {}
inline void check_waited() {
    auto& b = host::block();
    if (!b.fibers[b.current].waited) host::fail("a counter is touched before the launch before ended");
}
inline void count_work() { ++host::work().block; }
inline void wait_for_count(unsigned const* counter, unsigned least) {
    check_waited();
    if (*counter < least) host::fail("a block waits for one that comes after it");
}
inline void count_up(unsigned* counter) { check_waited(), ++*counter; }
inline void multiply(float (&d)[4], unsigned const (&a)[4], unsigned b0, unsigned b1) {
    auto& b = host::block();
    auto const* const lanes = host::share(b.fragments, {a[0], a[1], a[2], a[3], b0, b1});
    int const g = b.current % 32 / 4, t = b.current % 4;
    auto const element = [&](int lane, int word, int upper) {
        return __half2float({uint16_t(lanes[lane][word] >> 16 * upper)});
    };
    for (int i = 0; i < 4; ++i) {
        int const below = i / 2, column = 2 * t + i % 2;  // of rows g and g + 8
        for (int k = 0; k < 16; ++k)
            d[i] += element(4 * g + k % 8 / 2, below + 2 * (k / 8), k % 2) *
                    element(4 * column + k % 8 / 2, 4 + k / 8, k % 2);
    }
}
inline void load_matrices(unsigned (&out)[4], void const* row, bool transposed) {
    if (reinterpret_cast<uintptr_t>(row) % 16) std::abort();
    auto& b = host::block();
    auto const* const rows = host::share(b.pointers, row);
    int const g = b.current % 32 / 4, t = b.current % 4;
    for (int m = 0; m < 4; ++m) {
        auto const element = [&](int i) -> unsigned {
            int const at = transposed ? i : g, column = transposed ? g : i;
            return static_cast<__half const*>(rows[8 * m + at])[column].bits;
        };
        out[m] = element(2 * t) | element(2 * t + 1) << 16;
    }
}
inline void load_transposed(unsigned (&out)[4], void const* row) { load_matrices(out, row, true); }
inline void load_rows(unsigned (&out)[4], void const* row) { load_matrices(out, row, false); }
inline void close_copy_group() {
    auto& b = host::block();
    b.fibers[b.current].copies.emplace_back();
}
template <int kOpen>
void wait_for_copies() {
    auto& b = host::block();
    auto& groups = b.fibers[b.current].copies;
    for (; groups.size() > kOpen + 1; groups.erase(groups.begin()))
        for (auto const& copy : groups.front()) std::memcpy(copy.to, copy.from, 16);
}

}  // namespace tilefix
#endif
