"""How much memory a build may take, and whether there is enough, before it starts.

Builders on small boards are killed without a word. What is there and what is needed are told by
`edge.machine`, for `tilefix doctor` too.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.errors import ExecutorError, UsageError
from edge.machine import BUILD_SHARE, MIB, build_limit_bytes, build_need_bytes

WORKSPACE_SHARE = 0.25
MOST_WORKSPACE_BYTES = 1 << 30
ADVICE = (
    "end other programs (on a Jetson stop the desktop: sudo systemctl isolate multi-user.target), "
    "add swap, or allow more with --memory-mb"
)


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Limits of one build."""

    limit_bytes: int | None  # of the process; None: unknown, so none is set
    workspace_bytes: int  # of TensorRT's scratch memory on the device


def plan_memory(
    toolkit: str, graph_bytes: int, available_bytes: int | None, asked_mb: int | None = None
) -> MemoryPlan:
    """Limits from what is available, or from what was asked for.

    Args:
        toolkit: "tensorrt" or "tensorrt_rtx".
        graph_bytes: size of the ONNX file.
        available_bytes: `edge.machine.build_memory_bytes()`.
        asked_mb: the user's own limit, which is taken without doubt.

    Raises:
        UsageError: a limit that is none.
        ExecutorError: too little memory.
    """
    if asked_mb is not None:
        if asked_mb < 1:
            raise UsageError(
                "--memory-mb is no limit",
                expected="a number of megabytes, such as 4000",
                found=str(asked_mb),
                do="leave it out: the limit then comes from what is available",
            )
        limit = asked_mb * MIB
    elif available_bytes is None:
        return MemoryPlan(None, MOST_WORKSPACE_BYTES)
    else:
        limit = build_limit_bytes(available_bytes)
        need = build_need_bytes(toolkit, graph_bytes)
        if need > limit:
            raise ExecutorError(
                "too little memory to build an engine",
                expected=f"about {need // MIB} MB for a graph of {graph_bytes / 1e6:.0f} MB",
                found=f"{limit // MIB} MB, {BUILD_SHARE:.0%} of the {available_bytes // MIB} MB "
                "of memory and free swap",
                do=ADVICE,
            )
    return MemoryPlan(limit, min(MOST_WORKSPACE_BYTES, int(WORKSPACE_SHARE * limit)))
