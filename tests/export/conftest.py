"""The compiled plugin, made once for all tests that need it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_once import MadeOnce

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
def built_plugin(nvcc: Nvcc, trt_headers: Path, once: MadeOnce) -> Path:
    """The plugin as nvcc compiles it, for one architecture: that of the engines in the tests."""
    arch = 86 if 86 in nvcc.archs else nvcc.archs[0]
    main = ["plugin", "build", "--arch", str(arch), "--out"]
    folder = once("plugin", lambda out: tilefix([*main, str(out)], standalone_mode=False))
    return folder / LIBRARY
