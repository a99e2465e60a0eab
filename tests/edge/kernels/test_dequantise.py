"""The PTX that the driver is given: for which devices it assembles, and that it is its source's."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from ptx_machine import PtxHeader, PtxKernel, PtxMachine, UnknownPtxError

from edge.executors.dequantiser import ENTRY, KERNEL_FILE, THREADS

SOURCE = KERNEL_FILE.with_suffix(".cu")
OLDEST_DRIVER = (7, 4)  # PTX that the driver of CUDA 11.4 reads
ARCHITECTURES = ("sm_75", "sm_87", "sm_90", "sm_110", "sm_120")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def ran(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def multiplied(text: str, levels: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The kernel of a module on flat memory: levels, scales, features."""
    kernel = PtxKernel.parse(text, ENTRY)
    assert kernel is not None
    channels, plane = levels.shape
    starts = [256, 256 + 2048 * -(-levels.size // 2048), 0]
    starts[2] = starts[1] + 2048
    memory = np.full(starts[2] + 2 * levels.size, 0xAA, np.uint8)
    memory[starts[0] : starts[0] + levels.size] = levels.view(np.uint8).ravel()
    memory[starts[1] : starts[1] + scale.nbytes] = scale.view(np.uint8)
    before = memory[: starts[2]].copy()
    blocks = -(-plane // (4 * THREADS)), channels
    arguments = [np.uint64(each).tobytes() for each in starts] + [np.uint32(plane).tobytes()]
    PtxMachine(lambda at, size: memory[at : at + size]).run(kernel, blocks, THREADS, arguments)
    assert np.array_equal(memory[: starts[2]], before), "it writes into what it reads"
    return memory[starts[2] :].view(np.float16).reshape(levels.shape)


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    levels = random.integers(-128, 128, (6, 1500)).astype(np.int8)
    return levels, np.array([0, 6e-8, 2e-5, 0.03, 1, 65504], np.float16)


def test_it_is_for_every_driver_and_gpu_of_tensorrt_10():
    header = PtxHeader.parse(KERNEL_FILE.read_text())
    assert header.version <= OLDEST_DRIVER
    assert header.target <= 75


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_assembles(tmp_path, architecture):
    made = tmp_path / "kernel.cubin"
    ran(tool("ptxas"), f"-arch={architecture}", "-Werror", str(KERNEL_FILE), "-o", str(made))
    assert made.read_bytes().startswith(b"\x7fELF")


def exact(levels: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The products, float16 [C, N], rounded once."""
    with np.errstate(over="ignore"):
        return (levels.astype(np.float64) * scale.astype(np.float64)[:, None]).astype(np.float16)


def of_a_compiler(text: str, levels: np.ndarray, scale: np.ndarray, compiler: str) -> np.ndarray:
    """What PTX that was made just now multiplies; one that cannot be run here is no silence."""
    try:
        return multiplied(text, levels, scale)
    except UnknownPtxError as error:
        pytest.fail(f"tests/support/ptx_machine.py does not know what {compiler} writes: {error}")


def test_what_is_committed_multiplies(case):
    found = multiplied(KERNEL_FILE.read_text(), *case)
    assert np.array_equal(found.view(np.uint16), exact(*case).view(np.uint16))


def test_its_source_compiles_to_a_kernel_of_the_same_values(tmp_path, case):
    made = tmp_path / "made.ptx"
    words = "-std=c++17", "-arch=compute_75", "-Werror", "all-warnings", "-ptx"
    ran(tool("nvcc"), *words, str(SOURCE), "-o", str(made))
    compiler = ran(tool("nvcc"), "--version").strip().splitlines()[-1]
    found = of_a_compiler(made.read_text(), *case, compiler)
    assert np.array_equal(found.view(np.uint16), exact(*case).view(np.uint16))


def test_a_compiler_that_writes_what_nobody_knows_is_a_failure_with_its_name(case):
    text = KERNEL_FILE.read_text().replace("mul.f32", "mulx.f32")
    with pytest.raises(pytest.fail.Exception, match=r"what release 99 writes: .*mulx"):
        of_a_compiler(text, *case, "release 99")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("ld.global.s8", "ld.global.u8"),
        ("mul.wide.u32 \t%rd8, %r7, 2", "mul.wide.u32 \t%rd8, %r7, 4"),
        ("setp.ge.u32 \t%p4, %r5, %r6", "setp.gt.u32 \t%p4, %r5, %r6"),
        ("mul.f32", "add.f32"),
    ],
)
def test_the_machine_sees_what_is_wrong(case, right, wrong):
    text = KERNEL_FILE.read_text()
    assert right in text
    levels = case[0][:, :1000] if "%p4" in right else case[0]  # so that a last thread lies beyond
    levels = np.ascontiguousarray(levels)
    wanted = multiplied(text, levels, case[1])
    try:
        found = multiplied(text.replace(right, wrong), levels, case[1])
    except (UnknownPtxError, IndexError, ValueError):
        return  # two threads at one place, or beyond the memory
    assert not np.array_equal(found.view(np.uint16), wanted.view(np.uint16))
