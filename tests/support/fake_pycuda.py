"""The surface of `pycuda.driver`, and of libcuda for the graphs it lacks, over a FakeGpu."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from fake_gpu import FakeGpu, RefusedError, Work
from fake_statuses import NAMES, OUT_OF_MEMORY, TEXTS


class Error(Exception):
    """As pycuda's: "cuMemAlloc failed: out of memory"."""


class MemoryError(Error):  # its name in the real module
    """The same, of memory."""


def fake_pycuda_driver(gpu: FakeGpu) -> ModuleType:
    """A module to put at `pycuda.driver`."""
    module = ModuleType("pycuda.driver")
    module.gpu, module.Error, module.MemoryError = gpu, Error, MemoryError
    module.device_attribute = SimpleNamespace(MULTIPROCESSOR_COUNT=16, INTEGRATED=18)
    module.host_alloc_flags = SimpleNamespace(PORTABLE=1, DEVICEMAP=2, WRITECOMBINED=4)

    def checked(call: str, function: Callable[..., Any], *given: Any, free: bool = False) -> Any:
        try:
            if free:
                gpu.counts[call] = gpu.counts.get(call, 0) + 1
                if call in gpu.fail:
                    raise RefusedError(gpu.fail[call])
            else:
                gpu.enter(call)
            return function(*given)
        except RefusedError as refusal:
            kind = MemoryError if refusal.code == OUT_OF_MEMORY else Error
            told = TEXTS.get(refusal.code, refusal.code)
            told = f"{told} - error : of the compiler" if refusal.code == 218 else told
            raise kind(f"{call} failed: {told}") from refusal

    class Context:
        def push(self) -> None:
            checked("cuCtxPushCurrent", gpu.push, free=True)

        @staticmethod
        def pop() -> None:
            checked("cuCtxPopCurrent", gpu.pop, free=True)

    class Device:
        def __init__(self, ordinal: int) -> None:
            self.ordinal = ordinal

        def name(self) -> str:
            return gpu.name

        def compute_capability(self) -> tuple[int, int]:
            return gpu.capability

        def total_memory(self) -> int:
            return gpu.total_bytes

        def get_attribute(self, kind: int) -> int:
            return {16: 16, 18: int(gpu.integrated)}[kind]

        def retain_primary_context(self) -> Context:
            gpu.retained += 1
            return Context()

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            self.address = checked("cuMemAlloc", gpu.allocate, size).address

        def __int__(self) -> int:
            return self.address

        def free(self) -> None:
            checked("cuMemFree", gpu.free, self.address)

    class PagelockedHostAllocation:
        def __init__(self, size: int, flags: int) -> None:
            def make() -> Any:
                return gpu.allocate(size, host=True, mapped=bool(flags & 2))

            self.memory = checked("cuMemHostAlloc", make)

        @property
        def __array_interface__(self) -> dict[str, Any]:
            place = (self.memory.data.ctypes.data, False)
            shape = self.memory.data.shape
            return {"data": place, "shape": shape, "typestr": "|u1", "version": 3}

        def get_device_pointer(self) -> int:
            return int(self.memory.address)

        def free(self) -> None:
            checked("cuMemFreeHost", lambda: gpu.free(self.memory.address, host=True))

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            assert flags == 1, "a blocking stream waits for the default one"
            self.handle = checked("cuStreamCreate", gpu.create_stream)

        def synchronize(self) -> None:
            checked("cuStreamSynchronize", gpu.synchronise, self.handle)

        def __del__(self) -> None:
            if hasattr(self, "handle"):  # it was made
                gpu.destroy_stream(self.handle)

    class Event:
        def __init__(self) -> None:
            self.at_ms = -1.0

        def record(self, stream: Stream) -> Event:
            work = Work(lambda: setattr(self, "at_ms", gpu.clock_ms), ())
            checked("cuEventRecord", gpu.enqueue, stream.handle, work)
            return self

        def synchronize(self) -> Event:
            for stream in list(gpu.streams):
                gpu.synchronise(stream)
            return self

        def time_till(self, end: Event) -> float:
            return end.at_ms - self.at_ms

    class Module:
        def __init__(self, text: bytes) -> None:
            assert text.endswith(b"\0"), "the driver reads on"
            self.handle = checked("cuModuleLoadData", gpu.kernels.load, text[:-1])

        def get_function(self, name: str) -> Function:
            return Function(self, name)

        def __del__(self) -> None:
            if hasattr(self, "handle"):  # it was made
                gpu.kernels.unload(self.handle)

    class Function:
        def __init__(self, module: Module, name: str) -> None:
            self.module = module
            self.handle = checked("cuModuleGetFunction", gpu.kernels.function, module.handle, name)

        def __call__(
            self, *given: Any, block: tuple[int, ...], grid: tuple[int, ...], stream: Stream
        ) -> None:
            types = gpu.kernels.parameters(self.handle)
            assert [each.dtype for each in given] == list(types), "pycuda packs them as they are"
            values = [each.tobytes() for each in given]
            blocks = (*grid, 1)[:3]
            arguments = self.handle, blocks, block, values, stream.handle
            checked("cuLaunchKernel", gpu.kernels.launch, *arguments)

    def pagelocked_empty(
        shape: int, dtype: Any, order: str = "C", mem_flags: int = 0
    ) -> np.ndarray:
        owner = PagelockedHostAllocation(shape * np.dtype(dtype).itemsize, mem_flags)
        return np.asarray(owner)  # its base is the owner, as with pycuda

    def htod(to: int, source: np.ndarray, stream: Stream) -> None:
        assert isinstance(stream, Stream)
        assert source.flags.c_contiguous, "only contiguous memory is copied"
        arguments = int(to), source.ctypes.data, source.nbytes, stream.handle
        checked("cuMemcpyHtoDAsync", gpu.copy_in, *arguments)

    def dtoh(target: np.ndarray, of: int, stream: Stream) -> None:
        assert isinstance(stream, Stream)
        assert target.flags.c_contiguous and target.flags.writeable
        arguments = target.ctypes.data, int(of), target.nbytes, stream.handle
        checked("cuMemcpyDtoHAsync", gpu.copy_out, *arguments)

    def free_and_total() -> tuple[int, int]:
        return gpu.total_bytes - gpu.used_bytes, gpu.total_bytes

    module.init = lambda flags=0: checked("cuInit", lambda: None, free=True)
    module.Device, module.Context, module.Stream, module.Event = Device, Context, Stream, Event
    module.mem_alloc, module.pagelocked_empty = DeviceAllocation, pagelocked_empty
    module.module_from_buffer = Module
    module.mem_get_info = lambda: checked("cuMemGetInfo", free_and_total)
    module.memcpy_htod_async, module.memcpy_dtoh_async = htod, dtoh
    return module


