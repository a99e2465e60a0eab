"""Tables of latencies, always beside what the answers are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.record.lines import AccuracyLine, Series, Unknown
from benchmarks.record.percentiles import Summary, percentile_ms, supported, too_few
from benchmarks.record.series import unpack
from benchmarks.report.doubts import MOST_MISSED, marks_of
from benchmarks.report.numbers import missed_share, ms, share, unknown
from benchmarks.report.shown import Measured, ShownRun
from edge.page_parts import Cell, table

NO_CELL = ""
NOT_SCORED = "not scored"


def latency_table(shown: ShownRun) -> str:
    """One row for each measurement of a run."""
    head = (
        "scenario",
        "window",
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
        "acc@0.25",
        "acc@0.5",
        "accepted",
        "of these wrong",
        "",
    )
    return table(head, [_row(each, shown) for each in shown.measured], words=2)


def overview_table(runs: Sequence[ShownRun]) -> str:
    """One row for each run: the measurement that is nearest to a flight."""
    head = (
        "run",
        "measurement",
        "p50 ms",
        "p99",
        "max",
        "missed",
        "acc@0.25",
        "acc@0.5",
        "accepted",
        "of these wrong",
        "",
    )
    rows = []
    for shown in runs:
        best = shown.headline
        if best is None or best.summary is None:
            rows.append([shown.label, "nothing measured", *[NO_CELL] * 9])
            continue
        found = best.summary
        rows.append(
            [
                shown.label,
                best.words,
                ms(found.median_ms, too_few(50.0)),
                _percentile(found.p99_ms, 99.0),
                ms(found.max_ms),
                _missed(best),
                *worth_cells(shown.worth(best.line.scenario)),
                Cell(marks_of(best), "bad"),
            ]
        )
    return table(head, rows, words=2)


def punctuality_table(shown: ShownRun) -> str:
    """What the open loops did; empty where there was none."""
    head = (
        "window",
        "clicks",
        "rate",
        "frames",
        "missed",
        "age p50 ms",
        "p99",
        "p99.9",
        "max",
        "start late by p50",
        "p99",
        "max",
        "beside it",
    )
    rows = []
    for each in shown.measured:
        late = each.line.punctuality
        if late is None or not late.age.count:
            continue
        age, delay = unpack(late.age), unpack(late.start_delay)
        rows.append(
            [
                each.line.state.value,
                str(each.line.clicks),
                f"{late.rate_hz:g} Hz",
                f"{late.scheduled:,}",
                _missed(each),
                *(_of(age, percent) for percent in (50.0, 99.0, 99.9)),
                ms(float(age.max()) / 1e6),
                *(_of(delay, percent) for percent in (50.0, 99.0)),
                ms(float(delay.max()) / 1e6) if len(delay) else "-",
                " and ".join(late.beside) or "nothing",
            ]
        )
    return table(head, rows, words=1) if rows else ""


def worth_cells(worth: AccuracyLine | None) -> list[str | Cell]:
    """acc@0.25, acc@0.5, accepted, wrong among these; the prior that they are of on hovering."""
    if worth is None:
        return [Cell(NOT_SCORED, "warn"), NO_CELL, NO_CELL, NO_CELL]
    prior = "frames aligned" if worth.prior == "alignment" else "without a prior"
    hint = f"{prior}, {worth.clicks:,} clicks"
    wrong = worth.wrong_rate
    rate = unknown(wrong) if isinstance(wrong, Unknown) else share(wrong)
    return [
        Cell(f"{worth.acc25:.1%}", "", hint),
        Cell(f"{worth.acc50:.1%}", "", hint),
        Cell(f"{worth.coverage:.1%}", "", hint),
        rate,
    ]


def percentile_cells(found: Summary) -> list[str | Cell]:
    """p50, p90, p99, p99.9 and the maximum; what is not supported says so."""
    values = (found.median_ms, found.p90_ms, found.p99_ms, found.p999_ms)
    percents = (50.0, 90.0, 99.0, 99.9)
    cells = [_percentile(value, p) for value, p in zip(values, percents, strict=True)]
    return [*cells, ms(found.max_ms)]


def _row(each: Measured, shown: ShownRun) -> list[str | Cell]:
    line = each.line
    numbers = [NO_CELL] * 5 if each.summary is None else percentile_cells(each.summary)
    rate = f"{len(each.ns) / line.duration_s:,.1f}" if line.duration_s > 0 else NO_CELL
    scored = worth_cells(shown.worth(line.scenario)) if line.clicks else [NO_CELL] * 4
    return [
        line.scenario.value,
        line.state.value,
        str(line.clicks) if line.clicks else "-",
        f"{len(each.ns):,}",
        *numbers,
        _gpu(line.gpu),
        rate,
        _missed(each),
        *scored,
        Cell(marks_of(each), "bad"),
    ]


def _gpu(times: Series | Unknown) -> str | Cell:
    if isinstance(times, Unknown):
        return unknown(times)
    return ms(float(np.median(unpack(times))) / 1e6) if times.count else "-"


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
    return ms(percentile_ms(ns, percent))


def _percentile(value: float | None, percent: float) -> str | Cell:
    return Cell(too_few(percent), "none") if value is None else ms(value)
