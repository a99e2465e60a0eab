"""What this machine's processor can do at most: bytes copied and multiply-accumulates a second.

Both are measured for the number of threads that the executor gets, each in under a second. They
are the best of several rounds: a limit is what nothing disturbed. A GPU's are not measured here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import BenchmarkError
from edge.machine import ROOT, available_memory_bytes

if TYPE_CHECKING:
    import onnx

CACHES = 4  # the copied buffers are so many times as large as all caches
LEAST_BYTES, MOST_BYTES = 64 << 20, 1 << 30
MEMORY_SHARE = 8  # both buffers take at most one part of so many of the free memory
BUDGET_S = 0.5  # for the rounds of one measurement
LEAST_ROUNDS = 2
SIDE = 1024  # of the square matrices


def copy_gb_s(threads: int, root: Path = ROOT) -> float:
    """Bandwidth of copying memory, bytes read plus bytes written, 1e9 a second.

    A processor that fetches a line before it overwrites it moves half as much again; that share is
    not counted.

    Args:
        threads: that copy at the same time, each its own part.
        root: of the file system, for the sizes of the caches and the free memory.

    Raises:
        BenchmarkError: fewer than one thread, or not enough memory to get past the caches.
    """
    _check(threads)
    size = buffer_bytes(root)
    source = np.ones(size // 8, np.float64)
    target = np.zeros_like(source)  # touched, so that no page is made while time runs
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda part: np.copyto(*part), parts))

        best_s = _best_s(copy)
    return 2 * source.nbytes / best_s / 1e9


def matrix_gmac_s(threads: int, kind: str = "float32") -> float:
    """Rate of a large product of matrices in ONNX Runtime, 1e9 multiply-accumulates a second.

    Args:
        threads: of ONNX Runtime within the product.
        kind: "float32", or "int8" with sums in int32. On a processor, float16 graphs compute in
            float32.

    Raises:
        BenchmarkError: fewer than one thread.
        ModuleNotFoundError: onnx is not installed (the extra `export`).
    """
    import onnxruntime

    _check(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        product_model(kind).SerializeToString(), options, ["CPUExecutionProvider"]
    )
    kinds = {"float32": np.float32, "int8": np.uint8}  # of what enters; the weights have signs
    fed = {"x": np.random.default_rng(1).integers(0, 9, (SIDE, SIDE)).astype(kinds[kind])}
    return SIDE**3 / _best_s(lambda: session.run(None, fed)) / 1e9


def product_model(kind: str) -> onnx.ModelProto:
    """An ONNX graph of one product of two square matrices, the second one constant."""
    from onnx import TensorProto, helper, numpy_helper

    whole = kind == "int8"
    read, made = (
        (TensorProto.UINT8, TensorProto.INT32) if whole else (TensorProto.FLOAT, TensorProto.FLOAT)
    )
    weights = np.random.default_rng(0).integers(-9, 9, (SIDE, SIDE)).astype(kind)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger" if whole else "MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", read, (SIDE, SIDE))],
        [helper.make_tensor_value_info("y", made, (SIDE, SIDE))],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def buffer_bytes(root: Path = ROOT) -> int:
    """Size of one buffer to copy: past all caches, within the free memory.

    Raises:
        BenchmarkError: the free memory does not reach past the caches.
    """
    cached = cache_bytes(root)
    wanted = min(max(CACHES * cached, LEAST_BYTES), MOST_BYTES)
    free = available_memory_bytes(root)
    fits = wanted if free is None else min(wanted, free // MEMORY_SHARE // 2)
    if fits < max(cached, LEAST_BYTES // 4):
        raise BenchmarkError(
            "there is not enough memory to measure how fast it is copied",
            expected=f"free memory of {2 * MEMORY_SHARE * max(cached, LEAST_BYTES // 4) >> 20} MiB",
            found=f"{0 if free is None else free >> 20} MiB",
            do="end what else runs, and measure again",
        )
    return fits - fits % 8


def cache_bytes(root: Path = ROOT) -> int:
    """Size of the largest cache that the first processor sees; 0 where the system does not say."""
    sizes = [0]
    for path in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            text = path.read_text(encoding="ascii").strip()
        except OSError:
            continue
        unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1:])
        if unit and text[:-1].isdecimal():
            sizes.append(int(text[:-1]) * unit)
    return max(sizes)


def _best_s(work: Callable[[], object]) -> float:
    """Shortest time of some rounds, after one that does not count."""
    work()
    took_s: list[float] = []
    while len(took_s) < LEAST_ROUNDS or sum(took_s) < BUDGET_S:
        start_s = time.perf_counter()
        work()
        took_s.append(time.perf_counter() - start_s)
    return min(took_s)


def _check(threads: int) -> None:
    if threads < 1:
        raise BenchmarkError(
            "a machine is measured with threads",
            expected="1 thread or more",
            found=str(threads),
            do="give the number of threads that the executor gets",
        )
