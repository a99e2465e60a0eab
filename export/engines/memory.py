"""How much memory a build may take, and whether there is enough, before it starts.

Builders on small boards are killed without a word. What is there and what is needed are told by
`edge.machine`, for `tilefix doctor` too.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge.errors import ExecutorError, UsageError
from edge.machine import BUILD_SHARE, MIB, build_limit_bytes, build_need_bytes

# Kernels are chosen within TensorRT's scratch memory, so its size is in the engine's key. It comes
# from the memory that a machine has, in steps, and never from what is free at the moment.
LARGEST_WORKSPACE_MIB = 1024
WORKSPACES_MIB = ((6 << 30, 256), (12 << 30, 512))  # memory of the machine below, in bytes
TAKEN = re.compile(r"^(?:VmRSS|VmSwap):\s+(\d+) kB", re.MULTILINE)
ADVICE = (
    "end other programs (on a Jetson stop the desktop: sudo systemctl isolate multi-user.target), "
    "add swap, or allow more with --memory-mb"
)


def workspace_mib(total_bytes: int | None) -> int:
    """Scratch memory of TensorRT on a machine with so much memory; None: unknown."""
    if total_bytes is not None:
        for below_bytes, mib in WORKSPACES_MIB:
            if total_bytes < below_bytes:
                return mib
    return LARGEST_WORKSPACE_MIB


def limit_memory(
    toolkit: str,
    graph_bytes: int,
    available_bytes: int | None,
    asked_mb: int | None = None,
    depthwise_elements: int = 0,
) -> int | None:
    """How many bytes the process of a build may take; None: unknown, so there is no limit.

    Args:
        toolkit: "tensorrt" or "tensorrt_rtx".
        graph_bytes: size of the ONNX file.
        available_bytes: `edge.machine.build_memory_bytes()`.
        asked_mb: the user's own limit, in place of what is available.
        depthwise_elements: see `edge.machine.build_need_bytes`.

    Raises:
        UsageError: a limit that is none.
        ExecutorError: a build is known to need more.
    """
    if asked_mb is not None:
        if asked_mb < 1:
            raise UsageError(
                "--memory-mb is no limit",
                expected="a number of megabytes, such as 4000",
                found=str(asked_mb),
                do="leave it out: the limit then comes from what is available",
            )
        limit, found = asked_mb * MIB, f"--memory-mb {asked_mb}"
        do = "allow more with --memory-mb, or leave it out"
    elif available_bytes is None:
        return None
    else:
        limit, do = build_limit_bytes(available_bytes), ADVICE
        found = f"{limit // MIB} MB, {BUILD_SHARE:.0%} of the {available_bytes // MIB} MB "
        found += "of memory and free swap"
    need = build_need_bytes(toolkit, graph_bytes, depthwise_elements)
    if need > limit:
        depthwise = need - build_need_bytes(toolkit, graph_bytes)
        of_which = f", {depthwise // MIB} MB of it for depthwise convolutions in INT8"
        raise ExecutorError(
            "too little memory to build an engine",
            expected=f"about {need // MIB} MB for a graph of {graph_bytes / 1e6:.0f} MB"
            + (of_which if depthwise else ""),
            found=found,
            do=do,
        )
    return limit


def note_of(peak_bytes: int, limit_bytes: int | None) -> str:
    """What to say of the memory that a finished build took.

    The limit is looked at some times a second, and does not count what a library maps from files: a
    build that passed it for a moment is not ended.
    """
    note = f"the build took {peak_bytes / 1e6:.0f} MB of memory at most"
    if limit_bytes is not None and peak_bytes > limit_bytes:
        note += f", more than its limit of {limit_bytes / 1e6:.0f} MB, for a moment or with files"
    return note


def taken_bytes(pid: int) -> int:
    """Memory of a process, in RAM and in swap; 0 where it is gone or the system does not say."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(1024 * int(size) for size in TAKEN.findall(text))
