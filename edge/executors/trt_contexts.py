"""One execution context for each click bucket, all on the same memory, ready to run.

A context keeps one profile, one set of shapes and one set of addresses for its whole life. All
contexts share one piece of scratch memory, since they never run at the same time: it is as large as
the neediest of them, and not the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.errors import ExecutorError
from edge.executors.base import TensorSpec
from edge.executors.click_buckets import NO_CLICKS, ClickBuckets, is_per_click, sized
from edge.executors.trt_runtime import TensorRt


def profiles_of(engine: Any, inputs: Sequence[TensorSpec]) -> dict[int, int]:
    """Click bucket -> optimisation profile of an engine, ascending by bucket."""
    clicked = [spec.name for spec in inputs if is_per_click(spec)]
    if not clicked:
        return {NO_CLICKS: 0}
    found: dict[int, int] = {}
    for profile in range(engine.num_optimization_profiles):
        _, _, largest = map(tuple, engine.get_tensor_profile_shape(clicked[0], profile))
        found[int(largest[0])] = profile
    return dict(sorted(found.items()))


def scratch_bytes(engine: Any, profiles: Mapping[int, int]) -> int:
    """Working memory of the neediest profile."""
    sizes = [engine.get_device_memory_size_for_profile_v2(each) for each in profiles.values()]
    return max(map(int, sizes))


def runtime_config(trt: TensorRt, engine: Any) -> Any:
    """How TensorRT-RTX shall run an engine; full TensorRT has no such thing.

    Its own CUDA graphs stay off, since ours also hold the copies, and kernels are specialised to
    the shapes before the first run: a graph must not hold a makeshift one.
    """
    module = trt.module
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = module.CudaGraphStrategy.DISABLED
    eager = module.DynamicShapesKernelSpecializationStrategy.EAGER
    config.dynamic_shapes_kernel_specialization_strategy = eager
    strategy = module.ExecutionContextAllocationStrategy.USER_MANAGED
    config.set_execution_context_allocation_strategy(strategy)
    return config


class ClickContexts:
    """The execution contexts of an engine."""

    def __init__(
        self,
        trt: TensorRt,
        engine: Any,
        config: Any,
        profiles: Mapping[int, int],
        stream: int,
        rebuild: str,
    ) -> None:
        """Make one context for each profile.

        Args:
            trt: the library.
            engine: a deserialised engine.
            config: of `runtime_config`, or None for full TensorRT.
            profiles: of `profiles_of`.
            stream: where profiles are switched; synchronise it before the first run.
            rebuild: the command that builds the engine again, for errors.

        Raises:
            ExecutorError: TensorRT refuses a context or its profile.
        """
        self.buckets = ClickBuckets(tuple(profiles))
        self._trt = trt
        self._rebuild = rebuild
        self._contexts: dict[int, Any] = {}
        for bucket, profile in profiles.items():
            trt.messages.clear()
            if config is None:
                strategy = trt.module.ExecutionContextAllocationStrategy.USER_MANAGED
                context = engine.create_execution_context(strategy)
            else:
                context = engine.create_execution_context(runtime_config=config)
            if context is None or not context.set_optimization_profile_async(profile, stream):
                raise self._refused(f"an execution context for {clicks_of(bucket)}")
            self._contexts[bucket] = context

    def place(
        self,
        bucket: int,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        addresses: Mapping[str, int],
        scratch: tuple[int, int],
    ) -> None:
        """Set the shapes and all addresses of one context, once and for all.

        Args:
            bucket: which context.
            inputs: of the engine.
            outputs: of the engine.
            addresses: device address of every input and output.
            scratch: address and size of the working memory.

        Raises:
            ExecutorError: TensorRT refuses one of them, or infers another output shape.
        """
        context = self._contexts[bucket]
        if scratch[1]:
            context.set_device_memory(*scratch)
        for spec in inputs:
            if not context.set_input_shape(spec.name, sized(spec, bucket)):
                raise self._refused(f"{spec.name} {list(sized(spec, bucket))}")
        for spec in (*inputs, *outputs):
            if not context.set_tensor_address(spec.name, addresses[spec.name]):
                raise self._refused(f"an address for {spec.name}")
        for spec in outputs:
            found = tuple(context.get_tensor_shape(spec.name))
            if found != sized(spec, bucket):
                raise self._refused(f"{spec.name} {list(sized(spec, bucket))}", f"{list(found)}")

    def enqueue(self, bucket: int, stream: int) -> None:
        """Enqueue one run.

        Raises:
            ExecutorError: TensorRT refuses; the outputs are then those of an earlier run, so
                nobody may read them.
        """
        self._trt.messages.clear()
        if not self._contexts[bucket].execute_async_v3(stream):
            raise self._refused(f"a run with {clicks_of(bucket)}")

    def context(self, bucket: int) -> Any:
        """The context of a bucket, for whoever measures; it must not be kept beyond `close`."""
        return self._contexts[bucket]

    def check_capturable(self, bucket: int, stream: int) -> None:
        """Refuse a capture that TensorRT-RTX says would go wrong.

        Raises:
            ExecutorError: it says so.
        """
        if not self._contexts[bucket].is_stream_capturable(stream):
            raise self._refused(f"a run with {clicks_of(bucket)} that a CUDA graph can hold")

    def close(self) -> None:
        """Let go of the contexts; the stream must be synchronised."""
        self._contexts.clear()

    def _refused(self, expected: str, found: str = "") -> ExecutorError:
        return ExecutorError(
            f"{self._trt.name} {self._trt.version} refuses to run its engine",
            expected=expected,
            found=found or self._trt.last_message("no reason was given"),
            do=f"build the engine again on this device: {self._rebuild}",
        )


def clicks_of(bucket: int) -> str:
    """A bucket in words."""
    return f"{bucket} clicks" if bucket != NO_CLICKS else "one window"
