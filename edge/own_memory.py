"""Large arrays that live long, each in memory of its own."""

from __future__ import annotations

import mmap
import sys

import numpy as np

from edge.types import Array


def in_own_memory(array: Array, dtype: type[np.generic] | None = None) -> Array:
    """A copy whose memory goes back to the system as soon as nobody holds it.

    The heap of the C library gives a large array back only where nothing behind it is in use. What
    stays there for seconds, among what comes and goes, leaves holes that the next one does not fit
    into: a flight that changes its windows grew by eight megabytes at a time.

    Args:
        array: of any layout.
        dtype: of the copy; None: the same.
    """
    wanted = np.dtype(array.dtype if dtype is None else dtype)
    size = max(1, array.size * wanted.itemsize)
    if sys.platform == "win32":
        memory = mmap.mmap(-1, size)
    else:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    made = np.frombuffer(memory, wanted, array.size).reshape(array.shape)
    np.copyto(made, array)
    return made
