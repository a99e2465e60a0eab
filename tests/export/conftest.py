"""The compiled plugin, made once for all tests that need it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import tilefix
from edge.errors import MissingLibraryError
from export.plugin.build import LIBRARY
from export.plugin.toolchain import Nvcc, tensorrt_headers


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
