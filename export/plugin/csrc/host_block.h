// A host's imitation of one CUDA thread block at a time, for tests of kernels without a GPU.
//
// Every thread is a fiber that runs until its next barrier or shuffle. Shared memory is filled with
// NaN before each block, and background copies happen no earlier than they are waited for, so that
// a missing wait shows. So does, more often than not, a missing barrier: in every round warps and
// threads sit out at random, so that some run ahead of others as far as barriers let them.
#ifndef TILEFIX_HOST_BLOCK_H_
#define TILEFIX_HOST_BLOCK_H_

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#include "host_half.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define TILEFIX_LAUNCH(kernel, grid, threads, shared_bytes, stream, ...) \
    tilefix::host::launch(grid, threads, shared_bytes, stream, [&] { kernel(__VA_ARGS__); })
#define TILEFIX_LAUNCH_EARLY(kernel, grid, threads, shared_bytes, stream, ...) \
    tilefix::host::launch(grid, threads, shared_bytes, stream, [&] { kernel(__VA_ARGS__); }, true)
#define TILEFIX_STATIC_SHARED(type, name) static type name
#define TILEFIX_DYNAMIC_SHARED(name) unsigned char* name = tilefix::host::block().shared.data()

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
using cudaStream_t = void*;
using cudaError_t = int;
enum { cudaSuccess = 0, cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum { cudaDevAttrMultiProcessorCount = 16 };
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int* value, int, int) {  // a test says how many
    char const* const said = std::getenv("TILEFIX_HOST_MULTIPROCESSORS");
    return *value = said ? std::atoi(said) : 1, cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel, int, int) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

template <typename T> T min(T a, T b) { return b < a ? b : a; }
template <typename T> T max(T a, T b) { return a < b ? b : a; }

