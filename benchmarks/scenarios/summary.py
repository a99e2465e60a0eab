"""What a run came to, for people: a table of latencies beside what the answers are worth."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.record.lines import (
    AccuracyLine,
    Energy,
    Heat,
    MeasurementLine,
    Memory,
    Scenario,
    Series,
    Stability,
    Unknown,
)
from benchmarks.record.percentiles import LEAST_COUNT, Summary, summary
from benchmarks.record.runs import Run
from benchmarks.record.series import unpack
from benchmarks.scenarios.drive import COMPLETE
from benchmarks.scenarios.open_loop import jitter_ms

ALIGNED_SCENARIOS = (Scenario.PERIODIC,)
MOST_HARNESS_US = 20.0
LEAST_WIDTH = 112
TOO_FEW = "-"
LEAST = ", ".join(f"p{percent:g} takes {count:,}" for percent, count in LEAST_COUNT.items())
SHORT = {"preprocess": "before", "postprocess": "after"}


def print_run(run: Run, console: Console | None = None) -> None:
    """Tables and notes on standard output."""
    console = console or Console()
    console.width = max(console.width, LEAST_WIDTH)  # a number cut short is none
    console.print(latency_table(run))
    stages = stage_table(run.measurements)
    if stages is not None:
        console.print(stages)
    for line in accuracy_words(run.accuracy):
        console.print(line, highlight=False)
    for line in notes(run.measurements):
        console.print(escape(line), highlight=False, soft_wrap=True)


def latency_table(run: Run) -> Table:
    """One row for each measurement, with the accuracy of the same bundle on the same pairs."""
    bundle, settings = run.line.bundle, run.line.settings
    table = Table(
        title=f"{bundle.name} in {bundle.executor}, {bundle.precision}, {bundle.threads} threads, "
        f"frame {bundle.frame_px[0]} x {bundle.frame_px[1]} px, on {settings.pairs}",
        caption=f"milliseconds. {TOO_FEW}: too few queries, for {LEAST}. acc: at IoU 0.25 / 0.5. "
        "taken: share accepted / wrong among these",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("scenario, state, clicks", no_wrap=True)
    numbers = ("n", "p50", "p90", "p99", "p99.9", "max", "missed", "acc", "taken")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in run.measurements:
        table.add_row(*_row(each, run.accuracy))
    return table


def _row(line: MeasurementLine, accuracy: Iterable[AccuracyLine]) -> list[str]:
    ns = unpack(line.latency)
    numbers = ["-"] * 5 if not len(ns) else _percentiles(summary(ns))
    late = line.punctuality
    missed = "" if late is None else f"{late.missed}/{late.scheduled}"
    worth = _of(line, accuracy)
    scores = ["unscored", ""]
    if worth is not None:
        wrong = worth.wrong_rate
        scores = [
            f"{worth.acc25:.2f}/{worth.acc50:.2f}",
            f"{worth.coverage:.2f}/" + ("-" if isinstance(wrong, Unknown) else f"{wrong:.2f}"),
        ]
    marks = [] if line.ended == COMPLETE else [line.ended.split(":")[0]]
    if isinstance(line.stability, Stability) and not line.stability.stable:
        marks.append("unstable")
    clicks = f" {line.clicks}" if line.clicks else ""
    head = [f"{line.scenario.value} {line.state.value}{clicks}", str(len(ns))]
    return [*head, *numbers, missed, *scores, ", ".join(marks)]


def _percentiles(found: Summary) -> list[str]:
    wanted = (found.median_ms, found.p90_ms, found.p99_ms, found.p999_ms)
    shown = [TOO_FEW if value is None else _ms(value) for value in wanted]
    return [*shown, _ms(found.max_ms)]


def _ms(value: float) -> str:
    """With as many decimals as it takes to tell two runs apart."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.{1 if value >= 100 else 2}f}"


def _of(line: MeasurementLine, accuracy: Iterable[AccuracyLine]) -> AccuracyLine | None:
    """The scores of what this scenario does: periodic aligns its frames, the others do not."""
    wanted = "alignment" if line.scenario in ALIGNED_SCENARIOS else "none"
    by_prior = {each.prior: each for each in accuracy}
    return by_prior.get(wanted) or by_prior.get("none")


