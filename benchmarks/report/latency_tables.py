"""Tables of latencies, always beside what the answers are worth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import numpy as np

from benchmarks.record.frame_ages import NEVER, all_ages_ns, percentile_or_never_ms
from benchmarks.record.lines import FlownAccuracy, Series, Unknown
from benchmarks.record.percentiles import Summary, supported, too_few
from benchmarks.record.series import unpack
from benchmarks.report.doubts import MOST_MISSED, marks_of
from benchmarks.report.numbers import NOT_KNOWN, missed_share, ms, share, unknown
from benchmarks.report.shown import Measured, ShownRun, Worth
from edge.page_parts import Cell, table

T = TypeVar("T")
NO_CELL = ""
NOT_SCORED = "not scored"
WORTH_HEAD = ("acc@0.25 / 0.5", "accepted", "of it wrong")


def latency_table(shown: ShownRun) -> str:
    """One row for each measurement of a run."""
    head = (
        "scenario",
        "window",
        "",
        "clicks",
        "queries",
        "p50 ms",
        "p90",
        "p99",
        "p99.9",
        "max",
        "GPU p50",
        "a second",
        "missed",
        *WORTH_HEAD,
    )
    rows = [_row(each, shown) for each in shown.measured]
    empty = {
        place
        for place, name in enumerate(head)
        if name in ("", "missed", "GPU p50") and all(_says_nothing(row[place]) for row in rows)
    }
    words = 3 - (2 in empty)
    return table(_without(head, empty), [_without(row, empty) for row in rows], words)


def overview_table(runs: Sequence[ShownRun]) -> str:
    """One row for each run: the measurement that is nearest to a flight."""
    head = (
        "run",
        "measurement",
        "",
        "p50 ms",
        "p99",
        "max",
        "missed",
        *WORTH_HEAD,
    )
    rows: list[list[str | Cell]] = []
    for shown in runs:
        best = shown.headline
        if best is None or best.summary is None:
            rows.append([shown.label, "nothing measured", *[NO_CELL] * (len(head) - 2)])
            continue
        found = best.summary
        rows.append(
            [
                shown.label,
                best.words,
                Cell(marks_of(best), "bad marks"),
                ms(found.median_ms, too_few(50.0)),
                _percentile(found.p99_ms, 99.0),
                ms(found.max_ms),
                _missed(best),
                *worth_cells(shown.worth(best.line)),
            ]
        )
    return table(head, rows, words=3)


def punctuality_table(shown: ShownRun) -> str:
    """What the open loops did; empty where there was none.

    Ages are of all scheduled frames: one that was never answered is older than any other.
    """
    head = (
        "window",
        "clicks",
        "rate",
        "frames",
        "missed",
        "unanswered",
        "aligned",
        "age p50 ms",
        "p99",
        "p99.9",
        "max",
        "delay p50 ms",
        "p99",
        "max",
        "beside it",
    )
    rows: list[list[str | Cell]] = []
    for each in shown.measured:
        late = each.line.punctuality
        if late is None or not late.scheduled:
            continue
        age, delay = all_ages_ns(late), unpack(late.start_delay)
        rows.append(
            [
                each.line.state.value,
                str(each.line.clicks),
                f"{late.rate_hz:g} Hz",
                f"{late.scheduled:,}",
                _missed(each),
                f"{each.unanswered:,}",
                f"{late.aligned / late.age.count:.1%}" if late.age.count else "-",
                *(_of(age, percent) for percent in (50.0, 99.0, 99.9)),
                NEVER if each.unanswered else ms(float(age.max()) / 1e6),
                *(_of(delay, percent) for percent in (50.0, 99.0)),
                ms(float(delay.max()) / 1e6) if len(delay) else "-",
                " and ".join(late.beside) or "nothing",
            ]
        )
    return table(head, rows, words=1) if rows else ""


def worth_cells(worth: Worth) -> list[str | Cell]:
    """The cells of WORTH_HEAD; what they are of shows on hovering."""
    if worth is None:
        return [Cell(NOT_SCORED, "bad"), NO_CELL, NO_CELL]
    if isinstance(worth, Unknown):
        return [Cell(NOT_SCORED, "bad", worth.reason), NO_CELL, NO_CELL]
    if isinstance(worth, FlownAccuracy):
        of = f"of this flight itself, {worth.answered:,} of {worth.frames:,} frames answered"
    else:
        of = "frames aligned" if worth.prior == "alignment" else "without a prior"
    hint = f"{of}, {worth.clicks:,} clicks"
    both = worth.acc25, worth.acc50
    first, second = both
    hit: str | Cell = unknown(next((e for e in both if isinstance(e, Unknown)), Unknown("")))
    if not isinstance(first, Unknown) and not isinstance(second, Unknown):
        hit = Cell(f"{100 * first:.1f} / {second:.1%}", "", hint)
    taken = worth.coverage
    accepted = unknown(taken) if isinstance(taken, Unknown) else Cell(f"{taken:.1%}", "", hint)
    return [hit, accepted, share(worth.wrong_rate)]


def percentile_cells(found: Summary) -> list[str | Cell]:
    """p50, p90, p99, p99.9 and the maximum; what is not supported says so."""
    values = (found.median_ms, found.p90_ms, found.p99_ms, found.p999_ms)
    percents = (50.0, 90.0, 99.0, 99.9)
    cells = [_percentile(value, p) for value, p in zip(values, percents, strict=True)]
    return [*cells, ms(found.max_ms)]


def _row(each: Measured, shown: ShownRun) -> list[str | Cell]:
    line = each.line
    numbers = [NO_CELL] * 5 if each.summary is None else percentile_cells(each.summary)
    rate = ms(len(each.ns) / line.duration_s) if line.duration_s > 0 else NO_CELL
    scored = worth_cells(shown.worth(line))
    return [
        line.scenario.value,
        line.state.value,
        Cell(marks_of(each), "bad marks"),
        str(line.clicks) if line.clicks else "-",
        f"{len(each.ns):,}",
        *numbers,
        _gpu(line.gpu),
        rate,
        _missed(each),
        *scored,
    ]


def _says_nothing(cell: str | Cell) -> bool:
    return (cell.words if isinstance(cell, Cell) else cell) in (NO_CELL, NOT_KNOWN, "-")


def _without(cells: Sequence[T], places: Collection[int]) -> list[T]:
    """All cells but those of columns that say nothing in any row."""
    return [cell for place, cell in enumerate(cells) if place not in places]


def _gpu(times: Series | Unknown) -> str | Cell:
    if isinstance(times, Unknown):
        return unknown(times)
    return _of(unpack(times), 50.0) if times.count else "-"


def _missed(each: Measured) -> str | Cell:
    late = each.line.punctuality
    if late is None:
        return NO_CELL
    many = late.scheduled > 0 and late.missed / late.scheduled > MOST_MISSED
    words = missed_share(late.missed, late.scheduled)
    return Cell(words, "bad" if many else "good", f"{late.missed:,} of {late.scheduled:,} frames")


def _of(ns: np.ndarray, percent: float) -> str | Cell:
    if percent not in supported(len(ns)):
        return Cell(too_few(percent), "none")
    return ms(percentile_or_never_ms(ns, percent))


def _percentile(value: float | None, percent: float) -> str | Cell:
    return Cell(too_few(percent), "none") if value is None else ms(value)
