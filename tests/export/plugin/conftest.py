"""Cases and comparisons of the tests of the kernels, and their libraries for the host."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from made_once import MadeOnce

from export.plugin.build import KERNELS, SHELL, SOURCES
from export.plugin.cross_attention_launcher import CrossAttentionLibrary
from export.plugin.launcher import KernelLibrary
from export.plugin.random_cases import VARIANTS, TileCase, random_case
from export.plugin.toolchain import Nvcc

# name -> N, D, C, grid, anchors, priors
SHAPES = {
    "one click": (1, 16, 8, (4, 4), 9, False),
    "odd": (3, 24, 40, (7, 11), 9, True),
    "one cell": (2, 8, 8, (1, 1), 9, True),
    "one row": (9, 8, 8, (1, 37), 5, True),
    "several blocks": (5, 64, 24, (12, 16), 9, True),
    "one anchor": (8, 8, 16, (8, 8), 1, False),
    "for tensor cores": (20, 64, 48, (7, 8), 9, True),
    "several tiles": (18, 64, 32, (12, 16), 9, True),
    "tiles that are not aligned": (5, 80, 16, (9, 15), 9, True),
    "rows of several tiles": (4, 16, 16, (3, 136), 9, True),
    "two chunks of channels": (3, 528, 256, (3, 8), 8, False),
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


FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-fPIC")


@pytest.fixture(scope="session")
def host_cxx() -> str:
    return host_compiler()


def host_compiler() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: the kernels cannot be compiled for the host")
    return compiler


@pytest.fixture(scope="session")
def host_objects(once: MadeOnce) -> list[Path]:
    """The CUDA sources compiled for the host, where one thread block runs at a time."""
    flags = (*FLAGS, "-DTILEFIX_HOST", "-c", "-x", "c++")

    def compile_all(folder: Path) -> None:
        for name in KERNELS:
            out = folder / f"{name}.o"
            subprocess.run([host_compiler(), *flags, SOURCES / name, "-o", out], check=True)

    made = once("host-objects", compile_all)
    return [made / f"{name}.o" for name in KERNELS]


@pytest.fixture(scope="session")
def host_library(host_objects: list[Path], once: MadeOnce) -> Path:
    def link(folder: Path) -> None:
        words = [host_compiler(), "-shared", *host_objects, "-o", folder / "kernels.so"]
        subprocess.run(words, check=True)

    return once("host-kernels", link) / "kernels.so"


@pytest.fixture(scope="session")
def host_kernels(host_library: Path) -> KernelLibrary:
    return KernelLibrary(host_library)


@pytest.fixture(scope="session")
def host_cross(host_library: Path) -> CrossAttentionLibrary:
    return CrossAttentionLibrary(host_library)


@pytest.fixture(scope="session")
def host_plugin_library(
    host_objects: list[Path], trt_headers: Path, nvcc: Nvcc, once: MadeOnce
) -> Path:
    """The TensorRT shells, as they are, around the kernels of the host."""
    includes = ("-isystem", trt_headers, "-isystem", nvcc.include())
    flags = (*FLAGS, "-fvisibility=hidden", "-shared", "-Wl,-z,defs", *includes)
    given = [*(SOURCES / name for name in SHELL), *host_objects]

    def link(folder: Path) -> None:
        words = [host_compiler(), *flags, *given, "-o", folder / "plugin.so"]
        subprocess.run(words, check=True)

    return once("host-plugin", link) / "plugin.so"


@pytest.fixture(scope="session")
def host_plugin(host_plugin_library: Path) -> KernelLibrary:
    return KernelLibrary(host_plugin_library)


@pytest.fixture(scope="session")
def host_cross_plugin(host_plugin_library: Path) -> CrossAttentionLibrary:
    return CrossAttentionLibrary(host_plugin_library)


@pytest.fixture
def fake_nvcc(tmp_path, monkeypatch):
    """An nvcc 13.0 that knows sm_87 and sm_90 and refuses every source."""
    fake = tmp_path / "bin/nvcc"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\ncase $1 in\n"
        "--version) echo 'Cuda compilation tools, release 13.0, V13.0.88';;\n"
        "--list-gpu-code) echo sm_87; echo sm_90;;\n"
        "*) echo 'x.cu(1): error: no such thing' >&2; exit 2;;\nesac\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    return fake
