"""The GPU through cuda-python: the default, with wheels for x86-64 and for Jetsons.

The driver API and not the runtime API: its calls are the same in cuda-python 12 and 13, and it runs
with whatever driver is there, while the runtime of 13 refuses the driver of JetPack 6.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from edge.devices.base import (
    DEFAULT_BACKEND,
    OUT_OF_MEMORY,
    DeviceFacts,
    HostBuffer,
    cuda_failure,
    gpu_title,
    missing_backend,
    no_driver,
)
from edge.types import Array

MODULE = "cuda.bindings.driver"
NAME_BYTES = 256
RECORD_EXTERNAL = 1  # CU_EVENT_RECORD_EXTERNAL: a node of the graph, not an edge in it
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: no implicit waiting for the default stream


class CudaPythonDevice:
    """See `edge.devices.base.DeviceBackend`."""

    name = DEFAULT_BACKEND

    def __init__(self, driver: Any, ordinal: int = 0) -> None:
        """Use `open`."""
        self._driver = driver
        try:
            self._call("cuInit", 0)
        except RuntimeError as error:  # libcuda is loaded by the first call
            raise no_driver(self.name, error) from error
        self._device = self._call("cuDeviceGet", ordinal)
        kind = driver.CUdevice_attribute
        major = self._attribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        minor = self._attribute(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        text: bytes = self._call("cuDeviceGetName", NAME_BYTES, self._device)
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)
        with self.current():
            _, total_bytes = self._call("cuMemGetInfo")
        self.facts = DeviceFacts(
            name=gpu_title(
                text.split(b"\0")[0].decode().strip(),
                self._attribute(kind.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            ),
            compute_capability=f"{major}.{minor}",
            integrated=bool(self._attribute(kind.CU_DEVICE_ATTRIBUTE_INTEGRATED)),
            total_bytes=int(total_bytes),
        )

    @classmethod
    def open(cls) -> CudaPythonDevice:
        """The first GPU.

        Raises:
            ExecutorError: cuda-python, the driver or a GPU is missing.
        """
        try:
            driver = importlib.import_module(MODULE)
        except ImportError as error:
            raise missing_backend(cls.name, "jetson", error) from error
        return cls(driver)

    @contextmanager
    def current(self) -> Iterator[None]:
        """See DeviceBackend."""
        self._call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            self._call("cuCtxPopCurrent")

    def free_bytes(self) -> int:
        """See DeviceBackend."""
        return int(self._call("cuMemGetInfo")[0])

    def allocate(self, size_bytes: int) -> int:
        """See DeviceBackend."""
        return int(self._call("cuMemAlloc", size_bytes))

    def free(self, address: int) -> None:
        """See DeviceBackend."""
        self._call("cuMemFree", address)

    def allocate_host(self, size_bytes: int, *, mapped: bool) -> HostBuffer:
        """See DeviceBackend."""
        flags = self._driver.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0
        pointer = int(self._call("cuMemHostAlloc", size_bytes, flags))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(pointer))
        device = int(self._call("cuMemHostGetDevicePointer", pointer, 0)) if mapped else None
        return HostBuffer(array, device, pointer)

    def free_host(self, buffer: HostBuffer) -> None:
        """See DeviceBackend."""
        self._call("cuMemFreeHost", buffer.handle)

    def create_stream(self) -> int:
        """See DeviceBackend."""
        return int(self._call("cuStreamCreate", NON_BLOCKING))

    def destroy_stream(self, stream: int) -> None:
        """See DeviceBackend."""
        self._call("cuStreamDestroy", stream)

    def synchronise(self, stream: int) -> None:
        """See DeviceBackend."""
        self._call("cuStreamSynchronize", stream)

    def copy_in(self, address: int, source: Array, stream: int) -> None:
        """See DeviceBackend."""
        self._call("cuMemcpyHtoDAsync", address, source.ctypes.data, source.nbytes, stream)

    def copy_out(self, target: Array, address: int, stream: int) -> None:
        """See DeviceBackend."""
        self._call("cuMemcpyDtoHAsync", target.ctypes.data, address, target.nbytes, stream)

    def load_kernel(self, image: bytes, entry: str) -> Any:
        """See DeviceBackend; the module and its function."""
        text = ctypes.create_string_buffer(image)  # ends with a zero byte, as the driver wants it
        module = self._call("cuModuleLoadData", ctypes.addressof(text))
        try:
            return module, self._call("cuModuleGetFunction", module, entry.encode())
        except BaseException:
            self._call("cuModuleUnload", module)
            raise

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
        values = [np.array(each) for each in arguments]
        places = np.array([each.ctypes.data for each in values], np.uint64)  # read in the call
        shape = *blocks, 1, threads, 1, 1, 0
        self._call("cuLaunchKernel", function, *shape, stream, places.ctypes.data, 0)

    def unload_kernel(self, kernel: Any) -> None:
        """See DeviceBackend."""
        self._call("cuModuleUnload", kernel[0])

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """See DeviceBackend."""
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            # Its own status does not count: a broken capture ends with an error, and `work` said
            # what broke it.
            self._driver.cuStreamEndCapture(stream)
            raise
        graph = self._call("cuStreamEndCapture", stream)
        try:
            return self._call("cuGraphInstantiate", graph, 0)
        finally:
            self._call("cuGraphDestroy", graph)

    def launch(self, graph: Any, stream: int) -> None:
        """See DeviceBackend."""
        self._call("cuGraphLaunch", graph, stream)

    def destroy_graph(self, graph: Any) -> None:
        """See DeviceBackend."""
        self._call("cuGraphExecDestroy", graph)

    def create_event(self) -> Any:
        """See DeviceBackend."""
        return self._call("cuEventCreate", 0)

    def record(self, event: Any, stream: int, *, capturing: bool = False) -> None:
        """See DeviceBackend."""
        if capturing:
            self._call("cuEventRecordWithFlags", event, stream, RECORD_EXTERNAL)
        else:  # which refuses that flag
            self._call("cuEventRecord", event, stream)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """See DeviceBackend."""
        self._call("cuEventSynchronize", end)
        return float(self._call("cuEventElapsedTime", start, end))

    def destroy_event(self, event: Any) -> None:
        """See DeviceBackend."""
        self._call("cuEventDestroy", event)

    def close(self) -> None:
        """See DeviceBackend."""
        self._call("cuDevicePrimaryCtxRelease", self._device)

    def _attribute(self, attribute: Any) -> int:
        return int(self._call("cuDeviceGetAttribute", attribute, self._device))

    def _call(self, call: str, *arguments: Any) -> Any:
        """Call the driver; what it returns beside its status, which must be success."""
        status, *values = getattr(self._driver, call)(*arguments)
        code = int(status)
        if code != 0:
            detail = self._memory_left() if code == OUT_OF_MEMORY else ""
            raise cuda_failure(call, code, status.name, detail)
        return values[0] if len(values) == 1 else tuple(values)

    def _memory_left(self) -> str:
        status, free, total = self._driver.cuMemGetInfo()
        if int(status) != 0:
            return ""
        return f"{free / 2**20:.0f} of {total / 2**20:.0f} MB of device memory are free"
