"""The peers of a run as a Markdown table, with command, machine and date below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.readme_table import Marks
from benchmarks.record.lines import Line, PeerLine, RunLine, Series, Unknown
from benchmarks.record.series import unpack
from edge.errors import BenchmarkError

MARKS = Marks(
    "<!-- table of tilefix bench table -->",
    "<!-- end of the table of tilefix bench table -->",
    "the table of peers",
)
HEADS = (
    "way",
    "runtime",
    "ms per frame",
    "ms per object",
    "times `lite`",
    "peak memory, MB",
    "acc@0.25",
    "acc@0.5",
)
NOT_MEASURED = "not measured"
NO_ACCURACY = "random weights"
OURS = "lite"  # the row that the others are divided by


@dataclass(frozen=True, slots=True)
class PeerRun:
    """The peers of one run."""

    run: RunLine
    peers: tuple[PeerLine, ...]  # one for each name and runtime


def newest_peers(lines: Iterable[Line], where: str) -> PeerRun:
    """The peers of the last run of a record that has any.

    Raises:
        BenchmarkError: no run of the record has.
    """
    runs: dict[str, RunLine] = {}
    peers: dict[str, dict[tuple[str, str], PeerLine]] = {}
    last = ""
    for line in lines:
        if isinstance(line, RunLine):
            runs[line.run_id] = line
        elif isinstance(line, PeerLine):
            peers.setdefault(line.run_id, {})[line.name, line.runtime] = line
            last = line.run_id
    if last not in runs:
        raise BenchmarkError(
            f"the record {where} has no peers",
            expected="a run with peers",
            found=f"{len(runs)} runs without",
            do="measure them: tilefix bench --peers",
        )
    return PeerRun(runs[last], tuple(peers[last].values()))


def table(found: PeerRun) -> str:
    """Markdown: the table, what did not run and why, and where the numbers are from."""
    ours = next((peer for peer in found.peers if peer.name == OURS), None)
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    lines += ["| " + " | ".join(_cells(peer, ours)) + " |" for peer in found.peers]
    lines += ["", _source(found)]
    reasons = [
        f"* {peer.name}, {peer.runtime}: {peer.latency.reason}."
        for peer in found.peers
        if isinstance(peer.latency, Unknown)
    ]
    notes = [f"* {peer.name}, {peer.runtime}: {peer.note}." for peer in found.peers if peer.note]
    return "\n".join([*lines, "", *notes, *reasons])


def _cells(peer: PeerLine, ours: PeerLine | None) -> Sequence[str]:
    each = peer.per_object_ms
    ratio = NOT_MEASURED
    if isinstance(each, float) and ours is not None and isinstance(ours.per_object_ms, float):
        ratio = "1" if peer is ours else f"{_short(each / ours.per_object_ms)}x"
    peak = peer.peak_bytes
    return (
        peer.name,
        peer.runtime,
        _frame(peer),
        _short(each) if isinstance(each, float) else NOT_MEASURED,
        ratio,
        f"{peak / 1e6:.0f}" if isinstance(peak, int) else NOT_MEASURED,
        _accuracy(peer.acc25),
        _accuracy(peer.acc50),
    )


def _frame(peer: PeerLine) -> str:
    if isinstance(peer.latency, Series):
        return _short(float(np.median(unpack(peer.latency))) / 1e6)
    each = peer.per_object_ms  # known where the frame is longer than a record keeps
    return _short(each * peer.clicks) if isinstance(each, float) else NOT_MEASURED


def _accuracy(value: float | Unknown) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return NO_ACCURACY if value.reason.startswith(NO_ACCURACY) else NOT_MEASURED


def _short(value: float) -> str:
    """Three digits, as far as they are before the point."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


def _source(found: PeerRun) -> str:
    run = found.run
    cpu = run.environment.cpu
    where = cpu if isinstance(cpu, str) else f"unknown processor ({cpu.reason})"
    clicks = found.peers[0].clicks
    return (
        f"Medians on {where}, {run.bundle.threads} threads, {run.started_utc[:10]}; "
        f"{clicks} clicks in a frame of {run.settings.pairs}; `{run.command}`."
    )