def fake_libcuda(gpu: FakeGpu) -> Callable[[str], Any]:
    """In place of ctypes.CDLL: the graph functions of libcuda, called the way ctypes calls."""
    captures: dict[int, Any] = {}

    class Function:
        """Has `argtypes` and `restype` set on it, and answers with a status."""

        def __init__(self, name: str, body: Callable[..., None]) -> None:
            self.name, self.body = name, body

        def __call__(self, *arguments: Any) -> int:
            assert self.restype is not None
            assert len(arguments) == len(self.argtypes), f"{self.name} takes other arguments"
            try:
                if not self.name.startswith("cuGetError"):
                    gpu.enter(self.name)
                self.body(*arguments)
            except RefusedError as refusal:
                return refusal.code
            return 0

    def value(handle: Any) -> int:
        return int(getattr(handle, "value", handle) or 0)

    def end(stream: Any, out: Any) -> None:
        captured = gpu.end_capture(value(stream))
        captures[len(captures) + 1] = captured
        out._obj.value = len(captures)

    def instantiate(out: Any, graph: Any, _flags: int) -> None:
        out._obj.value = gpu.instantiate(captures[value(graph)])

    def say(texts: dict[int, str]) -> Callable[[int, Any], None]:
        def told(code: int, out: Any) -> None:
            if code in texts:
                out._obj.value = texts[code].encode()

        return told

    bodies: dict[str, Callable[..., Any]] = {
        "cuStreamBeginCapture_v2": lambda stream, mode: gpu.begin_capture(value(stream), mode),
        "cuStreamEndCapture": end,
        "cuGraphInstantiateWithFlags": instantiate,
        "cuGraphLaunch": lambda graph, stream: gpu.launch(value(graph), value(stream)),
        "cuGraphExecDestroy": lambda graph: gpu.graphs.pop(value(graph)) and None,
        "cuGraphDestroy": lambda graph: captures.pop(value(graph)) and None,
        "cuGetErrorName": say(NAMES),
        "cuGetErrorString": say(TEXTS),
    }
    library = SimpleNamespace(**{name: Function(name, body) for name, body in bodies.items()})

    def load(name: str) -> Any:
        assert name == "libcuda.so.1"
        return library

    return load
