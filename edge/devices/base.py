"""What an executor needs of a GPU, and which library gives it: cuda-python, or pycuda by choice.

Both libraries are thin over the same CUDA driver, so the interface is the driver's: addresses are
plain integers, all work goes into one stream, nothing is hidden. Both retain the device's primary
context, the one that TensorRT and every other library of the process use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from edge.errors import ExecutorError
from edge.types import Array, Uint8

DEFAULT_BACKEND = "cuda-python"
# backend -> where its class is. Each needs its own library, so each is loaded only when chosen.
BACKENDS: dict[str, str] = {
    DEFAULT_BACKEND: "edge.devices.cuda_python:CudaPythonDevice",
    "pycuda": "edge.devices.pycuda:PyCudaDevice",
}
OUT_OF_MEMORY = 2
# The one kernel that comes to the driver as PTX makes float16 of features in INT8.
STORE_FLOAT16 = (
    "encode the map into a feature store in float16: tilefix tiles encode --features float16"
)
NO_KERNEL = f"install a newer driver, or {STORE_FLOAT16}"
ADVICE: dict[int, str] = {
    OUT_OF_MEMORY: "end other programs that use the GPU, build with fewer click buckets, or take a "
    "smaller precision",
    34: "the stub of libcuda was found in place of the driver's: take it out of LD_LIBRARY_PATH",
    35: "install a driver that is at least as new as the CUDA libraries",
    218: NO_KERNEL,
    221: f"install libnvidia-ptxjitcompiler, a part of the driver, or {STORE_FLOAT16}",
    222: NO_KERNEL,
    100: "check that the GPU is visible: nvidia-smi, or tegrastats on a Jetson",
    803: "install the driver and the CUDA libraries of the same release",
}
ELSE = "run tilefix doctor; after an illegal address start the process again"


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """How an executor uses the GPU."""

    backend: str = DEFAULT_BACKEND  # one of BACKENDS
    graphs: bool = True  # False: enqueue every run anew instead of launching a captured graph
    timed: bool = False  # events around the engine and its copies, for whoever measures
    # Kernel and room for features in INT8 are made at opening; else with the first that comes.
    int8_features: bool = False


def gpu_title(name: str, multiprocessors: int) -> str:
    """What an engine's key calls a GPU: "Orin (16 SM)".

    Every Orin board has the same name and compute capability; only the size tells an AGX from a
    Nano, whose engines are tuned otherwise.
    """
    return f"{name} ({multiprocessors} SM)"


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a GPU is."""

    name: str  # of `gpu_title`
    compute_capability: str  # "8.7"
    integrated: bool  # its memory is that of the host, as on every Jetson
    total_bytes: int


@dataclass(frozen=True, slots=True)
class HostBuffer:
    """Page-locked memory of the host."""

    array: Uint8  # [size]
    device_address: int | None  # where the device sees it; None: it is not mapped
    handle: Any  # what the backend frees it by


