"""Features in INT8 on the device: the committed kernel on a fake GPU, bit for bit the host's."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
from fake_engines import install
from fake_gpu import FakeGpu

import edge
from edge.devices.base import BACKENDS, open_device
from edge.errors import ExecutorError
from edge.executors.dequantiser import KERNEL_FILE, PER_THREAD, THREADS, Dequantiser
from edge.feature_quantization import SCALE, dequantized

TINY, HUGE = np.float16(6e-8), np.float16(65504)  # the least subnormal number, and the largest
SCALES = np.array([0, TINY, 3e-5, 6.1e-5, 0.0123, 1, 515.9, 516, HUGE, -0.5], np.float16)
EVERY_LEVEL = np.arange(256).astype(np.uint8).view(np.int8)  # with -128, which no store has


@pytest.fixture
def gpu(monkeypatch) -> FakeGpu:
    made = FakeGpu()
    install(monkeypatch, made)
    return made


@pytest.fixture(params=list(BACKENDS))
def device(request, gpu):
    opened = open_device(request.param)
    with opened.current():
        yield opened
    opened.close()
    gc.collect()
    gpu.assert_all_is_given_back()


def on_device(device, levels, scale):
    """float16 as it lies on the device afterwards."""
    stream = device.create_stream()
    back = np.zeros(levels.shape, np.float16)
    address = device.allocate(back.nbytes)
    made = Dequantiser(device, stream, [levels.shape])
    made.enqueue(levels, scale, address)
    device.copy_out(back, address, stream)
    device.synchronise(stream)
    made.free()
    device.free(address)
    device.destroy_stream(stream)
    return back


def same_bits(one, other) -> bool:
    return np.array_equal(one.view(np.uint16), other.view(np.uint16))


def test_every_level_times_scales_of_all_kinds(device):
    """Against float64, rounded once, and against the host."""
    levels = np.tile(EVERY_LEVEL, (len(SCALES), 1)).reshape(len(SCALES), 8, 32)
    found = on_device(device, levels, SCALES)
    with np.errstate(over="ignore"):
        wide = levels.astype(np.float64) * SCALES.astype(np.float64)[:, None, None]
        assert same_bits(found, wide.astype(np.float16))
    assert same_bits(found, dequantized({"v": levels, "v" + SCALE: SCALES})["v"])
    assert np.isinf(found).any() and (found[1] != 0).any(), "nothing overflowed, or all underflowed"
    assert np.signbit(found[0][levels[0] < 0]).all(), "the sign of zero"


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (7, 11), (32, 32), (33, 31), (1, 3 * THREADS * PER_THREAD + 1)]
)
def test_maps_of_any_size(device, height, width):
    random = np.random.default_rng(height * width)
    levels = random.integers(-127, 128, (5, height, width)).astype(np.int8)
    scale = random.uniform(0, 0.1, 5).astype(np.float16)
    found = on_device(device, levels, scale)
    assert same_bits(found, dequantized({"v": levels, "v" + SCALE: scale})["v"])


def test_one_room_serves_features_of_all_sizes(device, gpu):
    """The widest map and the most channels need not be of one feature."""
    shapes = {"v": (3, 40, 40), "u": (300, 2, 2)}
    sizes = list(shapes.values())
    stream, made = device.create_stream(), Dequantiser(device, 0, sizes)
    assert made.size_bytes == gpu.used_bytes == 4864 + 600
    made.free()
    random = np.random.default_rng(1)
    stored, addresses = {}, {}
    made = Dequantiser(device, stream, sizes)
    for name, shape in shapes.items():  # one after the other, synchronised once
        stored[name] = random.integers(-127, 128, shape).astype(np.int8)
        stored[name + SCALE] = random.uniform(0, 1, shape[0]).astype(np.float16)
        addresses[name] = device.allocate(2 * stored[name].size)
        made.enqueue(stored[name], stored[name + SCALE], addresses[name])
    device.synchronise(stream)
    for name, wanted in dequantized(stored).items():
        found = gpu.view(addresses[name], wanted.nbytes).view(np.float16)
        assert same_bits(found, wanted.ravel()), name
        device.free(addresses[name])
    made.free()
    device.destroy_stream(stream)


def test_too_little_memory_leaves_no_kernel(device, gpu):
    stream = device.create_stream()
    with pytest.raises(ExecutorError, match="cuMemAlloc failed") as caught:
        Dequantiser(device, stream, [(1 << 10, 1 << 10, 1 << 11)])
    assert "CUDA_ERROR_OUT_OF_MEMORY" in caught.value.found
    del caught
    gc.collect()
    assert not gpu.kernels.modules
    device.destroy_stream(stream)


def test_the_kernel_and_its_source_come_with_the_package():
    assert KERNEL_FILE.is_relative_to(Path(edge.__file__).parent)
    assert KERNEL_FILE.is_file() and KERNEL_FILE.with_suffix(".cu").is_file()
    assert f"kPerThread = {PER_THREAD};" in KERNEL_FILE.with_suffix(".cu").read_text()
