"""The host's imitation of CUDA: float16 as numpy's, and that it notices what it should."""

from __future__ import annotations

import ctypes
import subprocess

import numpy as np
import pytest

from export.plugin.build import SOURCES

HALF = """
#include "host_half.h"
extern "C" void widen(uint16_t const* from, float* to, int n) {
    for (int i = 0; i < n; ++i) to[i] = __half2float({from[i]});
}
extern "C" void narrow(float const* from, uint16_t* to, int n) {
    for (int i = 0; i < n; ++i) to[i] = __float2half(from[i]).bits;
}
"""
# Sixteen threads copy; all read what another copied. What follows an @ is filled in.
BLOCK = """
#include "device.h"
__global__ void neighbours(float const* from, float* to) {
    TILEFIX_DYNAMIC_SHARED(memory);
    float* const shared = reinterpret_cast<float*>(memory);
    int const i = threadIdx.x;
    if (i < 16) tilefix::copy_16_bytes(shared + 4 * i, from + 4 * i);
    tilefix::close_copy_group();
    @WAIT
    @BARRIER
    to[i] = shared[(i + 33) % 64];
    @OVERRUN
}
int main() {
    alignas(16) float from[64];
    float to[64];
    for (int i = 0; i < 64; ++i) from[i] = float(i);
    TILEFIX_LAUNCH(neighbours, dim3(1), 64, sizeof from, nullptr, from, to);
    int wrong = 0;
    for (int i = 0; i < 64; ++i) wrong += to[i] != float((i + 33) % 64);
    return wrong > 0;
}
"""
RIGHT = {
    "WAIT": "tilefix::wait_for_copies<0>();",
    "BARRIER": "__syncthreads();",
    "OVERRUN": "",
}


def compiled(host_cxx: str, folder, text: str, *flags: str):
    source, made = folder / "x.cpp", folder / "x.out"
    source.write_text(text)
    options = ("-std=c++17", "-O1", "-DTILEFIX_HOST", f"-I{SOURCES}", *flags)
    subprocess.run([host_cxx, *options, source, "-o", made], check=True)
    return made


def test_float16_is_numpys(host_cxx, tmp_path):
    library = ctypes.CDLL(str(compiled(host_cxx, tmp_path, HALF, "-shared", "-fPIC")))
    bits = np.arange(65536, dtype=np.uint16)
    wide = np.empty(65536, np.float32)
    library.widen(bits.ctypes, wide.ctypes, len(bits))
    np.testing.assert_array_equal(wide, bits.view(np.float16).astype(np.float32))
    rng = np.random.default_rng(0)
    given = rng.standard_normal(100_000) * 10.0 ** rng.uniform(-9, 6, 100_000)
    given = np.concatenate([given, wide[np.isfinite(wide)] * 1.0004, wide]).astype(np.float32)
    given = given[~np.isnan(given)]
    found = np.empty(len(given), np.uint16)
    library.narrow(given.ctypes, found.ctypes, len(given))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(found, given.astype(np.float16).view(np.uint16))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 0),
        ({"WAIT": ""}, 1),
        ({"BARRIER": ""}, 1),
        ({"BARRIER": "if (i) __syncthreads();"}, -6),
        ({"OVERRUN": "shared[64] = 1.f;"}, -6),
    ],
    ids=["right", "no wait", "no barrier", "one thread misses it", "too little memory"],
)
def test_it_notices(host_cxx, tmp_path, change, status):
    text = BLOCK
    for name, statement in {**RIGHT, **change}.items():
        text = text.replace(f"@{name}", statement)
    program = compiled(host_cxx, tmp_path, text)
    assert subprocess.run([program], capture_output=True).returncode == status


@pytest.mark.parametrize(
    ("wait", "status"), [("", -6), ("tilefix::wait_for_launch_before();", 0)], ids=["none", "one"]
)
def test_a_block_that_begins_early_waits_for_the_launch_before(host_cxx, tmp_path, wait, status):
    text = BLOCK.replace("TILEFIX_LAUNCH(", "TILEFIX_LAUNCH_EARLY(")
    for name, statement in {**RIGHT, "OVERRUN": wait}.items():
        text = text.replace(f"@{name}", statement)
    program = compiled(host_cxx, tmp_path, text)
    found = subprocess.run([program], capture_output=True, text=True)
    assert found.returncode == status
    assert ("ends without waiting for the launch before" in found.stderr) is (status != 0)


def test_a_counter_is_not_touched_before_the_launch_before_has_ended(host_cxx, tmp_path):
    text = BLOCK.replace("TILEFIX_LAUNCH(", "TILEFIX_LAUNCH_EARLY(")
    early = "static unsigned n; tilefix::count_up(&n); tilefix::wait_for_launch_before();"
    for name, statement in {**RIGHT, "OVERRUN": early}.items():
        text = text.replace(f"@{name}", statement)
    found = subprocess.run([compiled(host_cxx, tmp_path, text)], capture_output=True, text=True)
    assert found.returncode == -6
    assert "a counter is touched before the launch before ended" in found.stderr
