"""What makes a run's numbers less than they seem; it stands above them, loudly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.record.lines import (
    MOST_HARNESS_US,
    MOST_OTHERS,
    FlownAccuracy,
    Heat,
    Memory,
    ProcessorTime,
    Scenario,
    Stability,
    Unknown,
)
from benchmarks.record.observed import CANNOT_TELL
from benchmarks.report.cross_checks import cross_check_words
from benchmarks.report.numbers import missed_share, ms
from benchmarks.report.roofline_figure import graph_words
from benchmarks.report.shown import Measured, ShownRun

MOST_MISSED = 0.001  # of all frames: what the project promises
MOST_GROWTH = 0.02  # of resident memory over a measurement
ROUNDING = 1e-9
MOST_FRACTION = 1.05  # of a bound that nothing can be above
GRAVE_OTHERS = 0.2  # of the cores: with a fifth less of them it is another machine
MOST_LOAD_SHARE = 0.3  # of the cores, busy with something else at the start


@dataclass(frozen=True, slots=True)
class Doubt:
    """One sentence; a grave one means that a number must not be relied on."""

    words: str
    grave: bool


def doubts_of(shown: ShownRun) -> tuple[Doubt, ...]:
    """All doubts of a run, grave ones first."""
    found = [doubt for each in shown.measured for doubt in _of_measurement(each)]
    found += [*_of_all(shown), *_of_run(shown)]
    return tuple(sorted(found, key=lambda doubt: not doubt.grave))


def marks_of(each: Measured) -> str:
    """What speaks against a measurement in a word or two, for its row in a table."""
    marks = []
    if not each.complete:
        marks.append(each.line.ended.partition(":")[0].upper())
    if each.unstable:
        marks.append(each.drift_mark.upper())
    if isinstance(each.line.heat, Heat) and each.line.heat.throttled:
        marks.append("THROTTLED")
    if _disturbed(each) is not None:
        marks.append("DISTURBED")
    if isinstance(each.line.stability, Unknown) and len(each.ns):
        marks.append("stability unknown")
    return ", ".join(marks)


def _disturbed(each: Measured) -> float | None:
    """The share of the cores that others took, where it is more than they may."""
    spent = each.line.processor
    if not isinstance(spent, ProcessorTime) or spent.others_share <= MOST_OTHERS:
        return None
    return spent.others_share


def gravely_disturbed(each: Measured) -> bool:
    """Whether others took so much of the cores that its latencies are not this machine's."""
    return (_disturbed(each) or 0.0) > GRAVE_OTHERS


def _of_measurement(each: Measured) -> list[Doubt]:
    line, found = each.line, []
    if not each.complete:
        found.append(Doubt(f"{each.words}: {line.ended}, after {len(each.ns):,} queries", True))
    if each.unstable and isinstance(line.stability, Stability):
        found.append(Doubt(f"{each.words}: {_drift_words(line.stability)}", True))
    if isinstance(line.heat, Heat) and line.heat.throttled:
        found.append(
            Doubt(
                f"{each.words}: throttled, at up to {line.heat.max_deg_c:.0f} °C in "
                f"{line.heat.hottest_zone}",
                True,
            )
        )
    if line.scenario is Scenario.PERIODIC and not isinstance(line.accuracy, FlownAccuracy):
        why = f": {line.accuracy.reason}" if isinstance(line.accuracy, Unknown) else ""
        found.append(Doubt(f"{each.words}: its own fixes were not scored{why}", True))
    late = line.punctuality
    if late is not None and late.scheduled and late.missed / late.scheduled > MOST_MISSED:
        share = missed_share(late.missed, late.scheduled)
        found.append(
            Doubt(
                f"{each.words}: {late.missed:,} of {late.scheduled:,} frames missed ({share}) at "
                f"{late.rate_hz:g} Hz",
                False,
            )
        )
    return found


def _drift_words(seen: Stability) -> str:
    """Of what drifted, or may have."""
    first, last = seen.first_ms, seen.last_ms
    words = (
        f"{seen.mark}; the first tenth of the {seen.of or 'queries'} took {ms(first)} ms, the last "
        f"{ms(last)} ms (medians): {last / first - 1:+.0%}"
    )
    return f"{words}, which may be chance" if seen.mark == CANNOT_TELL else words


def _of_all(shown: ShownRun) -> list[Doubt]:
    """What often holds of many measurements: one sentence of each kind, however many they are."""
    taken, grown, dear = [], [], []
    for each in shown.measured:
        memory, others = each.line.memory, _disturbed(each)
        if others is not None:
            taken.append((each, others))
        if isinstance(memory, Memory) and memory.growth > MOST_GROWTH + ROUNDING:
            grown.append((each, memory.growth))
        if each.line.harness_us > MOST_HARNESS_US:
            dear.append((each, each.line.harness_us))
    found = []
    if taken:
        whose, share = _spread(shown, taken, "{:.0%}".format)
        words = f"{whose}: other programs and guests took {share} of the cores"
        found.append(Doubt(words, any(gravely_disturbed(each) for each, _ in taken)))
    if grown:
        whose, share = _spread(shown, grown, "{:.1%}".format)
        found.append(Doubt(f"{whose}: memory grew by {share}", False))
    if dear:
        whose, cost = _spread(shown, dear, "{:.0f}".format)
        found.append(Doubt(f"{whose}: the harness itself cost {cost} µs a query", False))
    return found


def _spread(
    shown: ShownRun, found: list[tuple[Measured, float]], say: Callable[[float], str]
) -> tuple[str, str]:
    """Whose values they are, and from which to which they reach; of one, its name and its value."""
    values = [value for _, value in found]
    ends = dict.fromkeys((say(min(values)), say(max(values))))
    whose = f"{len(found)} of {len(shown.measured)} measurements"
    return found[0][0].words if len(found) == 1 else whose, " to ".join(ends)


def _of_run(shown: ShownRun) -> list[Doubt]:
    line, found = shown.run.line, []
    if line.settings.quick:
        found.append(Doubt("a quick run: few queries, hence few percentiles", False))
    if not shown.run.accuracy:
        found.append(Doubt("no accuracy of this bundle on these pairs is in the record", True))
    failed = (check for check in shown.run.cross_checks if not check.passed)
    found += [Doubt(cross_check_words(check), True) for check in failed]
    for roof in shown.run.rooflines:
        if isinstance(roof.fraction, float) and roof.fraction > MOST_FRACTION:
            words = f"{roof.fraction:.0%} of its bound: the machine was slowed down when its limits"
            found.append(Doubt(f"{graph_words(roof)} reached {words} were measured", False))
    found += _busy(shown)
    if isinstance(line.commit, str) and "+" in line.commit:
        found.append(Doubt("the code had changes that are in no commit", False))
    if len(shown.run.calls) > 1:
        times = ", ".join(call.started_utc[:16].replace("T", " ") for call in shown.run.calls)
        found.append(Doubt(f"measured in {len(shown.run.calls)} calls: {times} UTC", False))
    return found


def _busy(shown: ShownRun) -> list[Doubt]:
    """By the busiest of all calls: whatever it measured stands among the rest."""
    around = [call.environment for call in shown.run.calls]
    loads = [(x.load_average, x.cores) for x in around if not isinstance(x.load_average, Unknown)]
    load, cores = max(loads, default=(0.0, 1))
    if load <= MOST_LOAD_SHARE * cores:
        return []
    return [Doubt(f"the machine was busy: load {load:.1f} on {cores} cores", False)]
