"""The GPU through pycuda, for those whose other code uses it: `--device-backend pycuda`.

pycuda raises where the driver refuses, and has no graphs (`edge.devices.driver_graphs` has them).
It must share the primary context with TensorRT, so it is retained here and never made by
`pycuda.autoinit`, which makes a context of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from edge.devices.base import (
    OUT_OF_MEMORY,
    DeviceFacts,
    HostBuffer,
    cuda_failure,
    gpu_title,
    missing_backend,
    no_driver,
)
from edge.devices.driver_graphs import DriverGraphs
from edge.errors import ExecutorError
from edge.types import Array

MODULE = "pycuda.driver"
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no implicit waiting for the default stream


class PyCudaDevice:
    """See `edge.devices.base.DeviceBackend`."""

    name = "pycuda"

    def __init__(self, driver: Any, graphs: DriverGraphs, ordinal: int = 0) -> None:
        """Use `open`."""
        self._driver = driver
        self._graphs = graphs
        self._streams: dict[int, Any] = {}  # handle -> pycuda's object
        self._memory: dict[int, Any] = {}  # address -> pycuda's object
        self._checked("cuInit", driver.init)
        device = self._checked("cuDeviceGet", driver.Device, ordinal)
        major, minor = device.compute_capability()
        kind = driver.device_attribute
        self.facts = DeviceFacts(
            name=gpu_title(
                str(device.name()), int(device.get_attribute(kind.MULTIPROCESSOR_COUNT))
            ),
            compute_capability=f"{major}.{minor}",
            integrated=bool(device.get_attribute(kind.INTEGRATED)),
            total_bytes=int(device.total_memory()),
        )
        # Released when the process ends: pycuda cannot release a primary context earlier without
        # leaving it on the stack of the thread.
        self._context = self._checked("cuDevicePrimaryCtxRetain", device.retain_primary_context)

    @classmethod
    def open(cls) -> PyCudaDevice:
        """The first GPU.

        Raises:
            ExecutorError: pycuda, the driver or a GPU is missing.
        """
        try:
            driver = importlib.import_module(MODULE)
        except ImportError as error:
            if "libcuda" in str(error):  # it is linked against the driver
                raise no_driver(cls.name, error) from error
            raise missing_backend(cls.name, "pycuda", error) from error
        return cls(driver, DriverGraphs())

    @contextmanager
    def current(self) -> Iterator[None]:
        """See DeviceBackend."""
        self._checked("cuCtxPushCurrent", self._context.push)
        try:
            yield
        finally:
            self._checked("cuCtxPopCurrent", self._context.pop)

    def free_bytes(self) -> int:
        """See DeviceBackend."""
        return int(self._checked("cuMemGetInfo", self._driver.mem_get_info)[0])

    def allocate(self, size_bytes: int) -> int:
        """See DeviceBackend."""
        memory = self._checked("cuMemAlloc", self._driver.mem_alloc, size_bytes)
        self._memory[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        """See DeviceBackend."""
        self._checked("cuMemFree", self._memory[address].free)
        del self._memory[address]

    def allocate_host(self, size_bytes: int, *, mapped: bool) -> HostBuffer:
        """See DeviceBackend."""
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        make = self._driver.pagelocked_empty
        array = self._checked("cuMemHostAlloc", make, size_bytes, np.uint8, "C", flags)
        memory = array.base  # owns it; the array is a view
        device = None
        if mapped:
            call = "cuMemHostGetDevicePointer"
            device = int(self._checked(call, memory.get_device_pointer))
        return HostBuffer(array, device, memory)

    def free_host(self, buffer: HostBuffer) -> None:
        """See DeviceBackend."""
        self._checked("cuMemFreeHost", buffer.handle.free)

    def create_stream(self) -> int:
        """See DeviceBackend."""
        stream = self._checked("cuStreamCreate", self._driver.Stream, NON_BLOCKING)
        self._streams[int(stream.handle)] = stream
        return int(stream.handle)

    def destroy_stream(self, stream: int) -> None:
        """See DeviceBackend."""
        del self._streams[stream]  # pycuda destroys it with its object

    def synchronise(self, stream: int) -> None:
        """See DeviceBackend."""
        self._checked("cuStreamSynchronize", self._streams[stream].synchronize)

    def copy_in(self, address: int, source: Array, stream: int) -> None:
        """See DeviceBackend."""
        call = self._driver.memcpy_htod_async
        self._checked("cuMemcpyHtoDAsync", call, address, source, self._streams[stream])

    def copy_out(self, target: Array, address: int, stream: int) -> None:
        """See DeviceBackend."""
        call = self._driver.memcpy_dtoh_async
        self._checked("cuMemcpyDtoHAsync", call, target, address, self._streams[stream])

    def load_kernel(self, image: bytes, entry: str) -> Any:
        """See DeviceBackend; the module of pycuda and its function."""
        load = self._driver.module_from_buffer
        module = self._checked("cuModuleLoadData", load, image + b"\0")
        return module, self._checked("cuModuleGetFunction", module.get_function, entry)

    def run_kernel(
        self,
        kernel: Any,
        blocks: tuple[int, int],
        threads: int,
        arguments: Sequence[np.generic],
        stream: int,
    ) -> None:
        """See DeviceBackend."""
        _, function = kernel
        how = {"grid": blocks, "block": (threads, 1, 1), "stream": self._streams[stream]}
        self._checked("cuLaunchKernel", partial(function, **how), *arguments)

    def unload_kernel(self, kernel: Any) -> None:
        """See DeviceBackend; pycuda unloads a module with its object."""

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """See DeviceBackend."""
        return self._graphs.capture(stream, work)

    def launch(self, graph: Any, stream: int) -> None:
        """See DeviceBackend."""
        self._graphs.launch(graph, stream)

    def destroy_graph(self, graph: Any) -> None:
        """See DeviceBackend."""
        self._graphs.destroy(graph)

    def create_event(self) -> Any:
        """See DeviceBackend."""
        return self._checked("cuEventCreate", self._driver.Event)

    def record(self, event: Any, stream: int, *, capturing: bool = False) -> None:
        """See DeviceBackend.

        Raises:
            ExecutorError: also `capturing`, for pycuda keeps the handle of an event to itself.
        """
        if capturing:
            raise ExecutorError(
                "pycuda cannot set a mark within a CUDA graph",
                expected="the handle of an event, which cuEventRecordWithFlags takes",
                found="pycuda.driver.Event, which has none",
                do="choose --device-backend cuda-python, or --no-cuda-graphs",
            )
        self._checked("cuEventRecord", event.record, self._streams[stream])

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """See DeviceBackend."""
        self._checked("cuEventSynchronize", end.synchronize)
        return float(self._checked("cuEventElapsedTime", start.time_till, end))

    def destroy_event(self, event: Any) -> None:
        """See DeviceBackend; pycuda destroys it with its object."""

    def close(self) -> None:
        """See DeviceBackend; the context stays retained until the process ends."""

    def _checked(self, call: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call pycuda, and put its error into ours; it tells the text of a status, no number."""
        try:
            return function(*arguments)
        except self._driver.Error as error:
            known = self._graphs.status_of(str(error))
            if isinstance(error, self._driver.MemoryError):
                known = OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"
            if known is None:
                raise cuda_failure(call, None, str(error)) from error
            raise cuda_failure(call, *known, detail=str(error)) from error
