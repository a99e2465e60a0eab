"""Runs as the report shows them: with a label, and with their latencies unpacked once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.frame_ages import all_latencies_ns, percentile_or_never_ms
from benchmarks.record.lines import (
    COMPLETE,
    AccuracyLine,
    CacheState,
    FlownAccuracy,
    MeasurementLine,
    Scenario,
    Stability,
    Unknown,
)
from benchmarks.record.percentiles import LEAST_COUNT, Summary, summary
from benchmarks.record.runs import Run, read_runs, record_paths
from benchmarks.record.series import unpack
from benchmarks.report.numbers import frame_size

NAMELESS = "a machine without a name"
NO_PRIOR = "none"  # of the pass that scenarios without alignment are worth as much as
Worth = AccuracyLine | FlownAccuracy | Unknown | None
# What flies comes first: the headline is the first of these that a run has.
HEADLINES = (
    (Scenario.PERIODIC, CacheState.WARM),
    (Scenario.MULTI_STREAM, CacheState.WARM),
    (Scenario.SINGLE_STREAM, CacheState.WARM),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement and its latencies."""

    line: MeasurementLine
    ns: NDArray[np.int64]  # [count] of the queries that were answered, in order
    # Of all queries, of an open loop those that were never answered included, which are infinitely
    # slow; None: it ended before its first query.
    summary: Summary | None

    @property
    def words(self) -> str:
        """For people: "multi-stream, warm, 8 clicks"."""
        clicks = self.line.clicks
        tail = f", {clicks} click{'s' if clicks > 1 else ''}" if clicks else ""
        return f"{self.line.scenario.value}, {self.line.state.value}{tail}"

    @property
    def unanswered(self) -> int:
        """Frames of an open loop that a newer one took the place of."""
        late = self.line.punctuality
        return 0 if late is None else max(late.unanswered, 0)

    @property
    def complete(self) -> bool:
        """Whether it ran to its end."""
        return self.line.ended == COMPLETE

    @property
    def drift_mark(self) -> str:
        """That it drifted, or may have; nothing where it did not, or too little is known."""
        found = self.line.stability
        return found.mark if isinstance(found, Stability) else ""

    @property
    def unstable(self) -> bool:
        """Whether it drifted, or may have."""
        return bool(self.drift_mark)


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run, its name on the page, and its measurements in the order of the record."""

    label: str
    run: Run
    measured: tuple[Measured, ...]

    def find(self, scenario: Scenario, state: CacheState, clicks: int) -> Measured | None:
        """One measurement with queries in it."""
        wanted = scenario, state, clicks
        for each in self.measured:
            line = each.line
            if (line.scenario, line.state, line.clicks) == wanted and each.summary is not None:
                return each
        return None

    @property
    def headline(self) -> Measured | None:
        """The measurement that is nearest to a flight; None: nothing was measured.

        One with too few queries for a median stands back behind those that have one.
        """
        clicks, found = self.run.line.settings.clicks, []
        for scenario, state in HEADLINES:
            wanted = 1 if scenario is Scenario.SINGLE_STREAM else clicks
            found.append(self.find(scenario, state, wanted))
        known = [each for each in (*found, *self.measured) if each and each.summary]
        told = [each for each in known if each.summary and each.summary.median_ms is not None]
        return next(iter((*told, *known)), None)

    @property
    def open_loop(self) -> Measured | None:
        """The open loop at the camera's rate, its windows at hand; None: it did not run."""
        clicks = self.run.line.settings.clicks
        return self.find(Scenario.PERIODIC, CacheState.WARM, clicks)

    @property
    def machine(self) -> str:
        """What the machine calls itself, else its processor."""
        around = self.run.line.environment
        for name in (around.board, around.cpu):
            if isinstance(name, str):
                return name
        return NAMELESS

    def worth(self, line: MeasurementLine) -> Worth:
        """What the answers of a measurement are worth; None: nobody scored them.

        An open loop is worth what its own fixes are; all else what an unhurried pass without a
        prior is, for that is what it does.
        """
        if line.scenario is Scenario.PERIODIC:
            return line.accuracy
        return next((each for each in self.run.accuracy if each.prior == NO_PRIOR), None)


def read_shown(paths: Sequence[Path]) -> tuple[ShownRun, ...]:
    """All runs of these files and folders (see `record_paths`), each once, in order.

    Raises:
        BenchmarkError: a file is missing, of another schema, or broken.
    """
    runs: dict[str, Run] = {}
    for path in (each for given in paths for each in record_paths(given)):
        for run in read_runs(path):
            runs.setdefault(run.line.run_id, run)
    return shown_runs(tuple(runs.values()))


def shown_runs(runs: Sequence[Run]) -> tuple[ShownRun, ...]:
    """Give runs their labels: bundle and precision, and whatever else tells them apart."""
    found = zip(labels(runs), runs, strict=True)
    return tuple(
        ShownRun(label, run, tuple(_measured(line) for line in run.measurements))
        for label, run in found
    )


def labels(runs: Sequence[Run]) -> list[str]:
    """A short name for each run, none of them twice.

    Args:
        runs: in order; what is the same in all is left out, but for bundle and precision.
    """
    parts: list[list[str]] = []
    for run in runs:
        bundle, settings = run.line.bundle, run.line.settings
        board = ShownRun("", run, ()).machine
        parts.append(
            [
                bundle.name,
                bundle.precision,
                bundle.executor,
                f"{bundle.threads} threads",
                frame_size(bundle.frame_px),
                board,
                f"{settings.clicks} clicks",
                f"{settings.rate_hz:g} Hz",
                settings.pairs,
                f"version {run.line.version}",
                run.line.started_utc[:16].replace("T", " "),
                f"run {run.line.run_id[:6]}",
            ]
        )
    kept = [0, 1]
    for place in range(2, len(parts[0]) if parts else 0):
        names = {tuple(each[p] for p in kept) for each in parts}
        more = {tuple(each[p] for p in (*kept, place)) for each in parts}
        if len(more) > len(names):
            kept.append(place)
    return [" · ".join(each[place] for place in kept) for each in parts]


def _measured(line: MeasurementLine) -> Measured:
    return Measured(line, unpack(line.latency), _summary(line))


def _summary(line: MeasurementLine) -> Summary | None:
    """Of all queries; infinity where a value falls among those that were never answered."""
    if not line.latency.count:
        return None
    if line.punctuality is None:
        return summary(unpack(line.latency))
    ns = all_latencies_ns(line)
    p50, p90, p99, p999 = (percentile_or_never_ms(ns, percent) for percent in LEAST_COUNT)
    never = line.punctuality.unanswered > 0
    return Summary(len(ns), p50, p90, p99, p999, math.inf if never else float(ns.max()) / 1e6)
