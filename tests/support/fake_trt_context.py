"""The fake execution context of TensorRT, and the runtime configuration of TensorRT-RTX."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from fake_gpu import BrokenRuleError, RefusedError, Work
from fake_trt_parts import IProfiler, Owned, TensorIOMode

if TYPE_CHECKING:
    from fake_tensorrt import ICudaEngine


class IRuntimeCache:
    def __init__(self, module: Any) -> None:
        self._module, self._content = module, b""

    def deserialize(self, blob: bytes) -> bool:
        if not self._module.gpu.depth:
            raise BrokenRuleError("the runtime cache compares itself with the current device")
        if self._module.knobs.cache_is_foreign:
            return False
        self._content = bytes(blob)
        return True

    def serialize(self) -> bytes:
        return self._content


class IRuntimeConfig(Owned):
    cuda_graph_strategy: Any = None
    dynamic_shapes_kernel_specialization_strategy: Any = None
    strategy: Any = None
    cache: IRuntimeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache(self._module)

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self.cache = cache
        return True


class IExecutionContext(Owned):
    profiler: IProfiler | None = None
    enqueue_emits_profile: bool = True

    def __init__(self, module: Any, engine: ICudaEngine, config: IRuntimeConfig | None) -> None:
        super().__init__(module, engine)
        self._engine = weakref.proxy(engine)
        self._config = config and weakref.proxy(config)
        if config is not None:
            compiled = b" compiled"
            if config.cache is not None and compiled not in config.cache._content:
                config.cache._content += compiled
        self._profile: int | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch: tuple[int, int] | None = None
        self._runs = self._done = 0
        self._key = id(self)
        module.gpu.users[self._key] = set()

    def __del__(self) -> None:
        self._module.gpu.users.pop(self._key, None)
        super().__del__()

    @property
    def engine(self) -> ICudaEngine:
        return self._owner()

    @property
    def active_optimization_profile(self) -> int:
        return -1 if self._profile is None else self._profile

    def report_to_profiler(self) -> bool:
        if self.enqueue_emits_profile:
            raise BrokenRuleError("the profiler is told by every run: nothing is left to report")
        if self._done < self._runs:
            raise BrokenRuleError("times are asked for before the run has ended")
        times_ms = self._engine._times_ms
        if self.profiler is None or not self._runs or self._module.knobs.refuse_report:
            return False
        for name, ms in times_ms[(self._runs - 1) % len(times_ms)].items() if times_ms else ():
            self.profiler.report_layer_time(name, ms)
        return True

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        gpu = self._module.gpu
        if not 0 <= profile_index < self._engine.num_optimization_profiles:
            return False
        gpu.enqueue(stream_handle, Work(lambda: None, ()))
        self._profile, self._shapes = profile_index, {}
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        if self._profile is None:
            raise BrokenRuleError("scratch memory is set before the profile")
        self._module.gpu.view(memory, size)
        self._scratch = memory, size
        self._module.gpu.users[self._key].add(memory)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if self._profile is None:
            raise BrokenRuleError(f"the shape of {name} is set before the profile")
        mode, _, _ = self._engine._tensors[name]
        if mode != TensorIOMode.INPUT or tuple(shape) != self._engine._sized(name, self._profile):
            return False
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if type(memory) is not int or name not in self._engine._tensors:
            raise BrokenRuleError(f"an address is an integer, of a tensor that exists: {name}")
        if name == self._module.knobs.refuse_address:
            return False
        self._addresses[name] = memory
        self._module.gpu.users[self._key].add(memory)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if self._profile is None:
            raise BrokenRuleError("shapes are asked for before the profile")
        return self._engine._sized(name, self._profile)

    def is_stream_capturable(self, stream: int) -> bool:
        if self._config is None:
            raise AttributeError("is_stream_capturable")  # of TensorRT-RTX alone
        return not self._module.knobs.not_capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        gpu, knobs = self._module.gpu, self._module.knobs
        gpu.enter("execute_async_v3")
        if knobs.refuse_enqueue or self._runs == knobs.fail_after_runs:
            return False
        self._check_complete()
        if gpu.capturing:
            if not self._runs:
                raise BrokenRuleError("the first run of a context is captured")
            if knobs.allocates_in_capture:
                with contextlib.suppress(RefusedError):  # seen at the end of the capture
                    gpu.allocate(16)
        self._runs += 1
        addresses = dict(self._addresses)
        run = self._running(addresses)

        def check() -> None:
            if addresses != self._addresses:
                raise BrokenRuleError("a graph is replayed after its addresses were changed")

        used = (*addresses.values(), self._scratch[0])
        gpu.enqueue(stream_handle, Work(run, used, check))
        return True

    def _check_complete(self) -> None:
        if self._profile is None:
            raise BrokenRuleError("a run without a profile")
        for name, (mode, dtype, _) in self._engine._tensors.items():
            if mode == TensorIOMode.INPUT and name not in self._shapes:
                raise BrokenRuleError(f"a run without the shape of {name}")
            if name not in self._addresses:
                raise BrokenRuleError(f"a run without an address for {name}")
            self._module.gpu.view(self._addresses[name], self._size(name, dtype))
        needed = self._engine.get_device_memory_size_for_profile_v2(self._profile)
        if self._scratch is None or self._scratch[1] < needed:
            raise BrokenRuleError(f"a run with less than {needed} bytes of scratch memory")

    def _running(self, addresses: dict[str, int]) -> Callable[[], None]:
        gpu, profile, session = self._module.gpu, self._profile, self._engine._session
        tensors = dict(self._engine._tensors)
        shapes = {name: self._engine._sized(name, profile) for name in tensors}
        scratch, this = self._scratch, weakref.ref(self)

        def run() -> None:
            gpu.view(*scratch)[:] = 0xEE  # other contexts may share it, one after the other
            feed, views = {}, {}
            for name, (mode, dtype, _) in tensors.items():
                size = int(np.prod(shapes[name])) * dtype.itemsize
                views[name] = gpu.view(addresses[name], size)
                if mode == TensorIOMode.INPUT:
                    feed[name] = views[name].copy().view(dtype).reshape(shapes[name])
            outputs = [
                name for name, (mode, _, _) in tensors.items() if mode == TensorIOMode.OUTPUT
            ]
            for name, value in zip(outputs, session.run(outputs, feed), strict=True):
                assert value.shape == shapes[name] and value.dtype == tensors[name][1]
                views[name][:] = np.ascontiguousarray(value).view(np.uint8).ravel()
            if (context := this()) is not None:
                context._done += 1

        return run

    def _size(self, name: str, dtype: np.dtype) -> int:
        return int(np.prod(self._engine._sized(name, self._profile))) * dtype.itemsize
