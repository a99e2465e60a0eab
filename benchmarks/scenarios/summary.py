"""What a run came to, for people: a table of latencies beside what the answers are worth."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.record.frame_ages import (
    NEVER_NS,
    all_latencies_ns,
    percentile_or_never_ms,
)
from benchmarks.record.lines import (
    COMPLETE,
    MOST_OTHERS,
    AccuracyLine,
    FlownAccuracy,
    MeasurementLine,
    ProcessorTime,
    Scenario,
    Series,
    Unknown,
)
from benchmarks.record.percentiles import LEAST_COUNT, percentile_ms
from benchmarks.record.runs import Run
from benchmarks.record.series import unpack
from benchmarks.scenarios.notes import notes

LEAST_WIDTH = 132
TOO_FEW, NEVER = "-", "never"
LEAST = ", ".join(f"p{percent:g} takes {count:,}" for percent, count in LEAST_COUNT.items())
SHORT = {"preprocess": "before", "postprocess": "after"}


def print_run(run: Run, console: Console | None = None) -> None:
    """Tables and notes on standard output."""
    console = console or Console()
    console.width = max(console.width, LEAST_WIDTH)  # a number cut short is none
    words = [*accuracy_words(run), *notes(run.measurements)]
    if run.measurements:
        console.print(latency_table(run))
    else:  # an empty table would have a caption alone
        words.insert(0, f"{_title(run)}: nothing was measured yet")
    stages = stage_table(run.measurements)
    if stages is not None:
        console.print(stages)
    for line in words:
        console.print(escape(line), highlight=False, soft_wrap=True)


def latency_table(run: Run) -> Table:
    """One row for each measurement, with the accuracy of the same bundle on the same pairs."""
    table = Table(
        title=_title(run),
        caption=f"milliseconds. {TOO_FEW}: too few queries, for {LEAST}. {NEVER}: it falls among "
        "frames without an answer. acc: at IoU 0.25 / 0.5. taken: share accepted / wrong among "
        "these; of periodic those of its own fixes",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("scenario, state, clicks", no_wrap=True)
    numbers = ("n", "p50", "p90", "p99", "p99.9", "max", "per s", "missed", "acc", "taken")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for each in run.measurements:
        table.add_row(*_row(each, run.accuracy))
    return table


def _title(run: Run) -> str:
    bundle, settings = run.line.bundle, run.line.settings
    return (
        f"{bundle.name} in {bundle.executor}, {bundle.precision}, {bundle.threads} threads, "
        f"frame {bundle.frame_px[0]} x {bundle.frame_px[1]} px, on {settings.pairs}"
    )


def _row(line: MeasurementLine, accuracy: Iterable[AccuracyLine]) -> list[str]:
    late, count = line.punctuality, line.latency.count
    missed = "" if late is None else f"{late.missed}/{late.scheduled}"
    rate = _ms(count / line.duration_s) if count and line.duration_s > 0 else TOO_FEW
    clicks = f" {line.clicks}" if line.clicks else ""
    head = [f"{line.scenario.value} {line.state.value}{clicks}", str(count)]
    scores = _scores(worth_of(line, accuracy))
    return [*head, *_percentiles(line), rate, missed, *scores, ", ".join(_marks(line))]


def _percentiles(line: MeasurementLine) -> list[str]:
    """p50 to p99.9 and the maximum; of an open loop over all frames that were scheduled."""
    ns = all_latencies_ns(line)
    found = [percentile_or_never_ms(ns, percent) for percent in LEAST_COUNT]
    shown = [TOO_FEW if value is None else _ms(value) for value in found]
    if not len(ns):
        return [*shown, TOO_FEW]
    return [*shown, NEVER if ns.max() == NEVER_NS else _ms(float(ns.max()) / 1e6)]


def _scores(worth: AccuracyLine | FlownAccuracy | None) -> list[str]:
    if worth is None:
        return ["unscored", ""]
    return [
        f"{_share(worth.acc25)}/{_share(worth.acc50)}",
        f"{_share(worth.coverage)}/{_share(worth.wrong_rate)}",
    ]


def _marks(line: MeasurementLine) -> list[str]:
    """What makes less of a row than it seems."""
    marks = [] if line.ended == COMPLETE else [line.ended.split(":")[0]]
    if isinstance(line.stability, Unknown):
        marks.append("stability unknown")
    elif not line.stability.stable:
        marks.append(line.stability.mark)
    if isinstance(line.processor, ProcessorTime) and line.processor.others_share > MOST_OTHERS:
        marks.append(f"others {line.processor.others_share:.0%}")
    return marks


def _share(value: float | Unknown) -> str:
    return TOO_FEW if isinstance(value, Unknown) else f"{value:.2f}"


def _ms(value: float) -> str:
    """With as many decimals as it takes to tell two runs apart."""
    if math.isinf(value):
        return NEVER
    return f"{value:.0f}" if value >= 1000 else f"{value:.{1 if value >= 100 else 2}f}"


def worth_of(
    line: MeasurementLine, accuracy: Iterable[AccuracyLine]
) -> AccuracyLine | FlownAccuracy | None:
    """What the answers of a measurement are worth; None: that was not scored.

    An open loop aligns in little time: its own fixes count. The others have no prior.
    """
    if line.scenario is Scenario.PERIODIC:
        return line.accuracy if isinstance(line.accuracy, FlownAccuracy) else None
    return next((each for each in accuracy if each.prior == "none"), None)


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
        caption=f"{TOO_FEW}: it did not run, or in fewer than {LEAST_COUNT[50.0]} queries",
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
    value = percentile_ms(unpack(times), 50.0)
    return TOO_FEW if value is None else _ms(value)


def accuracy_words(run: Run) -> list[str]:
    """The scores with what they are of."""
    found = []
    for each in run.accuracy:
        unhurried = "with alignment, each frame in its turn"
        prior = unhurried if each.prior == "alignment" else "without a prior"
        found.append(f"{prior}: {_words_of(each)}")
    for line in run.measurements:
        if isinstance(line.accuracy, FlownAccuracy):
            flown = line.accuracy
            found.append(
                f"{line.scenario.value} {line.state.value}, its own fixes: {_words_of(flown)}; "
                f"{flown.answered} of {flown.frames} frames answered, {flown.aligned} of these "
                "aligned in time"
            )
        elif isinstance(line.accuracy, Unknown):
            reason = line.accuracy.reason
            found.append(f"{line.scenario.value} {line.state.value}, its own fixes: {reason}")
    return found


def _words_of(each: AccuracyLine | FlownAccuracy) -> str:
    values = {
        "acc@0.25 {}": each.acc25,
        "acc@0.5 {}": each.acc50,
        "{} accepted": each.coverage,
        "{} of these wrong": each.wrong_rate,
    }
    told = [
        value.reason if isinstance(value, Unknown) else words.format(f"{value:.3f}")
        for words, value in values.items()
    ]
    return f"{', '.join(told)}, of {each.clicks} clicks"
