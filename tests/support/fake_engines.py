"""Fake engines on the disk, and the fake libraries in their places, ready for an executor."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fake_cuda import fake_cuda_driver
from fake_gpu import FakeGpu
from fake_pycuda import fake_libcuda, fake_pycuda_driver
from fake_tensorrt import fake_plan, fake_tensorrt

import edge.devices.pycuda
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.devices.driver_graphs import DriverGraphs
from edge.engine_manifest import (
    ENGINE_FILE,
    PLUGIN_FILE,
    EngineKey,
    EngineManifest,
    LayerSummary,
    engines_folder,
    write_engine,
)

BUCKETS = (1, 4, 16, 64)
VERSIONS = {"tensorrt": "10.3.0", "tensorrt_rtx": "1.7.1.116"}
PLUGIN = b"\x7fELF, but not really"


def install(patch: pytest.MonkeyPatch, gpu: FakeGpu) -> dict[str, ModuleType]:
    """Put fakes of every library in its place; the two TensorRTs by their names."""
    patch.setitem(sys.modules, "cuda.bindings.driver", fake_cuda_driver(gpu))
    patch.setitem(sys.modules, "pycuda.driver", fake_pycuda_driver(gpu))
    patch.setattr(edge.devices.pycuda, "DriverGraphs", lambda: DriverGraphs(load=fake_libcuda(gpu)))
    found = {name: fake_tensorrt(gpu, name, version) for name, version in VERSIONS.items()}
    for name, module in found.items():
        patch.setitem(sys.modules, name, module)
    return found


def key_for(bundle: Bundle, kind: str, toolkit: str = "tensorrt", **changes: Any) -> EngineKey:
    """The key of an engine that fits a FakeGpu as it comes."""
    precision = changes.get("precision", "fp32")
    values = {
        "kind": kind,
        "toolkit": toolkit,
        "toolkit_version": VERSIONS[toolkit],
        "onnx_sha256": bundle.manifest.files[f"graphs/{precision}/{kind}.onnx"],
        "precision": precision,
        "compute_capabilities": ("8.7",),
        "gpu_name": "Fake GPU (16 SM)" if toolkit == "tensorrt" else "",
        "click_buckets": BUCKETS if kind == LOCALIZER else (),
    }
    return EngineKey(**{**values, **changes})


def write_fake_engine(
    bundle: Bundle,
    kind: str,
    toolkit: str = "tensorrt",
    *,
    plugin: bytes = b"",
    layers: Sequence[dict[str, Any]] = (),
    times_ms: Sequence[dict[str, float]] = (),
    kernels: Path | None = None,
    **changes: Any,
) -> Path:
    """Write an engine of one graph where the executor looks for it; its folder.

    `layers`, `times_ms`: see `fake_plan`; `kernels`: a graph that answers in place of its own.
    """
    if plugin:
        changes["plugin_sha256"] = hashlib.sha256(plugin).hexdigest()
    key = key_for(bundle, kind, toolkit, **changes)
    onnx = bundle.graph(kind, key.precision)
    plan = fake_plan(kernels or onnx, key.click_buckets, bool(plugin), layers, times_ms)
    manifest = EngineManifest(
        schema="",
        key=key,
        engine_sha256=hashlib.sha256(plan).hexdigest(),
        engine_bytes=len(plan),
        inputs=(),
        outputs=(),
        layers=LayerSummary(layers=1, plugin_layers=int(bool(plugin))),
    )
    files: dict[str, Path | bytes] = {ENGINE_FILE: plan}
    if plugin:
        files[PLUGIN_FILE] = plugin
    return write_engine(engines_folder(bundle), manifest, files)


def write_fake_engines(bundle: Bundle, precision: str = "fp32") -> None:
    """Engines of both graphs for both toolkits."""
    for toolkit in VERSIONS:
        for kind in (LOCALIZER, ENCODER):
            write_fake_engine(bundle, kind, toolkit, precision=precision)
