"""The surface of `cuda.bindings.driver` over a FakeGpu: the names and answers of cuda-python 13."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType
from typing import Any

from fake_gpu import FakeGpu, RefusedError
from fake_statuses import NAMES

CUresult = IntEnum("CUresult", {"CUDA_SUCCESS": 0, **{name: code for code, name in NAMES.items()}})


class CUdevice_attribute(IntEnum):  # noqa: N801 - its name in the real module
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16
    CU_DEVICE_ATTRIBUTE_INTEGRATED = 18
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76


class CUstreamCaptureMode(IntEnum):
    CU_STREAM_CAPTURE_MODE_GLOBAL = 0
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1
    CU_STREAM_CAPTURE_MODE_RELAXED = 2


class _Handle:
    """A CUstream, CUdeviceptr or the like: no integer, but turned into one by int()."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __int__(self) -> int:
        return int(self.value)


def fake_cuda_driver(gpu: FakeGpu) -> ModuleType:
    """A module to put at `cuda.bindings.driver`."""
    module = ModuleType("cuda.bindings.driver")
    module.gpu = gpu
    module.CUresult, module.CUdevice_attribute = CUresult, CUdevice_attribute
    module.CUstreamCaptureMode, module.CU_MEMHOSTALLOC_DEVICEMAP = CUstreamCaptureMode, 2
    for name, function in _functions(gpu).items():
        setattr(module, name, _answering(gpu, name, function))
    return module