class DeviceBackend(Protocol):
    """One GPU. Every call but `current` needs it to be current in the calling thread."""

    name: str  # one of BACKENDS
    facts: DeviceFacts

    def current(self) -> AbstractContextManager[None]:
        """Make the device's primary context current in this thread; restores what was before."""
        ...

    def free_bytes(self) -> int:
        """Device memory that nobody uses. On integrated GPUs caches of the system count as used."""
        ...

    def allocate(self, size_bytes: int) -> int:
        """Device memory, aligned to 256 bytes; its address.

        Raises:
            ExecutorError: there is not enough, or the driver refuses (so does every method below).
        """
        ...

    def free(self, address: int) -> None:
        """Give device memory back."""
        ...

    def allocate_host(self, size_bytes: int, *, mapped: bool) -> HostBuffer:
        """Page-locked memory; `mapped`: the device reads and writes it where it lies."""
        ...

    def free_host(self, buffer: HostBuffer) -> None:
        """Give page-locked memory back; its array must not be touched again."""
        ...

    def create_stream(self) -> int:
        """A stream beside the default one; its handle."""
        ...

    def destroy_stream(self, stream: int) -> None:
        """Give a stream back."""
        ...

    def synchronise(self, stream: int) -> None:
        """Wait until all work of the stream is done."""
        ...

    def copy_in(self, address: int, source: Array, stream: int) -> None:
        """Enqueue a copy of a C-contiguous array to the device.

        The array must stay as it is until the stream is synchronised.
        """
        ...

    def copy_out(self, target: Array, address: int, stream: int) -> None:
        """Enqueue a copy from the device into a C-contiguous array."""
        ...

    def load_kernel(self, image: bytes, entry: str) -> Any:
        """A kernel to launch.

        Args:
            image: text of PTX, which the driver translates for this GPU.
            entry: name of the kernel in it.
        """
        ...

    def run_kernel(
        self,
        kernel: Any,
        blocks: tuple[int, int],
        threads: int,
        arguments: Sequence[np.generic],
        stream: int,
    ) -> None:
        """Enqueue a kernel.

        Args:
            kernel: of `load_kernel`.
            blocks: of the grid, x and y.
            threads: of a block.
            arguments: in order, each of the type that the kernel takes; addresses are uint64.
            stream: where.
        """
        ...

    def unload_kernel(self, kernel: Any) -> None:
        """Give a kernel back; nothing that launches it may be enqueued."""
        ...

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """Record what `work` enqueues, instead of running it, and make it a graph to launch.

        In thread-local mode: what other threads do to the device meanwhile does not disturb it.
        """
        ...

    def launch(self, graph: Any, stream: int) -> None:
        """Enqueue all work of a graph at once."""
        ...

    def destroy_graph(self, graph: Any) -> None:
        """Give a graph back."""
        ...

    def create_event(self) -> Any:
        """A mark in a stream, with a time."""
        ...

    def record(self, event: Any, stream: int, *, capturing: bool = False) -> None:
        """Enqueue a mark; `capturing`: as a part of the graph, set anew in every launch.

        Raises:
            ExecutorError: also where this library cannot do the latter.
        """
        ...

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two marks; waits for the second."""
        ...

    def destroy_event(self, event: Any) -> None:
        """Give a mark back."""
        ...

    def close(self) -> None:
        """Release the context; everything made here must have been given back before."""
        ...


def open_device(backend: str = DEFAULT_BACKEND) -> DeviceBackend:
    """The first GPU, through the library that `backend` names.

    Raises:
        ExecutorError: no such backend, its library is missing, or there is no driver or no GPU.
    """
    if backend not in BACKENDS:
        raise ExecutorError(
            f"there is no device backend {backend!r}",
            expected=f"one of: {', '.join(BACKENDS)}",
            found=repr(backend),
            do="choose one of these with --device-backend",
        )
    module_name, _, attribute = BACKENDS[backend].partition(":")
    device: type[Any] = getattr(importlib.import_module(module_name), attribute)
    opened: DeviceBackend = device.open()
    return opened


def missing_backend(backend: str, extra: str, error: Exception) -> ExecutorError:
    """The error for a library that cannot be imported."""
    others = " or ".join(f"--device-backend {each}" for each in BACKENDS if each != backend)
    return ExecutorError(
        f"the device backend {backend} is not available",
        expected=f"the library {backend}",
        found=str(error),
        do=f"pip install 'tilefix[{extra}]', or choose {others}",
    )


def no_driver(backend: str, error: Exception) -> ExecutorError:
    """The error for a machine without the CUDA driver."""
    return ExecutorError(
        "there is no CUDA driver on this machine",
        expected="libcuda.so.1, which comes with the driver of an NVIDIA GPU",
        found=f"{backend}: {error}",
        do="run on the device, or choose --executor onnxruntime",
    )


def cuda_failure(call: str, code: int | None, name: str, detail: str = "") -> ExecutorError:
    """The error for a status that is not CUDA_SUCCESS.

    Args:
        call: the function of the CUDA driver.
        code: its status; None: not known.
        name: the name of that status, or what is known in its place.
        detail: what else is known, such as the memory that is left.
    """
    return ExecutorError(
        f"the CUDA call {call} failed",
        expected="status 0, CUDA_SUCCESS",
        found=("" if code is None else f"status {code}, ") + name + (detail and f"; {detail}"),
        do=ADVICE.get(code or 0, ELSE),
    )
