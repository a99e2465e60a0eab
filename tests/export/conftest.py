"""What is made once for all tests that need it: the compiled plugin, torch's list of operators."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli import tilefix
from edge.errors import MissingLibraryError
from export.plugin.build import LIBRARY
from export.plugin.toolchain import Nvcc, tensorrt_headers


@pytest.fixture(scope="session", autouse=True)
def torchlib_once() -> Iterator[None]:
    """Read torch's translations of its operators once, not anew for each export: it takes 1 s."""
    if "export.graph_writing" not in sys.modules:  # no test here exports
        yield
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(ONNXRegistry.from_torchlib)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))
        yield


@pytest.fixture(scope="session")
def trt_headers() -> Path:
    """TensorRT's headers, where the machine has them or PyPI gives them."""
    try:
        return tensorrt_headers()
    except MissingLibraryError as error:
        pytest.skip(f"no TensorRT headers: {error.found}")


@pytest.fixture(scope="session")
def nvcc() -> Nvcc:
    try:
        return Nvcc.find()
    except MissingLibraryError as error:
        pytest.skip(error.what)


@pytest.fixture(scope="session")
def built_plugin(nvcc: Nvcc, trt_headers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as nvcc compiles it, for one architecture: that of the engines in the tests."""
    folder = tmp_path_factory.mktemp("built")
    arch = 86 if 86 in nvcc.archs else nvcc.archs[0]
    main = ["plugin", "build", "--arch", str(arch), "--out", str(folder)]
    tilefix(main, standalone_mode=False)
    return folder / LIBRARY