namespace tilefix::host {

constexpr size_t kBehind = 4096;  // bytes behind shared memory that must stay as they are

struct Barrier {
    unsigned members = 0, arrived = 0, turn = 0;
};

struct Copy { void* to; void const* from; };

struct Fiber {
    ucontext_t context{};  // for its start; then jumps, which cost no system call
    jmp_buf place;
    bool started = false;
    std::vector<unsigned char> stack = std::vector<unsigned char>(96 * 1024);
    Barrier* waits_at = nullptr;
    unsigned turn = 0;
    bool done = true;
    bool waited = false;  // for the launch before; nothing else orders an early launch behind it
    int shuffles = 0;
    std::vector<std::vector<Copy>> copies;  // of groups, the last one open
};

struct Block {
    dim3 thread_index, block_index, block_size, grid_size;
    std::vector<unsigned char> shared;
    std::vector<Fiber> fibers;
    std::vector<Barrier> warps;
    std::vector<unsigned> lanes;  // what each thread last gave to a shuffle, two turns of it
    std::vector<void const*> pointers;  // the same for load_transposed
    std::vector<std::array<unsigned, 6>> fragments;  // and for multiply
    Barrier all;
    jmp_buf scheduler;
    unsigned current = 0;
    bool early = false;  // launched before the launch before has ended
    std::function<void()> body;
};

struct Work {  // what blocks counted since it was last asked
    unsigned block = 0, busiest = 0, all = 0;
};

inline Work& work() {
    static Work only;
    return only;
}

inline Block& block() {
    static Block only;
    return only;
}

inline void wait_at(Barrier& barrier) {
    Block& b = block();
    if (++barrier.arrived == barrier.members) {
        barrier.arrived = 0;
        ++barrier.turn;
        return;
    }
    Fiber& me = b.fibers[b.current];
    me.waits_at = &barrier;
    me.turn = barrier.turn;
    if (!_setjmp(me.place)) _longjmp(b.scheduler, 1);
}

inline void enter() {
    Block& b = block();
    b.body();
    b.fibers[b.current].done = true;
    _longjmp(b.scheduler, 1);
}

inline void go_on(Fiber& f) {
    if (_setjmp(block().scheduler)) return;
    if (f.started) _longjmp(f.place, 1);
    f.started = true;
    setcontext(&f.context);
}

[[noreturn]] inline void fail(char const* why) {
    std::fprintf(stderr, "host_block: %s\n", why);
    std::abort();
}

inline unsigned random() {  // the same in every run
    static uint32_t state = 1;
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

inline void run_block() {
    Block& b = block();
    unsigned const count = b.block_size.x;
    for (unsigned i = 0; i < count; ++i) {
        Fiber& f = b.fibers[i];
        f.done = f.started = false, f.waits_at = nullptr, f.shuffles = 0, f.copies.assign(1, {});
        f.waited = !b.early;
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = nullptr;
        makecontext(&f.context, enter, 0);
    }
    for (unsigned left = count; left;) {
        bool ready = false;
        unsigned const start = random() % count;
        for (unsigned k = 0, sits_out = 0; k < count; ++k) {
            unsigned const i = (start + k) % count;
            if (i % 32 == 0 || k == 0) sits_out = random() % 3;  // warp: runs, sits out, or mixed
            Fiber& f = b.fibers[i];
            if (f.done || (f.waits_at && f.waits_at->turn == f.turn)) continue;
            ready = true;
            if (sits_out == 1 || (sits_out == 2 && random() % 2)) continue;
            f.waits_at = nullptr;
            b.current = i;
            b.thread_index = dim3(i, 0, 0);
            go_on(f);
            left -= f.done;
            if (f.done && !f.waited) fail("a thread ends without waiting for the launch before");
        }
        if (!ready) fail("threads wait at different barriers");
    }
}

inline void launch(dim3 grid, unsigned threads, size_t shared_bytes, cudaStream_t,
                   std::function<void()> body, bool early = false) {
    Block& b = block();
    b.early = early;
    b.block_size = dim3(threads), b.grid_size = grid, b.body = std::move(body);
    b.fibers.resize(threads > b.fibers.size() ? threads : b.fibers.size());
    b.lanes.resize(2 * threads);
    b.pointers.resize(2 * threads);
    b.fragments.resize(2 * threads);
    b.all = {threads, 0, 0};
    b.warps.assign((threads + 31) / 32, {32, 0, 0});
    for (unsigned z = 0; z < grid.z; ++z)
        for (unsigned y = 0; y < grid.y; ++y)
            for (unsigned x = 0; x < grid.x; ++x) {
                b.shared.assign(shared_bytes + kBehind, 0xff);
                b.block_index = dim3(x, y, z);
                work().block = 0;
                run_block();
                work().all += work().block, work().busiest = max(work().busiest, work().block);
                for (size_t i = 0; i < kBehind; ++i)
                    if (b.shared[shared_bytes + i] != 0xff) fail("written behind shared memory");
            }
}

}  // namespace tilefix::host

// Counts since the last call: of the block that counted most, and of all.
extern "C" __attribute__((used, visibility("default"))) inline void tilefix_host_work(unsigned* to) {
    auto& work = tilefix::host::work();
    to[0] = work.busiest, to[1] = work.all, work = {};
}

#define threadIdx (tilefix::host::block().thread_index)
#define blockIdx (tilefix::host::block().block_index)
#define blockDim (tilefix::host::block().block_size)
#define gridDim (tilefix::host::block().grid_size)

inline void __syncthreads() { tilefix::host::wait_at(tilefix::host::block().all); }

namespace tilefix::host {

// Shows a value to the warp; the answer is the warp's first lane's, the others' follow it. Two
// buffers in turn, so that one barrier is enough.
template <typename T>
T const* share(std::vector<T>& all, T const& value) {
    Block& b = block();
    unsigned const me = b.current;
    T* const turn = all.data() + (b.fibers[me].shuffles++ % 2) * b.block_size.x;
    turn[me] = value;
    wait_at(b.warps[me / 32]);
    return turn + me / 32 * 32;
}

}  // namespace tilefix::host

template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    static_assert(sizeof(T) == 4, "shuffles move 32 bits");
    auto& b = tilefix::host::block();
    unsigned given;
    std::memcpy(&given, &value, 4);
    unsigned const* const lanes = tilefix::host::share(b.lanes, given);
    std::memcpy(&value, &lanes[b.current % 32 ^ unsigned(mask)], 4);
    return value;
}
inline unsigned __ballot_sync(unsigned, bool said) {
    auto& b = tilefix::host::block();
    unsigned const* const lanes = tilefix::host::share(b.lanes, unsigned(said));
    unsigned all = 0;
    for (unsigned i = 0; i < 32; ++i) all |= lanes[i] << i;
    return all;
}
inline void __syncwarp() {
    auto& b = tilefix::host::block();
    tilefix::host::wait_at(b.warps[b.current / 32]);
}
// Blocks run one after another and threads by turns, so that plain arithmetic is atomic.
inline unsigned atomicAdd(unsigned* at, unsigned more) { return (*at += more) - more; }
template <typename T> T atomicMax(T* at, T value) {
    T const old = *at;
    *at = max(old, value);
    return old;
}
// A test has every block believe to be the first: on a GPU they come in any order.
inline unsigned atomicMax(unsigned* at, unsigned value) {
    unsigned const old = *at;
    *at = max(old, value);
    return std::getenv("TILEFIX_HOST_ALL_FIRST") ? 0 : old;
}
template <typename T> T __ldcg(T const* from) { return *from; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(unsigned x) { return __builtin_ffs(int(x)); }

#endif
