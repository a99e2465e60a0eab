"""Features in INT8 become float16 on the GPU: half the bytes to copy, and no work for a core.

The kernel comes to the device as PTX, which the driver translates for whatever GPU is there and
keeps: it needs neither the library of the plugins nor another engine. Kernel and memory are made
at opening where the store to be read says int8, else when the first such feature comes; who has a
store in float16 pays for neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.devices.base import DeviceBackend
from edge.types import Array

KERNEL_FILE = Path(__file__).resolve().parents[1] / "kernels" / "dequantise.ptx"
ENTRY = "tilefix_dequantise"
THREADS = 256  # of a block
PER_THREAD = 4  # levels, as the source of the kernel has it
ALIGN_BYTES = 256  # of the scales, behind the levels
Shape = tuple[int, ...]


class Dequantiser:
    """A kernel, and room on the device for one feature as it is stored.

    The device must be current in every call. All features go through the same room, one after the
    other in one stream.
    """

    def __init__(self, device: DeviceBackend, stream: int, shapes: Sequence[Shape]) -> None:
        """Load the kernel and allocate.

        Args:
            device: where.
            stream: all copies and launches go into it.
            shapes: of the features that may come, [C, H, W].

        Raises:
            ExecutorError: the driver cannot translate the kernel, or there is not enough memory.
        """
        self._device = device
        self._stream = stream
        self._scale_offset = max(-(-math.prod(each) // ALIGN_BYTES) for each in shapes)
        self._scale_offset *= ALIGN_BYTES
        scale_bytes = max(channels for channels, *_ in shapes) * np.dtype(np.float16).itemsize
        self.size_bytes = self._scale_offset + scale_bytes
        self._kernel: Any = device.load_kernel(KERNEL_FILE.read_bytes(), ENTRY)
        try:
            self._room = device.allocate(self.size_bytes)
        except BaseException:
            device.unload_kernel(self._kernel)
            raise

    def enqueue(self, levels: Array, scale: Array, address: int) -> None:
        """Enqueue both copies and the kernel.

        Args:
            levels: int8 [C, H, W], C-contiguous; it must outlive the copy, and so must `scale`.
            scale: float16 [C], C-contiguous.
            address: of the feature on the device, float16 [C, H, W].
        """
        self._device.copy_in(self._room, levels, self._stream)
        self._device.copy_in(self._room + self._scale_offset, scale, self._stream)
        self.multiply(levels.shape, address)

    def multiply(self, shape: Shape, address: int) -> None:
        """Enqueue the kernel alone, on the levels and scales that were copied last."""
        channels, height, width = shape
        plane = height * width
        addresses = self._room, self._room + self._scale_offset, address
        self._device.run_kernel(
            self._kernel,
            (-(-plane // (THREADS * PER_THREAD)), channels),
            THREADS,
            (*map(np.uint64, addresses), np.uint32(plane)),
            self._stream,
        )

    def free(self) -> None:
        """Give kernel and memory back; the stream must be synchronised."""
        self._device.free(self._room)
        self._device.unload_kernel(self._kernel)
