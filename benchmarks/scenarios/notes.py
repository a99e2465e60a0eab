"""What a reader must know of a run's numbers, in a line each."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.record.lines import (
    COMPLETE,
    MOST_HARNESS_US,
    MOST_OTHERS,
    Energy,
    Heat,
    MeasurementLine,
    Memory,
    ProcessorTime,
    Scenario,
    Stability,
    Unknown,
)
from benchmarks.record.observed import CANNOT_TELL
from benchmarks.record.series import unpack
from benchmarks.scenarios.open_loop import jitter_ms


def notes(lines: Iterable[MeasurementLine]) -> list[str]:
    """What a reader must know of the numbers: memory, energy, heat, jitter, what was cut short.

    Nothing where there are no lines.
    """
    lines = list(lines)
    if not lines:
        return []
    found = [*_memory(lines), *_energy(lines), *_heat(lines), *_others(lines)]
    for line in lines:
        found += _punctuality(line)
        if line.scenario is Scenario.OFFLINE and line.latency.count and line.duration_s > 0:
            rate = line.latency.count / line.duration_s
            found.append(f"{_words(line)}: {rate:.2f} windows a second")
        if line.ended != COMPLETE:
            found.append(f"{_words(line)}: {line.ended}")
        if isinstance(line.stability, Stability) and not line.stability.stable:
            found.append(f"{_words(line)}: {_drift(line.stability)}")
    harness = max(line.harness_us for line in lines)
    too_much = f", more than {MOST_HARNESS_US:g}" if harness > MOST_HARNESS_US else ""
    return [*found, f"harness: {harness:.1f} microseconds per query{too_much}"]


def _drift(seen: Stability) -> str:
    of = f" of the {seen.of}" if seen.of else ""
    words = f"first tenth{of} {seen.first_ms:.2f} ms, last {seen.last_ms:.2f} ms"
    chance = ", which may be chance" if seen.mark == CANNOT_TELL else ""
    return f"{seen.mark.upper()}, {words}{chance}"


def _punctuality(line: MeasurementLine) -> list[str]:
    late = line.punctuality
    if late is None or not late.start_delay.count:
        return []
    jitter = jitter_ms(unpack(late.start_delay))
    spread = "unknown: too few frames" if jitter is None else f"{jitter:.2f} ms"
    beside = " and ".join(late.beside) or "nothing"
    return [
        f"{_words(line)}: {late.rate_hz:g} Hz, jitter of the start {spread}, beside it {beside}; "
        f"{late.aligned} of {late.age.count} answered frames were aligned in time, "
        f"{late.unanswered} of {late.scheduled} were never answered"
    ]


def _others(lines: list[MeasurementLine]) -> list[str]:
    known = [each for each in lines if isinstance(each.processor, ProcessorTime)]
    if not known:
        return [f"processor: {_reason(each.processor for each in lines)}"]
    worst = max(known, key=lambda each: each.processor.others_share)
    share = worst.processor.others_share
    much = f", more than {MOST_OTHERS:.0%}: not a quiet machine" if share > MOST_OTHERS else ""
    return [f"processor: others took at most {share:.1%} of it, in {_words(worst)}{much}"]


def _memory(lines: list[MeasurementLine]) -> list[str]:
    known = [each for each in lines if isinstance(each.memory, Memory)]
    if not known:
        return [f"memory: {_reason(each.memory for each in lines)}"]
    worst = max(known, key=lambda each: each.memory.growth)
    peak = max(each.memory.peak_bytes for each in known) / 2**20
    grown = worst.memory.growth
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
    return "; ".join(reasons) or "not kept"  # by an older record


def _words(line: MeasurementLine) -> str:
    tail = f", N = {line.clicks}" if line.clicks else ""
    return f"{line.scenario.value} {line.state.value}{tail}"
