"""What the engine inspector of full TensorRT says of an engine, one optimisation profile at a time.

Without an execution context it writes "N/A due to dynamic shapes" in the place of types wherever
the number of clicks is open, so each profile gets a context with its shapes set. Nothing runs, and
the contexts take no memory of the device for themselves. The default stream stands in for one of
our own: a build needs no CUDA library for Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.errors import ExecutorError

DEFAULT_STREAM = 0


@dataclass(frozen=True, slots=True)
class Inspection:
    """Of one engine."""

    texts: tuple[str, ...]  # JSON, one for each optimisation profile
    device_memory_bytes: int  # of an execution context


def inspect_engine(trt: Any, log: Any, plan: bytes) -> Inspection:
    """Load an engine where it was built, and let the inspector speak of each profile.

    Args:
        trt: full TensorRT.
        log: its logger, with `errors`.
        plan: the serialised engine.

    Raises:
        ExecutorError: it does not load here, or refuses a profile or its shapes.
    """
    runtime = trt.Runtime(log)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise _refused("an engine that deserialises where it was built", log)
    profiles = range(int(engine.num_optimization_profiles))
    texts = tuple(_text(trt, log, engine, profile) for profile in profiles)
    return Inspection(texts, int(engine.device_memory_size_v2))


def _text(trt: Any, log: Any, engine: Any, profile: int) -> str:
    context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    if context is None or not context.set_optimization_profile_async(profile, DEFAULT_STREAM):
        raise _refused(f"an execution context for optimisation profile {profile}", log)
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        if engine.get_tensor_mode(name) != trt.TensorIOMode.INPUT:
            continue
        if -1 not in tuple(engine.get_tensor_shape(name)):
            continue
        _, _, largest = map(tuple, engine.get_tensor_profile_shape(name, profile))
        if not context.set_input_shape(name, largest):
            raise _refused(f"{name} {list(largest)}, as in optimisation profile {profile}", log)
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _refused(expected: str, log: Any) -> ExecutorError:
    return ExecutorError(
        "the engine was built, and cannot be loaded on this device",
        expected=expected,
        found="; ".join(log.errors[-3:]) or "no reason given",
        do="check free memory of the device with `tilefix doctor`",
    )
