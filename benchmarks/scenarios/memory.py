"""Resident memory of this process, as the kernel counts it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from pathlib import Path

import numpy as np

from benchmarks.record.observed import Memory, Unknown

RESET_PEAK = "5"  # proc(5): resets the peak of resident memory to what it is now
MOST_SAMPLES = 2048  # then every second one is left out, and as many from there on
LEAST_SAMPLES = 20  # to compare tenths: two in each


def give_back() -> None:
    """Free what nobody holds any more, and give it back to the system.

    What ran before a measurement would otherwise count as its own: given back in its midst, it
    hides a leak.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


class MemoryWatch:
    """Reads memory at its start, whenever it is asked for a sample, and at its end."""

    def __init__(self, root: Path = Path("/proc/self")) -> None:
        """Read the start; `root` is the folder of the process.

        Where the kernel forbids to reset the peak, it is the one since the process began.
        """
        self._root = root
        with contextlib.suppress(OSError):
            (root / "clear_refs").write_text(RESET_PEAK)
        self._start = self._resident()
        self._samples: list[int] = []
        self._every, self._calls = 1, 0

    def sample(self) -> None:
        """Keep what it is now; called at even intervals, from any one thread."""
        now = self._resident()
        if self._calls % self._every == 0 and not isinstance(now, Unknown):
            self._samples.append(now)
        self._calls += 1
        if len(self._samples) == MOST_SAMPLES:
            self._samples, self._every = self._samples[::2], 2 * self._every

    def read(self) -> Memory | Unknown:
        """Start, samples, end and peak."""
        start, end, samples = self._start, self._resident(), tuple(self._samples)
        if isinstance(start, Unknown):
            return start
        if isinstance(end, Unknown):
            return end
        tenth = len(samples) // 10
        told = len(samples) >= LEAST_SAMPLES
        return Memory(
            start_bytes=start,
            end_bytes=end,
            peak_bytes=max(self._peak(), start, end, *samples),
            samples_bytes=samples,
            first_bytes=int(np.median(samples[:tenth])) if told else None,
            last_bytes=int(np.median(samples[-tenth:])) if told else None,
        )

    def _resident(self) -> int | Unknown:
        try:
            pages = int((self._root / "statm").read_text().split()[1])
        except (OSError, ValueError, IndexError) as error:
            return Unknown(f"{self._root / 'statm'}: {type(error).__name__}")
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _peak(self) -> int:
        """0 where the kernel does not say."""
        with contextlib.suppress(OSError, ValueError):
            for line in (self._root / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
        return 0
