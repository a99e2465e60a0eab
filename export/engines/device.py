"""The GPU of this machine, as the CUDA driver names it; no CUDA library is needed to ask."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from edge.devices.base import gpu_title

LIBRARY = "libcuda.so.1"
# CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, _COMPUTE_CAPABILITY_MAJOR, _MINOR
MULTIPROCESSORS, MAJOR, MINOR = 16, 75, 76
NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """One CUDA device."""

    name: str  # "Orin (16 SM)", of `edge.devices.base.gpu_title`
    capability: int  # 87


def local_gpu(library: str = LIBRARY) -> Gpu | None:
    """The first CUDA device; None where there is no driver or no device."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    device, major, minor, count = (ctypes.c_int() for _ in range(4))
    name = ctypes.create_string_buffer(NAME_BYTES)
    calls = (
        lambda: cuda.cuInit(0),
        lambda: cuda.cuDeviceGet(ctypes.byref(device), 0),
        lambda: cuda.cuDeviceGetName(name, NAME_BYTES, device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(count), MULTIPROCESSORS, device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device),
    )
    if any(call() != 0 for call in calls):
        return None
    title = gpu_title(name.value.decode().strip(), count.value)
    return Gpu(title, 10 * major.value + minor.value)
