"""What `tilefix build` writes is what the executor looks for, up to where a GPU is needed."""

from __future__ import annotations

import ctypes.util
import gc
import sys

import pytest
from click.testing import CliRunner
from fake_cuda import fake_cuda_driver
from fake_gpu import FakeGpu

from edge.bundle import ENCODER, LOCALIZER
from edge.devices.base import DeviceFacts
from edge.errors import ExecutorError
from edge.executors.base import open_executor
from edge.executors.engine_choice import choose_engine


@pytest.fixture(scope="module")
def built_bundle(make_tiny_bundle, tmp_path_factory):
    """The tiny bundle with real engines of TensorRT-RTX for compute capability 8.6."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
    pytest.importorskip("onnx", reason="the extra 'export' is not installed")
    from export.engines.command import build

    bundle = make_tiny_bundle(tmp_path_factory.mktemp("built") / "tiny")
    options = ["--precision", "fp32", "--target", "sm86", "--toolkit", "tensorrt_rtx"]
    done = CliRunner().invoke(
        build, [str(bundle.path), *options, "--buckets", "1,4"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return bundle


@pytest.mark.parametrize("kind", [ENCODER, LOCALIZER])
def test_it_is_found_by_its_key(built_bundle, kind):
    trt = pytest.importorskip("tensorrt_rtx")
    facts = DeviceFacts("RTX 3060", "8.6", integrated=False, total_bytes=1 << 30)
    found = choose_engine(built_bundle, kind, "fp32", "tensorrt_rtx", str(trt.__version__), facts)
    assert found.manifest.key.kind == kind
    assert found.manifest.key.click_buckets == ((1, 4) if kind == LOCALIZER else ())
    assert found.notes == (), "one built ahead of time is of no particular board"


@pytest.mark.parametrize("kind", [ENCODER, LOCALIZER])
def test_the_real_runtime_comes_as_far_as_the_missing_driver(built_bundle, kind, monkeypatch):
    """On a fake GPU TensorRT-RTX itself runs, and finds that there is none."""
    if ctypes.util.find_library("cuda") is not None:
        pytest.skip("there is a CUDA driver here, and it must not be given made-up addresses")
    gpu = FakeGpu("RTX 3060", (8, 6))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", fake_cuda_driver(gpu))
    with pytest.raises(ExecutorError, match="refuses the engine") as caught:
        open_executor("tensorrt-rtx", built_bundle, kind, "fp32")
    assert "Cuda Runtime" in caught.value.found
    gc.collect()
    gpu.assert_all_is_given_back()
    assert gpu.retained == 0
