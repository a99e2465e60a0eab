"""The lines of a record, put together by run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.record.lines import AccuracyLine, MeasurementLine, PeerLine, RooflineLine, RunLine


@dataclass(frozen=True, slots=True)
class Run:
    """One run: all calls of `tilefix bench` that share its id, and what they left."""

    calls: tuple[RunLine, ...]  # in order; the first speaks for the run
    accuracy: tuple[AccuracyLine, ...]
    measurements: tuple[MeasurementLine, ...]
    rooflines: tuple[RooflineLine, ...]
    peers: tuple[PeerLine, ...]

    @property
    def line(self) -> RunLine:
        """Of the first call."""
        return self.calls[0]


def read_runs(path: Path) -> tuple[Run, ...]:
    """All runs of a file, or of a folder with bench.jsonl in it, in order.

    Of what was measured twice under one id (a first time interrupted), the last line counts.

    Raises:
        BenchmarkError: it is missing, of another schema, or broken.
    """
    raise NotImplementedError