def _answering(gpu: FakeGpu, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The driver's way to answer: a status first, never an exception."""
    needs_no_context = name.startswith(("cuInit", "cuDevice", "cuCtx"))

    def call(*arguments: Any) -> tuple[Any, ...]:
        try:
            if needs_no_context:
                gpu.counts[name] = gpu.counts.get(name, 0) + 1
                if name in gpu.fail:
                    raise RefusedError(gpu.fail[name])
            else:
                gpu.enter(name)
            found = function(*arguments)
        except RefusedError as refusal:
            return CUresult(refusal.code), *([None] * _ANSWERS.get(name, 0))
        values = () if found is None else found if isinstance(found, tuple) else (found,)
        return CUresult.CUDA_SUCCESS, *values

    return call


_ANSWERS = {
    "cuEventElapsedTime": 1,
    "cuMemGetInfo": 2,
    "cuMemAlloc": 1,
    "cuMemHostAlloc": 1,
    "cuModuleGetFunction": 1,
    "cuModuleLoadData": 1,
    "cuStreamEndCapture": 1,
}


def _functions(gpu: FakeGpu) -> dict[str, Callable[..., Any]]:
    def attribute(kind: CUdevice_attribute, _device: Any) -> int:
        major, minor = gpu.capability
        return {16: 16, 18: int(gpu.integrated), 75: major, 76: minor}[int(kind)]

    def retain(_device: Any) -> _Handle:
        gpu.retained += 1
        return _Handle(0xC0)

    def release(_device: Any) -> None:
        if not gpu.retained:
            raise RefusedError(201)
        gpu.retained -= 1

    def pop() -> _Handle:
        gpu.pop()
        return _Handle(0xC0)

    def host_alloc(size: int, flags: int) -> int:
        return int(gpu.allocate(size, host=True, mapped=bool(flags & 2)).data.ctypes.data)

    def create_stream(flags: int) -> _Handle:
        assert flags == 1, "a blocking stream waits for the default one"
        return _Handle(gpu.create_stream())

    def create_event(_flags: int) -> _Handle:
        event = _Handle(len(gpu.events) + 1)
        gpu.events[int(event)] = -1.0
        return event

    def record(event: _Handle, stream: Any) -> None:
        from fake_gpu import Work

        if gpu.capturing:
            return  # an edge of the graph: nothing is recorded when it runs
        gpu.enqueue(int(stream), Work(lambda: gpu.events.update({int(event): gpu.clock_ms}), ()))

    def record_with_flags(event: _Handle, stream: Any, flags: int) -> None:
        from fake_gpu import Work

        if flags != 1 or not gpu.capturing:  # CU_EVENT_RECORD_EXTERNAL is for captures alone
            raise RefusedError(1)
        gpu.enqueue(int(stream), Work(lambda: gpu.events.update({int(event): gpu.clock_ms}), ()))

    def elapsed(start: _Handle, end: _Handle) -> float:
        if min(gpu.events[int(start)], gpu.events[int(end)]) < 0:
            raise RefusedError(400)  # never recorded
        return gpu.events[int(end)] - gpu.events[int(start)]

    def wait(_event: _Handle) -> None:
        for stream in list(gpu.streams):
            gpu.synchronise(stream)

    def launch(function: _Handle, *numbers: Any) -> None:
        *shape, shared, stream, places, extra = numbers
        assert (shared, extra) == (0, 0)
        types = gpu.kernels.parameters(int(function))
        where = (ctypes.c_void_p * len(types)).from_address(places)
        given = [ctypes.string_at(at, t.itemsize) for at, t in zip(where, types, strict=True)]
        gpu.kernels.launch(int(function), tuple(shape[:3]), tuple(shape[3:]), given, int(stream))

    def kernel(module: _Handle, name: bytes) -> _Handle:
        return _Handle(gpu.kernels.function(int(module), name.decode()))

    return {
        "cuInit": lambda flags: None,
        "cuDeviceGet": lambda ordinal: _Handle(ordinal),
        "cuDeviceGetName": lambda size, _device: gpu.name.encode().ljust(size, b"\0"),
        "cuDeviceGetAttribute": attribute,
        "cuDevicePrimaryCtxRetain": retain,
        "cuDevicePrimaryCtxRelease": release,
        "cuCtxPushCurrent": lambda _context: gpu.push(),
        "cuCtxPopCurrent": pop,
        "cuMemGetInfo": lambda: (gpu.total_bytes - gpu.used_bytes, gpu.total_bytes),
        "cuMemAlloc": lambda size: _Handle(gpu.allocate(size).address),
        "cuMemFree": lambda address: gpu.free(int(address)),
        "cuMemHostAlloc": host_alloc,
        "cuMemHostGetDevicePointer": lambda p, _flags: _Handle(gpu.host_memory(int(p)).address),
        "cuMemFreeHost": lambda p: gpu.free(gpu.host_memory(int(p)).address, host=True),
        "cuMemcpyHtoDAsync": lambda to, p, n, stream: gpu.copy_in(int(to), p, n, int(stream)),
        "cuMemcpyDtoHAsync": lambda p, of, n, stream: gpu.copy_out(p, int(of), n, int(stream)),
        "cuModuleLoadData": lambda text: _Handle(gpu.kernels.load(ctypes.string_at(text))),
        "cuModuleGetFunction": kernel,
        "cuModuleUnload": lambda module: gpu.kernels.unload(int(module)),
        "cuLaunchKernel": launch,
        "cuStreamCreate": create_stream,
        "cuStreamDestroy": lambda stream: gpu.destroy_stream(int(stream)),
        "cuStreamSynchronize": lambda stream: gpu.synchronise(int(stream)),
        "cuStreamBeginCapture": lambda stream, mode: gpu.begin_capture(int(stream), mode),
        "cuStreamEndCapture": lambda stream: _Handle([gpu.end_capture(int(stream))]),
        "cuGraphInstantiate": lambda graph, flags: _Handle(gpu.instantiate(graph.value[0])),
        "cuGraphLaunch": lambda graph, stream: gpu.launch(int(graph), int(stream)),
        "cuGraphExecDestroy": lambda graph: gpu.graphs.pop(int(graph)) and None,
        "cuGraphDestroy": lambda graph: graph.value.clear(),
        "cuEventCreate": create_event,
        "cuEventRecord": record,
        "cuEventRecordWithFlags": record_with_flags,
        "cuEventSynchronize": wait,
        "cuEventElapsedTime": elapsed,
        "cuEventDestroy": lambda event: gpu.events.pop(int(event)) and None,
    }
