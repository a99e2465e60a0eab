"""One call of `tilefix bench` from its first measurement to its last, whatever ends it.

What was measured is on the disk before the next measurement begins. A run that was cut short goes
on where it was, if nothing differs that a number could depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

import msgspec

from benchmarks.record.bundle_facts import bundle_facts, check_unchanged
from benchmarks.record.commit import read_commit
from benchmarks.record.environment import read_environment
from benchmarks.record.file import RecordFile
from benchmarks.record.lines import (
    SCHEMA,
    AccuracyLine,
    CrossCheckLine,
    Line,
    MeasurementLine,
    PeerLine,
    RooflineLine,
    RunLine,
    Settings,
    Unknown,
)
from benchmarks.roofline.lines import MeasuredGraph
from benchmarks.scenarios.accuracy import accuracy_lines, priors_of
from benchmarks.scenarios.drive import INTERRUPTED
from benchmarks.scenarios.flights import Flight
from benchmarks.scenarios.graph_times import measured_graphs
from benchmarks.scenarios.measuring import Measuring
from benchmarks.scenarios.plan import Planned
from benchmarks.sensors.sampler import Sampler
from edge import __version__
from edge.assembly import ExecutorChoice
from edge.bundle import Bundle
from edge.errors import BenchmarkError, ExecutorError
from edge.graceful_stop import GracefulStop

BUNDLE_CHANGED = "bundle changed"
Tell = Callable[[str], None]
T = TypeVar("T", AccuracyLine, MeasurementLine, RooflineLine, PeerLine)


@dataclass(frozen=True, slots=True)
class Done:
    """What a call has done, and what it found done."""

    run: RunLine
    measurements: tuple[MeasurementLine, ...]  # of this call
    skipped: int  # of earlier calls of the same run
    interrupted: bool


class Session:
    """A run in its record."""

    def __init__(
        self,
        flight: Flight,
        bundle: Bundle,
        executor: ExecutorChoice,
        settings: Settings,
        command: str,
        record: RecordFile,
        sampler: Sampler,
        stop: GracefulStop,
        tell: Tell,
    ) -> None:
        """Open the bundle, and write the line of this call if it begins a run.

        A call that goes on with one has its line before the first other one that it adds: a call
        that finds everything done leaves none.

        Args:
            flight: frames, clicks and map.
            bundle: opened.
            executor: what runs it.
            settings: of the run.
            command: that it was called with.
            record: open for appending.
            sampler: running.
            stop: running; asks for an end after the query at work.
            tell: says a line to whoever waits.

        Raises:
            BenchmarkError, ExecutorError, OutputError: see the parts.
        """
        self._flight, self._bundle, self._executor = flight, bundle, executor
        self._record, self._stop, self._tell = record, stop, tell
        run_id = token_hex(8)
        parts = flight, bundle, executor, settings, sampler, stop
        self.measuring = Measuring(run_id, *parts)
        run = RunLine(
            schema=SCHEMA,
            run_id=run_id,
            started_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            command=command,
            version=__version__,
            commit=read_commit(),
            bundle=bundle_facts(self.measuring.localizer, executor.threads, executor.device),
            settings=settings,
            environment=read_environment(),
        )
        earlier = record.earlier(run)
        self._before = record.done(run)
        if earlier is not None:
            run = msgspec.structs.replace(run, run_id=earlier.run_id)
            tell(f"goes on with run {run.run_id} of {earlier.started_utc}")
        self.run = run
        self.added = 0  # lines of this call, but for its own
        self._begun = earlier is None
        if self._begun:
            record.append(run)

    def close(self) -> None:
        """Let go of the map."""
        self.measuring.close()

    def measure(self, planned: Sequence[Planned]) -> Done:
        """Do what is planned and not yet done.

        Raises:
            BenchmarkError: the bundle was changed, or the device was lost; the measurement at work
                is in the record, and marked.
        """
        lines: list[MeasurementLine] = []
        skipped = 0
        for number, each in enumerate(planned, 1):
            if (each.scenario, each.state, each.clicks) in self._before:
                skipped += 1
                continue
            if self._stop.requested:
                break
            self._tell(f"[{number}/{len(planned)}] {each.words}")
            lines.append(self._one(each))
        interrupted = self._stop.requested or any(each.ended == INTERRUPTED for each in lines)
        return Done(self.run, tuple(lines), skipped, interrupted)

    def accuracy(self) -> None:
        """Score the bundle, with each prior that no earlier call of the run scored it with.

        Raises:
            BenchmarkError: the bundle was changed; a score that this may have touched is not kept.
        """
        done = {line.prior for line in self._lines(AccuracyLine)}
        if self._stop.requested or done.issuperset(priors_of(self._bundle)):
            return
        self._tell(f"accuracy on {self._flight.name}")
        device = self._executor.device
        plain = replace(device, timed=False) if device is not None else None
        executor = replace(self._executor, device=plain)
        how = self.run.run_id, self._flight, self._bundle, executor, self._stop
        with self.measuring.store.opened() as store:
            for line in accuracy_lines(*how, done, store):
                self.keep(line)

    def roofline(self) -> None:
        """Say what each graph needs at least, where no earlier call of the run did.

        Raises:
            BenchmarkError: the bundle was changed; nothing of the roofline is kept.
        """
        precision = self.run.bundle.precision
        found = {(e.graph, e.precision, e.clicks): e for e in self._lines(RooflineLine)}
        graphs = [
            graph
            for graph in measured_graphs(self._lines(MeasurementLine))
            if any(
                _lacks(found.get((graph.graph, name, graph.clicks)), graph, name == precision)
                for name in (precision, *self._bundle.precisions)
            )
        ]
        if not graphs:
            return
        from benchmarks.roofline.lines import roofline_lines

        self._tell("roofline: what each graph needs, and what this machine can do")
        how = {"executor": self._executor.name, "threads": self._executor.threads}
        made = roofline_lines(self.run.run_id, self._bundle, precision, graphs, **how)
        self.keep(*made)

    def peers(self, redo: Sequence[str] = ()) -> None:
        """Measure other ways to the same answer that no earlier call did, or those of `redo`.

        Raises:
            BenchmarkError: the bundle was changed; the peer at work is not kept.
        """
        from benchmarks.peers.run import measure_peers

        settings = self.run.settings
        self._check_bundle()  # and after each, which is before the next
        for line in measure_peers(
            self.run.run_id,
            self._flight.pairs.path,
            self._bundle.path,
            clicks=settings.clicks,
            threads=self._executor.threads,
            seed=settings.seed,
            quick=settings.quick,
            before=self._lines(PeerLine),
            redo=redo,
            stop=self._stop,
        ):
            self.keep(line)
            self._tell(f"peer: {line.name}, {line.runtime}")
            if self._stop.requested:
                break

    def keep(self, *lines: AccuracyLine | RooflineLine | PeerLine | CrossCheckLine) -> None:
        """Append what was found since the bundle was last looked at.

        Raises:
            BenchmarkError: the bundle was changed since; nothing is appended, for even a marked
                line would take the place of a good one of an earlier call.
        """
        self._check_bundle()
        for line in lines:
            self._append(line)

    def _append(self, line: Line) -> None:
        if not self._begun:
            self._record.append(self.run)
            self._begun = True
        self._record.append(line)
        self.added += 1

    def _lines(self, kind: type[T]) -> list[T]:
        """The lines of a kind that this run has."""
        ours = (line for line in self._record.lines() if isinstance(line, kind))
        return [line for line in ours if line.run_id == self.run.run_id]

    def _one(self, planned: Planned) -> MeasurementLine:
        self._check_bundle()
        finished = self.measuring.measure(planned)
        line = msgspec.structs.replace(finished.line, run_id=self.run.run_id)
        if finished.error is not None:  # nobody asks a lost device whether its engine changed
            self._append(line)
            error = _device_lost(planned, line, finished.error, self._record.path)
            raise error from finished.error
        try:
            self._check_bundle()
        except (BenchmarkError, ExecutorError) as error:  # changed, or an engine that is gone
            ended = f"{BUNDLE_CHANGED}: {error.found}"
            self._append(msgspec.structs.replace(line, ended=ended))
            raise
        self._append(line)
        return line

    def _check_bundle(self) -> None:
        device = self._executor.device
        check_unchanged(self.measuring.localizer, self.run.bundle, device)


def _lacks(found: RooflineLine | None, graph: MeasuredGraph, ran: bool) -> bool:
    """Whether there is more to say of a graph than what was found, in a precision that ran."""
    if found is None:
        return True
    timed = ran and not isinstance(graph.median_ms, Unknown)
    return timed and isinstance(found.measured_ms, Unknown)


def _device_lost(
    planned: Planned, line: MeasurementLine, error: ExecutorError, path: Path
) -> BenchmarkError:
    return BenchmarkError(
        f"the executor failed amid {planned.words}: {error.what}",
        expected=error.expected,
        found=f"{error.found}, after {line.latency.count} queries",
        do=f"{error.do}; the queries before it are in {path}, marked, and the same command goes on",
    )
