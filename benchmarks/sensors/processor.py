"""Whose the processor was: what this process took of its cores, and what others took.

The kernel counts the time of every core in /proc/stat, in steps of 10 ms; the process knows its
own. What is neither idle nor its own went to others, and slowed it down wherever it waited for a
core, a cache or the memory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from benchmarks.record.observed import ProcessorTime, Unknown

LEAST_S = 1.0  # 100 steps of the kernel's clock
# proc(5): user, nice, system, irq and softirq are work. A guest's time is within user's.
BUSY = (0, 1, 2, 5, 6)
STOLEN = 7
UNCOUNTED = 0.5  # of its own time at least is found in the kernel's count, where that counts


class ProcessorWatch:
    """Reads the counters at its start and at its end."""

    def __init__(
        self,
        root: Path = Path("/"),
        cores: Collection[int] | None = None,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        own_s: Callable[[], float] = time.process_time,
    ) -> None:
        """Read the start.

        Args:
            root: of the system.
            cores: that the process may use; None: those of the calling thread, now.
            clock_s: monotonic.
            own_s: processor time of all threads of this process.
        """
        self._path = root / "proc/stat"
        self.cores = frozenset(os.sched_getaffinity(0) if cores is None else cores)
        self._clock_s, self._own_s = clock_s, own_s
        self._start = self._read()
        self._start_s, self._start_own_s = clock_s(), own_s()

    def read(self) -> ProcessorTime | Unknown:
        """Since the start; Unknown: the system does not count, or too little time has gone by."""
        end = self._read()
        wall_s, own_s = self._clock_s() - self._start_s, self._own_s() - self._start_own_s
        if isinstance(self._start, Unknown):
            return self._start
        if isinstance(end, Unknown):
            return end
        if wall_s < LEAST_S:
            return Unknown(
                f"measured for {wall_s:.1f} s: processor time is counted in steps, and takes "
                f"{LEAST_S:g} s to tell"
            )
        busy_s, stolen_s = end[0] - self._start[0], end[1] - self._start[1]
        if busy_s < UNCOUNTED * own_s:
            return Unknown(f"{self._path} does not count the work of this process")
        return ProcessorTime(
            wall_s=wall_s,
            cores=len(self.cores),
            own_s=own_s,
            others_s=max(busy_s - own_s, 0.0),
            stolen_s=max(stolen_s, 0.0),
        )

    def _read(self) -> tuple[float, float] | Unknown:
        """Seconds of work and stolen ones, over the cores of this process."""
        try:
            lines = self._path.read_text(encoding="ascii").splitlines()
            counted = [
                [int(each) for each in words]
                for name, *words in map(str.split, filter(None, lines))
                if name[:3] == "cpu" and name[3:].isdecimal() and int(name[3:]) in self.cores
            ]
            if len(counted) < len(self.cores):
                return Unknown(f"{self._path} does not list every core of this process")
            ticks = [
                (sum(core[place] for place in BUSY), core[STOLEN] if len(core) > STOLEN else 0)
                for core in counted
            ]
        except (OSError, ValueError, IndexError) as error:
            return Unknown(f"{self._path}: {type(error).__name__}")
        second = os.sysconf("SC_CLK_TCK")
        return sum(busy for busy, _ in ticks) / second, sum(lost for _, lost in ticks) / second
