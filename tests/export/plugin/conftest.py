"""Cases and comparisons of the tests of TileAttention."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import export.plugin
from export.plugin.launcher import KernelLibrary
from export.plugin.random_cases import VARIANTS, TileCase, random_case

SOURCES = Path(export.plugin.__file__).parent / "csrc"
# name -> N, D, C, grid, anchors, priors
SHAPES = {
    "one click": (1, 16, 8, (4, 4), 9, False),
    "odd": (3, 24, 40, (7, 11), 9, True),
    "one cell": (2, 8, 8, (1, 1), 9, True),
    "one row": (9, 8, 8, (1, 37), 5, True),
    "several blocks": (5, 64, 24, (12, 16), 9, True),
    "one anchor": (8, 8, 16, (8, 8), 1, False),
    "the most clicks": (64, 8, 8, (3, 5), 2, True),
}
CASES = [(variant, shape) for variant in VARIANTS for shape in SHAPES]


def make_case(variant: str, shape: str, seed: int = 0) -> TileCase:
    clicks, embedding, hidden, grid_hw, anchors, priors = SHAPES[shape]
    settings = VARIANTS[variant]
    return random_case(seed, clicks, embedding, hidden, grid_hw, anchors, settings, priors)


def assert_close(found: Mapping[str, np.ndarray], case: TileCase) -> None:
    """Float32 answers against the float64 reference."""
    expected = case.expected()
    assert set(found) <= set(expected)
    for name, values in found.items():
        scale = max(1.0, float(np.abs(expected[name]).max()))
        np.testing.assert_allclose(
            values, expected[name], rtol=1e-4, atol=2e-5 * scale, err_msg=name
        )


@pytest.fixture(params=CASES, ids=lambda pair: f"{pair[0]}, {pair[1]}")
def case(request: pytest.FixtureRequest) -> TileCase:
    return make_case(*request.param)


@pytest.fixture
def compare() -> Callable[[Mapping[str, np.ndarray], TileCase], None]:
    return assert_close


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory: pytest.TempPathFactory) -> KernelLibrary:
    """The CUDA source compiled for the host, where one thread block runs at a time."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: the kernels cannot be compiled for the host")
    library = tmp_path_factory.mktemp("host") / "kernels.so"
    source = SOURCES / "tile_attention.cu"
    flags = ["-std=c++17", "-O1", "-DTILEFIX_HOST", "-Wall", "-Wextra", "-Werror"]
    flags += ["-Wno-unknown-pragmas", "-fPIC", "-shared", "-x", "c++"]
    subprocess.run([compiler, *flags, source, "-o", library], check=True)
    return KernelLibrary(library)
