"""Resident memory of this process, as the kernel counts it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from benchmarks.record.lines import Memory, Unknown

RESET_PEAK = "5"  # proc(5): resets the peak of resident memory to what it is now


class MemoryWatch:
    """Reads memory at its start and at its end."""

    def __init__(self, root: Path = Path("/proc/self")) -> None:
        """Read the start; `root` is the folder of the process.

        Where the kernel forbids to reset the peak, it is the one since the process began.
        """
        self._root = root
        with contextlib.suppress(OSError):
            (root / "clear_refs").write_text(RESET_PEAK)
        self._start = self._resident()

    def read(self) -> Memory | Unknown:
        """Start, end and peak."""
        start, end = self._start, self._resident()
        if isinstance(start, Unknown):
            return start
        if isinstance(end, Unknown):
            return end
        return Memory(start, end, max(self._peak(), start, end))

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
