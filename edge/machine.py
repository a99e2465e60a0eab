"""What this machine has: cores, memory, disk. Linux first; what is unknown is None."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

ROOT = Path("/")
MIB = 1 << 20
# What a builder of engines takes by itself, and copies of the graph's weights that it holds.
# TensorRT-RTX: measured, 0.3 GB for the shipped graphs to 1.7 GB for one of 220 MB. Full TensorRT,
# with the device's libraries: not measured.
BUILDER_BYTES = {"tensorrt": 1500 * MIB, "tensorrt_rtx": 400 * MIB}
COPIES_OF_WEIGHTS = 6
# TensorRT-RTX 1.7 writes three bytes for every element of the input of a depthwise convolution in
# INT8 into the engine, once for each shape of such inputs, and holds them twice while it builds:
# measured on `lite`, whose encoder of 3 MB takes 0.68 GB and becomes an engine of 183 MB; without
# these convolutions 0.30 GB and 11 MB. Full TensorRT: not measured.
BYTES_PER_DEPTHWISE = {"tensorrt": 0, "tensorrt_rtx": 2 * 3}
BUILD_SHARE = 0.9  # of memory and free swap; the rest stays for the system


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def dot_flag(root: Path = ROOT) -> str | None:
    """The flag of x86-64 by which ONNX Runtime sums four products of 8-bit numbers in int32 (VNNI).

    None: there is none, or the system does not say, as only Linux does. Beside AVX-512 alone,
    avx_vnni does not count: ONNX Runtime then takes its kernels of AVX-512, which lack it.
    """
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    if "avx512_vnni" in known:
        return "avx512_vnni"
    return "avx_vnni" if "avx_vnni" in known and "avx512bw" not in known else None


def meminfo_bytes(name: str, root: Path = ROOT) -> int | None:
    """A line of /proc/meminfo, such as "MemAvailable"; None where the system does not say."""
    try:
        text = (root / "proc/meminfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    return 1024 * int(found[1]) if found else None


def available_memory_bytes(root: Path = ROOT) -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    return meminfo_bytes("MemAvailable", root)


def build_memory_bytes(root: Path = ROOT) -> int | None:
    """Memory and free swap together; None where the system does not say.

    For building alone: a builder may be slowed down by swap, what flies may not.
    """
    available = available_memory_bytes(root)
    return None if available is None else available + (meminfo_bytes("SwapFree", root) or 0)


def build_limit_bytes(memory_bytes: int) -> int:
    """How much of `build_memory_bytes` one build may take."""
    return int(BUILD_SHARE * memory_bytes)


def build_need_bytes(toolkit: str, graph_bytes: int, depthwise_elements: int = 0) -> int:
    """How much a build is expected to take, by a rule of thumb.

    Args:
        toolkit: "tensorrt" or "tensorrt_rtx".
        graph_bytes: size of the ONNX file.
        depthwise_elements: of the inputs of depthwise convolutions in INT8, each shape once.
    """
    weights = COPIES_OF_WEIGHTS * graph_bytes
    return BUILDER_BYTES[toolkit] + weights + BYTES_PER_DEPTHWISE[toolkit] * depthwise_elements


def free_disk_bytes(folder: Path) -> int | None:
    """Room on the disk of a folder; None where it cannot be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
