"""The lines of a record, put together by run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.record.file import FILE_NAME, lines
from benchmarks.record.lines import (
    AccuracyLine,
    CacheState,
    CrossCheckLine,
    Line,
    MeasurementLine,
    PeerLine,
    RooflineLine,
    RunLine,
    Scenario,
)
from edge.errors import BenchmarkError

Key = tuple[Scenario, CacheState, int]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: all calls of `tilefix bench` that share its id, and what they left."""

    calls: tuple[RunLine, ...]  # in order; the first speaks for the run
    accuracy: tuple[AccuracyLine, ...]
    measurements: tuple[MeasurementLine, ...]
    rooflines: tuple[RooflineLine, ...]
    peers: tuple[PeerLine, ...]
    cross_checks: tuple[CrossCheckLine, ...] = ()

    @property
    def line(self) -> RunLine:
        """Of the first call."""
        return self.calls[0]

    def by_key(self) -> dict[Key, MeasurementLine]:
        """The measurements by scenario, state and clicks."""
        return {key_of(line): line for line in self.measurements}


@dataclass(slots=True)
class _Parts:
    """A run while its file is read; a later line takes the place of an earlier one of its key."""

    calls: list[RunLine] = field(default_factory=list)
    accuracy: dict[object, AccuracyLine] = field(default_factory=dict)
    measurements: dict[object, MeasurementLine] = field(default_factory=dict)
    rooflines: dict[object, RooflineLine] = field(default_factory=dict)
    peers: dict[object, PeerLine] = field(default_factory=dict)
    cross_checks: dict[object, CrossCheckLine] = field(default_factory=dict)


def key_of(line: MeasurementLine) -> Key:
    """Scenario, state and clicks: what two runs' measurements are matched by."""
    return line.scenario, line.state, line.clicks


def record_paths(path: Path) -> tuple[Path, ...]:
    """The files of records: `path` itself; of a folder its bench.jsonl, or else every .jsonl.

    What is not there is named all the same: reading it says so.
    """
    if not path.is_dir():
        return (path,)
    own = path / FILE_NAME
    return (own,) if own.exists() else tuple(sorted(path.glob("*.jsonl"))) or (own,)


def record_path(path: Path) -> Path:
    """The one file of `record_paths`.

    Raises:
        BenchmarkError: a folder of several records.
    """
    found = record_paths(path)
    if len(found) > 1:
        raise BenchmarkError(
            f"{path} holds {len(found)} records where one is wanted",
            expected=f"a file, or a folder with {FILE_NAME} or one other .jsonl in it",
            found=", ".join(each.name for each in found),
            do=f"give one of them, for example {found[0]}",
        )
    return found[0]


def read_runs(path: Path) -> tuple[Run, ...]:
    """All runs of a file, or of a folder with one in it (see `record_path`), in order.

    Of what was measured twice under one id (a first time interrupted), the last line counts.

    Raises:
        BenchmarkError: it is missing, empty, of another schema, or broken, or there are several.
    """
    path = record_path(path)
    runs: dict[str, _Parts] = {}
    for number, line in enumerate(lines(path), 1):
        if isinstance(line, RunLine):
            runs.setdefault(line.run_id, _Parts()).calls.append(line)
            continue
        if line.run_id not in runs:
            raise BenchmarkError(
                f"{path}, line {number} belongs to no run",
                expected="a run line of the same id before it",
                found=f"run_id {line.run_id}",
                do="move the file away and measure again",
            )
        _add(runs[line.run_id], line)
    if not runs:
        raise BenchmarkError(
            f"the record {path} is empty",
            expected="at least one run",
            found="no line",
            do="measure first: tilefix bench --out DIR",
        )
    return tuple(
        Run(
            tuple(parts.calls),
            tuple(parts.accuracy.values()),
            tuple(parts.measurements.values()),
            tuple(parts.rooflines.values()),
            tuple(parts.peers.values()),
            tuple(parts.cross_checks.values()),
        )
        for parts in runs.values()
    )


def _add(parts: _Parts, line: Line) -> None:
    if isinstance(line, AccuracyLine):
        parts.accuracy[line.prior] = line
    elif isinstance(line, MeasurementLine):
        parts.measurements[key_of(line)] = line
    elif isinstance(line, RooflineLine):
        parts.rooflines[line.graph, line.precision, line.clicks] = line
    elif isinstance(line, PeerLine):
        parts.peers[line.name, line.runtime, line.clicks] = line
    elif isinstance(line, CrossCheckLine):
        parts.cross_checks[line.graph, line.clicks] = line
