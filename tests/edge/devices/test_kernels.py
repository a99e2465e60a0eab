"""Kernels of PTX on both device backends: loaded, launched, given back, and what is refused."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from fake_gpu import BrokenRuleError

from edge.errors import ExecutorError

DOUBLING = b"""
.version 6.3
.target sm_75
.address_size 64
.visible .entry doubled(.param .u64 numbers, .param .u32 count)
{
    .reg .pred %p<2>; .reg .b32 %r<6>; .reg .b64 %rd<4>; .reg .f32 %f<3>;
    ld.param.u64 %rd1, [numbers];
    ld.param.u32 %r1, [count];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra $DONE;
    mul.wide.u32 %rd2, %r5, 4;
    add.s64 %rd3, %rd1, %rd2;
    ld.global.f32 %f1, [%rd3];
    add.f32 %f2, %f1, %f1;
    st.global.f32 [%rd3], %f2;
$DONE:
    ret;
}
"""


def doubled(device, kernel, address: int, count: int, stream: int, threads: int = 32) -> None:
    blocks = (-(-count // threads), 1)
    device.run_kernel(kernel, blocks, threads, (np.uint64(address), np.uint32(count)), stream)


def test_a_kernel_is_work_of_a_stream_like_any_other(device, gpu):
    stream, kernel = device.create_stream(), device.load_kernel(DOUBLING, "doubled")
    numbers = np.arange(100, dtype=np.float32)
    address, back = device.allocate(numbers.nbytes), np.zeros_like(numbers)
    device.copy_in(address, numbers, stream)
    doubled(device, kernel, address, 70, stream)
    device.copy_out(back, address, stream)
    assert not back.any(), "nothing is done before somebody waits"
    device.synchronise(stream)
    assert np.array_equal(back, np.where(np.arange(100) < 70, 2 * numbers, numbers))
    with device.current(), pytest.raises(BrokenRuleError, match="do not fit its allocation"):
        doubled(device, kernel, address, 200, stream)
        device.synchronise(stream)
    device.unload_kernel(kernel)
    device.free(address)
    device.destroy_stream(stream)


def test_a_kernel_in_a_graph(device, gpu):
    stream, kernel = device.create_stream(), device.load_kernel(DOUBLING, "doubled")
    numbers, back = np.ones(8, np.float32), np.zeros(8, np.float32)
    address = device.allocate(numbers.nbytes)
    device.copy_in(address, numbers, stream)
    graph = device.capture(stream, lambda: doubled(device, kernel, address, 8, stream))
    for _ in range(3):
        device.launch(graph, stream)
    device.copy_out(back, address, stream)
    device.synchronise(stream)
    assert (back == 8).all()
    device.destroy_graph(graph)
    device.unload_kernel(kernel)
    device.free(address)
    device.destroy_stream(stream)


@pytest.mark.parametrize("backend", ["cuda-python"], indirect=True)
def test_a_kernel_that_is_enqueued_stays_loaded(device, gpu):
    stream, kernel = device.create_stream(), device.load_kernel(DOUBLING, "doubled")
    address = device.allocate(32)
    doubled(device, kernel, address, 8, stream)
    with pytest.raises(BrokenRuleError, match="while enqueued work launches its kernel"):
        device.unload_kernel(kernel)
    device.synchronise(stream)
    device.unload_kernel(kernel)
    device.free(address)
    device.destroy_stream(stream)


@pytest.mark.parametrize(
    ("image", "entry", "call", "found", "do"),
    [
        (
            b"no kernel",
            "doubled",
            "cuModuleLoadData",
            "status 218, CUDA_ERROR_INVALID_PTX",
            "newer driver",
        ),
        (DOUBLING, "halved", "cuModuleGetFunction", "NOT_FOUND", "tilefix doctor"),
        (
            DOUBLING.replace(b"6.3", b"9.9"),
            "doubled",
            "cuModuleLoadData",
            "UNSUPPORTED_PTX_VERSION",
            "newer driver",
        ),
        (
            DOUBLING.replace(b"sm_75", b"sm_90"),
            "doubled",
            "cuModuleLoadData",
            "NO_BINARY_FOR_GPU",
            "tilefix doctor",
        ),
    ],
)
def test_what_the_driver_refuses_is_told_and_leaves_nothing(
    device, gpu, image, entry, call, found, do
):
    with pytest.raises(ExecutorError, match=f"the CUDA call {call} failed") as caught:
        device.load_kernel(image, entry)
    assert found in caught.value.found
    assert do in caught.value.do
    del caught
    gc.collect()
    assert not gpu.kernels.modules


def test_a_driver_without_its_compiler_says_what_to_install(device, gpu):
    gpu.fail["cuModuleLoadData"] = 221
    with pytest.raises(ExecutorError, match="cuModuleLoadData failed") as caught:
        device.load_kernel(DOUBLING, "doubled")
    assert "status 221, CUDA_ERROR_JIT_COMPILER_NOT_FOUND" in caught.value.found
    assert "libnvidia-ptxjitcompiler" in caught.value.do
    assert "--features float16" in caught.value.do


@pytest.mark.parametrize("code", [218, 222])
def test_a_kernel_that_the_driver_cannot_translate_is_not_needed(device, gpu, code):
    """`doctor` looks at nothing of the kind."""
    gpu.fail["cuModuleLoadData"] = code
    with pytest.raises(ExecutorError) as caught:
        device.load_kernel(DOUBLING, "doubled")
    assert f"status {code}, CUDA_ERROR_" in caught.value.found
    assert caught.value.do == (
        "install a newer driver, or encode the map into a feature store in float16: "
        "tilefix tiles encode --features float16"
    )


@pytest.mark.parametrize("backend", ["pycuda"])
@pytest.mark.parametrize("code", [777, 200])
def test_a_status_without_a_text_of_its_own_has_no_number(device, gpu, code):
    """pycuda tells texts alone, and two statuses share that of 200."""
    gpu.fail["cuModuleLoadData"] = code
    with pytest.raises(ExecutorError) as caught:
        device.load_kernel(DOUBLING, "doubled")
    told = {777: "777", 200: "device kernel image is invalid"}[code]
    assert caught.value.found == f"cuModuleLoadData failed: {told}"
    assert "tilefix doctor" in caught.value.do
