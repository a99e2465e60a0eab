"""A fake GPU with both TensorRTs, engines of the tiny bundle, and a way to open executors."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_engines import install, write_fake_engines
from fake_gpu import FakeGpu

from edge.bundle import LOCALIZER
from edge.devices.base import DeviceOptions
from edge.engine_manifest import ENGINES_VARIABLE
from edge.executors.base import open_executor
from edge.feature_quantization import SCALE, dequantized, quantized

TOOLKITS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}


@pytest.fixture(params=["tensorrt"])
def name(request) -> str:
    """Of the executor."""
    return request.param


@pytest.fixture(params=["cuda-python"])
def backend(request) -> str:
    """Of the device."""
    return request.param


@pytest.fixture(params=["discrete"])
def memory_kind(request) -> str:
    """Of the GPU's memory."""
    return request.param


@pytest.fixture
def inputs(tiny_bundle):
    """`inputs(count, seed)`: what the localizer takes, without its features and with priors."""

    def make(count: int, seed: int = 0) -> dict[str, Any]:
        random = np.random.default_rng(seed)
        return {
            "frame": random.integers(0, 256, (64, 64, 3), dtype=np.uint8),
            "frame_affine": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
            "click_xy_px": random.uniform(0, 64, (count, 2)).astype(np.float32),
            "prior_xy_px": random.uniform(0, 128, (count, 2)).astype(np.float32),
            "prior_inv_var": random.choice([0, 0.01], count).astype(np.float32),
        }

    return make


@pytest.fixture
def feature(tiny_bundle):
    """`feature(seed)`: the two tensors of a window."""

    def make(seed: int = 0) -> dict[str, Any]:
        random = np.random.default_rng(seed)
        shapes = {each.name: each.shape for each in tiny_bundle.manifest.features}
        return {n: random.normal(size=shape).astype(np.float16) for n, shape in shapes.items()}

    return make


@pytest.fixture
def stored(feature):
    """`stored(seed)`: a window as a store of int8 gives it, read-only."""

    def make(seed: int = 0):
        made = quantized(feature(seed), ("v", "u"))
        for value in made.values():
            value.flags.writeable = False
        return made

    return make


@pytest.fixture
def products(monkeypatch):
    """One entry for each time that a host makes float16."""
    calls: list[int] = []

    def counted(tensors):
        if any(name + SCALE in tensors for name in tensors):
            calls.append(1)
        return dequantized(tensors)

    for module in ("int8_features", "onnxruntime", "reference"):
        monkeypatch.setattr(f"edge.executors.{module}.dequantized", counted)
    return calls


@pytest.fixture
def reference(tiny_bundle):
    """The same graph in ONNX Runtime."""
    return open_executor("onnxruntime", tiny_bundle, LOCALIZER)


@pytest.fixture
def rig(monkeypatch, tmp_path, tiny_bundle, name, backend, memory_kind):
    """`gpu`, `trt` (the fake module in use), `open(graphs=..., int8=...)`, `bundle`."""
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
    write_fake_engines(tiny_bundle)
    gpu = FakeGpu(integrated=memory_kind == "integrated")
    modules = install(monkeypatch, gpu)

    def opened(kind: str = LOCALIZER, *, graphs: bool = True, int8: bool = False) -> Any:
        options = DeviceOptions(backend, graphs, int8_features=int8)
        return open_executor(name, tiny_bundle, kind, "fp32", 2, options)

    made = SimpleNamespace(
        gpu=gpu, trt=modules[TOOLKITS[name]], open=opened, bundle=tiny_bundle, name=name
    )
    yield made
    gc.collect()
    assert not gpu.violations, gpu.violations
