"""The same calls on a real GPU, where there is one with cuda-python or pycuda."""

from __future__ import annotations

import ctypes
import importlib.util

import numpy as np
import pytest

from edge.devices.base import open_device
from edge.executors.dequantiser import Dequantiser
from edge.feature_quantization import SCALE, dequantized

MODULES = {"cuda-python": "cuda", "pycuda": "pycuda"}


@pytest.fixture(params=list(MODULES))
def device(request):
    if importlib.util.find_spec(MODULES[request.param]) is None:
        pytest.skip(f"{request.param} is not installed")
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pytest.skip("there is no CUDA driver")
    opened = open_device(request.param)
    with opened.current():
        yield opened
    opened.close()


@pytest.mark.gpu
def test_copies_graphs_and_times(device):
    facts = device.facts
    assert facts.name
    major, minor = facts.compute_capability.split(".")
    assert int(major) >= 7
    assert int(minor) >= 0
    assert 0 < device.free_bytes() <= facts.total_bytes
    stream, start, end = device.create_stream(), device.create_event(), device.create_event()
    inner_start, inner_end = device.create_event(), device.create_event()
    marks = device.name != "pycuda"  # which has no marks within graphs
    pinned = device.allocate_host(1 << 20, mapped=False)
    mapped = device.allocate_host(1 << 20, mapped=True)
    address = device.allocate(1 << 20)
    assert address % 256 == 0
    back = np.zeros(1 << 20, np.uint8)

    def work() -> None:
        if marks:
            device.record(inner_start, stream, capturing=True)
        device.copy_in(address, pinned.array, stream)
        if marks:
            device.record(inner_end, stream, capturing=True)
        device.copy_out(mapped.array, address, stream)

    graph = device.capture(stream, work)
    for value in (3, 4):
        pinned.array[:] = value
        device.record(start, stream)
        device.launch(graph, stream)
        device.record(end, stream)
        device.synchronise(stream)
        assert (mapped.array == value).all()
        assert device.elapsed_ms(start, end) > 0
        if marks:
            within_ms = device.elapsed_ms(inner_start, inner_end)
            assert 0 < within_ms < device.elapsed_ms(start, end)
    mapped.array[:] = 7
    assert mapped.device_address is not None
    device.copy_out(back, mapped.device_address, stream)  # the device reads what the host wrote
    device.synchronise(stream)
    assert (back == 7).all()
    device.destroy_graph(graph)
    device.free(address)
    for buffer in (pinned, mapped):
        device.free_host(buffer)
    for event in (start, end, inner_start, inner_end):
        device.destroy_event(event)
    device.destroy_stream(stream)


@pytest.mark.gpu
def test_features_in_int8_come_out_as_on_the_host(device):
    random = np.random.default_rng(0)
    levels = random.integers(-128, 128, (64, 33, 35)).astype(np.int8)
    scale = np.concatenate([[0, 6e-8, 65504], random.uniform(0, 1, 61)]).astype(np.float16)
    back = np.zeros(levels.shape, np.float16)
    stream, address = device.create_stream(), device.allocate(back.nbytes)
    made = Dequantiser(device, stream, [levels.shape])
    made.enqueue(levels, scale, address)
    device.copy_out(back, address, stream)
    device.synchronise(stream)
    wanted = dequantized({"v": levels, "v" + SCALE: scale})["v"]
    assert np.array_equal(back.view(np.uint16), wanted.view(np.uint16))
    made.free()
    device.free(address)
    device.destroy_stream(stream)
