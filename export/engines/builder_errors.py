"""What a builder's complaints mean, in four parts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edge.errors import ExecutorError
from export.engines.job import BuildJob
from export.engines.memory import ADVICE

NO_MEMORY = re.compile(r"out ?of ?memory|bad_alloc|cannot allocate|MemoryError", re.IGNORECASE)
NO_PLUGIN = re.compile(r"Plugin not found")
NO_IMPORTER = "No importer registered for op: "
# What each kernel takes; see `checked` in its plugin's source.
TAKES = {
    "TileAttention": "1 to 64 clicks, channels in multiples of 8",
    "CrossAttention": "channels that are a multiple of the heads, at most 128 to a head",
}
NO_OPERATOR = re.compile(r"UNSUPPORTED_NODE|INVALID_NODE|No importer registered|Unsupported op")
NO_KERNEL = re.compile(r"Cannot compile")
PLUGIN_SAID_NO = re.compile(r"configurePlugin|getOutputShapes|supportsFormat")
SHOWN_CHARACTERS = 600


def explain(errors: Sequence[str], title: str, job: BuildJob) -> ExecutorError:
    """An error made of what the parser or the builder said.

    Args:
        errors: its messages, first cause first.
        title: of the toolkit.
        job: what it was told.
    """
    said = [" ".join(each.split()) for each in errors if each.strip()]
    text = "; ".join(said)
    found = text[:SHOWN_CHARACTERS] or "no reason given"
    graph = job.graph
    if NO_MEMORY.search(text):
        return no_memory(job, found)
    if NO_PLUGIN.search(text) or any(NO_IMPORTER + name in text for name in job.custom_operators):
        return ExecutorError(
            f"{title} does not know a custom operator of {graph}",
            expected=f"a plugin with creators for {', '.join(job.custom_operators) or 'it'}",
            found=found,
            do=job.advice,
        )
    if PLUGIN_SAID_NO.search(text):
        return ExecutorError(
            f"the plugin refuses the shapes or types of {graph}",
            expected="; ".join(
                f"{name}: {TAKES.get(name, 'what its kernel takes')}"
                for name in job.custom_operators
            ),
            found=found,
            do="choose other --buckets, or export the bundle again",
        )
    if NO_KERNEL.search(text):
        targets = ", ".join(f"sm{each}" for each in job.capabilities)
        return ExecutorError(
            f"{title} has no kernel for a part of {graph} on {targets}",
            expected="a precision that every target has (sm75 has no FP32 products)",
            found=found,
            do="leave that target out of --target, or choose another --precision",
        )
    if NO_OPERATOR.search(text):
        return ExecutorError(
            f"{title} does not support an operator of {graph}",
            expected="operators that its ONNX parser imports",
            found=found,
            do="export the bundle again with this version of tilefix, or install a newer TensorRT",
        )
    return ExecutorError(
        f"{title} cannot build an engine from {graph}",
        expected="a serialised engine",
        found=found,
        do="run again with --logs FOLDER and report its end, with the version of TensorRT",
    )


def no_memory(job: BuildJob, found: str) -> ExecutorError:
    """Memory ran out during a build."""
    limit = f"{job.limit_bytes >> 20} MB" if job.limit_bytes is not None else "what is available"
    return ExecutorError(
        "the build ran out of memory",
        expected=f"that it stays within {limit}",
        found=found,
        do=ADVICE,
    )
