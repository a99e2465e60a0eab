"""One contract for both device backends, each over the same fake GPU."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from fake_gpu import FREED, BrokenRuleError, Work

from edge.devices.base import BACKENDS, open_device
from edge.errors import ExecutorError


def test_facts(device, gpu):
    assert device.name in BACKENDS
    assert device.facts.name == "Orin (16 SM)"
    assert device.facts.compute_capability == "8.7"
    assert device.facts.integrated is gpu.integrated
    assert device.facts.total_bytes == 1 << 20
    assert device.free_bytes() == 1 << 20


def test_the_primary_context_is_retained_and_current_only_within(gpu):
    for backend in BACKENDS:
        opened = open_device(backend)
        assert gpu.retained
        assert gpu.depth == 0
        with opened.current():
            assert gpu.depth == 1
            with opened.current():
                assert gpu.depth == 2
            assert gpu.depth == 1
        assert gpu.depth == 0
        with pytest.raises(ExecutorError, match="cuMemAlloc failed") as caught:
            opened.allocate(16)
        assert "CUDA_ERROR_INVALID_CONTEXT" in caught.value.found
        opened.close()
    assert gpu.retained == 1, "pycuda keeps it until the process ends"


def test_device_memory_is_accounted_and_given_back(device):
    address = device.allocate(1000)
    assert isinstance(address, int)
    assert address % 256 == 0
    assert device.free_bytes() == (1 << 20) - 1000
    device.free(address)
    assert device.free_bytes() == 1 << 20


def test_a_copy_goes_there_and_back_when_the_stream_is_synchronised(device):
    stream = device.create_stream()
    assert isinstance(stream, int)
    there = np.arange(24, dtype=np.float16).reshape(4, 6)
    back = np.zeros_like(there)
    address = device.allocate(there.nbytes)
    device.copy_in(address, there, stream)
    device.copy_out(back, address, stream)
    assert not back.any(), "nothing is done before somebody waits"
    device.synchronise(stream)
    assert np.array_equal(back, there)
    device.free(address)
    device.destroy_stream(stream)


@pytest.mark.parametrize("mapped", [False, True])
def test_page_locked_memory(device, gpu, mapped):
    buffer = device.allocate_host(64, mapped=mapped)
    assert buffer.array.dtype == np.uint8
    assert buffer.array.shape == (64,)
    buffer.array[:] = 7
    assert (buffer.device_address is not None) is mapped
    if mapped:
        assert isinstance(buffer.device_address, int)
        assert (gpu.view(buffer.device_address, 64) == 7).all(), "the device sees the same memory"
    else:
        stream, address = device.create_stream(), device.allocate(64)
        device.copy_in(address, buffer.array, stream)
        buffer.array[:] = 9  # too early: it is read when the copy is done
        device.synchronise(stream)
        assert (gpu.view(address, 64) == 9).all()
        device.free(address)
        device.destroy_stream(stream)
    held = next(each for each in gpu.memory.values() if each.host).data
    device.free_host(buffer)
    assert (held == FREED).all()


def test_a_graph_repeats_what_was_captured(device, gpu):
    stream, address = device.create_stream(), device.allocate(4)
    pinned = device.allocate_host(4, mapped=False)
    back = np.zeros(4, np.uint8)

    def work() -> None:
        device.copy_in(address, pinned.array, stream)
        device.copy_out(back, address, stream)

    pinned.array[:] = 1
    graph = device.capture(stream, work)
    device.synchronise(stream)
    assert not back.any(), "a capture runs nothing"
    for value in (2, 3):
        pinned.array[:] = value
        device.launch(graph, stream)
        device.synchronise(stream)
        assert (back == value).all()
    assert len(gpu.graphs) == 1
    device.destroy_graph(graph)
    device.free_host(pinned)
    device.free(address)
    device.destroy_stream(stream)


def test_a_broken_capture_says_what_broke_it_and_leaves_a_usable_stream(device, gpu):
    stream = device.create_stream()
    with pytest.raises(ExecutorError, match="cuMemAlloc failed") as caught:
        device.capture(stream, lambda: device.allocate(16))
    assert "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED" in caught.value.found
    assert not gpu.capturing

    def swallowed() -> None:
        with pytest.raises(ExecutorError):
            device.synchronise(stream)

    with pytest.raises(ExecutorError, match="cuStreamEndCapture failed") as caught:
        device.capture(stream, swallowed)
    assert "901" in caught.value.found
    assert "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED" in caught.value.found
    device.synchronise(stream)
    device.destroy_stream(stream)


def test_events_time_what_lies_between(device, gpu):
    stream, start, end = device.create_stream(), device.create_event(), device.create_event()
    device.record(start, stream)
    for _ in range(3):
        gpu.enqueue(stream, Work(lambda: None, ()))
    device.record(end, stream)
    assert device.elapsed_ms(start, end) == 4.0  # of the fake's clock: one for each piece of work
    device.destroy_event(start)
    device.destroy_event(end)
    device.destroy_stream(stream)


def test_a_graph_sets_its_own_marks_in_every_launch(device, gpu):
    stream, start, end = device.create_stream(), device.create_event(), device.create_event()

    def work() -> None:
        device.record(start, stream, capturing=True)
        for _ in range(2):
            gpu.enqueue(stream, Work(lambda: None, ()))
        device.record(end, stream, capturing=True)

    if device.name == "pycuda":
        with pytest.raises(ExecutorError, match="pycuda cannot set a mark within a CUDA graph"):
            device.capture(stream, work)
    else:
        graph = device.capture(stream, work)
        with pytest.raises(ExecutorError, match="cuEventElapsedTime failed"):
            device.elapsed_ms(start, end)  # nothing was launched yet
        for _ in range(2):
            device.launch(graph, stream)
            device.synchronise(stream)
            assert device.elapsed_ms(start, end) == 3.0
        device.destroy_graph(graph)
    device.destroy_event(start)
    device.destroy_event(end)
    device.destroy_stream(stream)


def test_too_little_memory_is_told_with_what_is_there(device):
    held = device.allocate(900_000)
    with pytest.raises(ExecutorError, match="the CUDA call cuMemAlloc failed") as caught:
        device.allocate(900_000)
    assert "CUDA_ERROR_OUT_OF_MEMORY" in caught.value.found
    assert "end other programs" in caught.value.do
    if device.name == "cuda-python":
        assert caught.value.found.startswith("status 2, CUDA_ERROR_OUT_OF_MEMORY; 0 of 1 MB")
    device.free(held)


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("cuMemGetInfo", lambda device: device.free_bytes()),
        ("cuStreamCreate", lambda device: device.create_stream()),
        ("cuMemHostAlloc", lambda device: device.allocate_host(16, mapped=False)),
    ],
)
def test_every_status_is_looked_at(device, gpu, call, use):
    gpu.fail[call] = 700
    with pytest.raises(ExecutorError, match=f"the CUDA call {call} failed") as caught:
        use(device)
    assert caught.value.expected == "status 0, CUDA_SUCCESS"
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in caught.value.found
    assert "tilefix doctor" in caught.value.do


def test_an_unknown_backend_lists_the_known():
    with pytest.raises(ExecutorError, match="no device backend 'cupy'") as caught:
        open_device("cupy")
    assert caught.value.expected == "one of: cuda-python, pycuda"
    assert "--device-backend" in caught.value.do


@pytest.mark.parametrize(
    ("backend", "module", "extra"),
    [
        ("cuda-python", "cuda.bindings.driver", "jetson"),
        ("pycuda", "pycuda.driver", "pycuda"),
    ],
)
def test_a_missing_library_names_its_extra_and_the_other_backend(
    monkeypatch, backend, module, extra
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ExecutorError, match=f"device backend {backend} is not available") as caught:
        open_device(backend)
    assert f"pip install 'tilefix[{extra}]'" in caught.value.do
    assert "--device-backend" in caught.value.do


def test_a_machine_without_a_driver(monkeypatch, gpu):
    def no_library(*_arguments):
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr(sys.modules["cuda.bindings.driver"], "cuInit", no_library)
    with pytest.raises(ExecutorError, match="no CUDA driver on this machine") as caught:
        open_device()
    assert "libcuda.so.1" in caught.value.found
    assert "--executor onnxruntime" in caught.value.do


def test_a_machine_without_a_gpu(gpu):
    gpu.fail["cuInit"] = 100
    with pytest.raises(ExecutorError, match="cuInit failed") as caught:
        open_device()
    assert "nvidia-smi" in caught.value.do


# --- the fake GPU itself: what it must catch ------------------------------------------------------


def test_the_fake_catches_memory_that_is_not_there(device, gpu):
    stream, address = device.create_stream(), device.allocate(16)
    with pytest.raises(BrokenRuleError, match="do not fit"):
        gpu.view(address, 17)
    with pytest.raises(BrokenRuleError, match="no live allocation"):
        gpu.view(address + (1 << 30), 1)
    device.copy_in(address, np.zeros(16, np.uint8), stream)
    with pytest.raises(BrokenRuleError, match="while enqueued work uses it"):
        device.free(address)
    with pytest.raises(BrokenRuleError, match="destroyed with work in it"):
        gpu.destroy_stream(stream)
    device.synchronise(stream)
    pinned = device.allocate_host(16, mapped=False)
    hidden = next(each.address for each in gpu.memory.values() if each.host)
    with pytest.raises(BrokenRuleError, match="the device cannot see"):
        gpu.view(hidden, 16)
    device.free_host(pinned)
    device.free(address)
    with pytest.raises(BrokenRuleError, match="freed twice"):
        gpu.free(address)
    with pytest.raises(BrokenRuleError, match="capture mode"):
        gpu.begin_capture(stream, 0)
    with pytest.raises(BrokenRuleError, match="default one"):
        gpu.synchronise(0)
    device.destroy_stream(stream)


def test_the_fake_catches_what_is_not_given_back(device, gpu):
    address = device.allocate(16)
    with pytest.raises(AssertionError, match="'memory': 1"):
        gpu.assert_all_is_given_back()
    device.free(address)