def stage_table(lines: Iterable[MeasurementLine]) -> Table | None:
    """Medians of the stages of one measurement of each scenario and state; None: there are none."""
    chosen: dict[tuple[str, str], MeasurementLine] = {}
    for line in lines:
        if line.latency.count:
            chosen[line.scenario.value, line.state.value] = line
    if not chosen:
        return None
    names = [stage.name for stage in next(iter(chosen.values())).stages]
    table = Table(
        title="median of each stage where it ran, ms (at the most clicks of each scenario)",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("scenario", no_wrap=True)
    for name in (*(SHORT.get(each, each) for each in names), "GPU"):
        table.add_column(name, justify="right", no_wrap=True)
    for (scenario, state), line in chosen.items():
        cells = [_median(stage.times) for stage in line.stages]
        table.add_row(f"{scenario} {state}", *cells, _median(line.gpu))
    return table


def _median(times: Series | Unknown) -> str:
    if isinstance(times, Unknown):
        return "-"
    return _ms(1e-6 * float(np.median(unpack(times))))


def accuracy_words(lines: Iterable[AccuracyLine]) -> list[str]:
    """The scores with what they are of."""
    found = []
    for each in lines:
        wrong = each.wrong_rate
        rate = wrong.reason if isinstance(wrong, Unknown) else f"{wrong:.3f} of these wrong"
        prior = "with alignment" if each.prior == "alignment" else "without a prior"
        found.append(
            f"{prior}: acc@0.25 {each.acc25:.3f}, acc@0.5 {each.acc50:.3f} on {each.clicks} "
            f"clicks; {each.coverage:.3f} accepted, {rate}"
        )
    return found


def notes(lines: Iterable[MeasurementLine]) -> list[str]:
    """What a reader must know of the numbers: memory, energy, heat, jitter, what was cut short."""
    lines = list(lines)
    found = [*_memory(lines), *_energy(lines), *_heat(lines)]
    for line in lines:
        if line.punctuality is not None and line.punctuality.start_delay.count:
            jitter = jitter_ms(unpack(line.punctuality.start_delay))
            beside = " and ".join(line.punctuality.beside) or "nothing"
            found.append(
                f"{_words(line)}: {line.punctuality.rate_hz:g} Hz, jitter of the start "
                f"{jitter:.2f} ms, beside it {beside}; {line.punctuality.aligned} of "
                f"{line.latency.count} frames were aligned"
            )
        if line.ended != COMPLETE:
            found.append(f"{_words(line)}: {line.ended}")
        if isinstance(line.stability, Stability) and not line.stability.stable:
            first, last = line.stability.first_ms, line.stability.last_ms
            found.append(
                f"{_words(line)}: UNSTABLE, first tenth {first:.2f} ms, last {last:.2f} ms"
            )
    harness = max((line.harness_us for line in lines), default=0.0)
    too_much = f", more than {MOST_HARNESS_US:g}" if harness > MOST_HARNESS_US else ""
    return [*found, f"harness: {harness:.1f} microseconds per query{too_much}"]


def _memory(lines: list[MeasurementLine]) -> list[str]:
    known = [each for each in lines if isinstance(each.memory, Memory)]
    if not known:
        return [f"memory: {_reason(each.memory for each in lines)}"]
    worst = max(known, key=lambda each: each.memory.end_bytes / each.memory.start_bytes)
    peak = max(each.memory.peak_bytes for each in known) / 2**20
    grown = worst.memory.end_bytes / worst.memory.start_bytes - 1
    return [f"memory: at most {peak:.0f} MB; most growth {grown:+.1%}, in {_words(worst)}"]


def _energy(lines: list[MeasurementLine]) -> list[str]:
    known = [each for each in lines if isinstance(each.energy, Energy)]
    if not known:
        return [f"energy: {_reason(each.energy for each in lines)}"]
    return [
        f"energy: {_words(each)}: {1e3 * each.energy.joule_per_frame:.1f} mJ a frame on "
        f"{each.energy.rail}, idle subtracted"
        for each in known
    ]


def _heat(lines: list[MeasurementLine]) -> list[str]:
    known = [each for each in lines if isinstance(each.heat, Heat)]
    if not known:
        return [f"heat: {_reason(each.heat for each in lines)}"]
    worst = max(known, key=lambda each: each.heat.max_deg_c)
    throttled = [each for each in known if each.heat.throttled]
    tail = f"; THROTTLED in {', '.join(map(_words, throttled))}" if throttled else ""
    return [f"heat: at most {worst.heat.max_deg_c:.0f} °C, {worst.heat.hottest_zone}{tail}"]


def _reason(values: Iterable[object]) -> str:
    reasons = dict.fromkeys(each.reason for each in values if isinstance(each, Unknown))
    return "; ".join(reasons) or "nothing was measured"


def _words(line: MeasurementLine) -> str:
    tail = f", N = {line.clicks}" if line.clicks else ""
    return f"{line.scenario.value} {line.state.value}{tail}"
