"""Where the times of a run are kept while it runs: numbers in memory that was taken before."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.lines import Series, Stage, Unknown
from benchmarks.record.series import pack

STAGES = ("capture", "window", "encode", "align", "preprocess", "copy", "engine", "postprocess")
TOTAL, GPU, START_DELAY = "total", "gpu", "start delay"
ENCODE = "encode"  # of the stages
COLUMNS = (TOTAL, *STAGES, GPU, START_DELAY)
_PLACES = {name: place for place, name in enumerate(COLUMNS)}
_ROW = struct.Struct(f"={len(COLUMNS)}q")  # int64 each, as the rows of the array
_NO_STAGE = (-1,) * len(STAGES)
ABSENT = -1  # this stage did not run for this query
CAPACITY = 16_384  # queries; more double it
Row = tuple[int, ...]  # nanoseconds in the order of COLUMNS


class Recorder:
    """Rows of nanoseconds. Its memory does not grow with every query: memory is measured too."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._rows: NDArray[np.int64] = np.full((capacity, len(COLUMNS)), ABSENT, np.int64)
        self.count = 0

    def add(self, row: Row) -> None:
        """Keep one query."""
        if self.count == len(self._rows):
            more = np.full_like(self._rows, ABSENT)
            self._rows = np.concatenate([self._rows, more])
        _ROW.pack_into(self._rows, self.count * _ROW.size, *row)  # a fifth of numpy's own way
        self.count += 1

    def column(self, name: str) -> NDArray[np.int64]:
        """One quantity of all queries in which it was measured, nanoseconds."""
        values = self._rows[: self.count, COLUMNS.index(name)]
        return values[values != ABSENT]

    def ran(self, name: str) -> NDArray[np.bool_]:
        """In which of all queries it was measured."""
        found: NDArray[np.bool_] = self._rows[: self.count, COLUMNS.index(name)] != ABSENT
        return found

    def series(self, name: str, otherwise: str) -> Series | Unknown:
        """One quantity, packed; `otherwise` says why there is none."""
        values = self.column(name)
        return pack(values) if len(values) else Unknown(otherwise)

    def stages(self, reasons: dict[str, str]) -> tuple[Stage, ...]:
        """All stages; those that never ran with the reason."""
        never = "this scenario has no such stage"
        return tuple(Stage(name, self.series(name, reasons.get(name, never))) for name in STAGES)


def row(total_ns: int, gpu_ns: int = ABSENT, start_delay_ns: int = ABSENT, **stages: int) -> Row:
    """A row of what was measured; stages by their names, what is left out did not run."""
    found = [total_ns, *_NO_STAGE, gpu_ns, start_delay_ns]
    for name, value in stages.items():
        found[_PLACES[name]] = value
    return tuple(found)
