"""Two runs of one kind, measurement by measurement."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeGuard

from benchmarks.record.frame_ages import all_latencies_ns
from benchmarks.record.kinds import Difference, kind_differences, subject_differences
from benchmarks.record.lines import (
    COMPLETE,
    MOST_OTHERS,
    AccuracyLine,
    Energy,
    FlownAccuracy,
    Heat,
    MeasurementLine,
    ProcessorTime,
    RunLine,
    Scenario,
    Stability,
    Unknown,
)
from benchmarks.record.observed import CANNOT_TELL
from benchmarks.record.paired_bootstrap import Ratio, Ratios, percentile_ratios
from benchmarks.record.runs import Key, Run, key_of
from edge.errors import BenchmarkError

SCENARIOS = "scenarios"  # what `--allow` calls a scenario that only one run has
SAME_QUERIES = ("seed", "clicks", "hit_rate", "pairs_sha256")  # with others nothing can be paired
REPEATABLE = 0.05  # of a median, that two runs of the same may differ by
MEDIAN = 50.0
ERROR_RATE = 0.05  # of finding a difference in any of all medians where there is none
Worth = AccuracyLine | FlownAccuracy


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement of both runs."""

    key: Key
    ratios: Ratios
    verdict: str
    energy: tuple[Energy | Unknown, Energy | Unknown]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both runs side by side."""

    runs: tuple[RunLine, RunLine]
    subjects: tuple[Difference, ...]  # what is compared
    allowed: tuple[Difference, ...]  # other kinds, on purpose
    rows: tuple[Row, ...]
    accuracy: tuple[tuple[str, Worth | None, Worth | None], ...]  # by prior, or open loop


def compare_runs(first: Run, second: Run, allow: Collection[str] = ()) -> Comparison:
    """Compare two runs; measurements are matched by scenario, state and clicks.

    Args:
        first: what is compared with.
        second: what is compared.
        allow: kinds that may differ on purpose: names of `Difference.field`.

    Raises:
        BenchmarkError: they differ in kind; every difference is listed.
    """
    unlike = [*kind_differences(first.line, second.line), *_scenario_differences(first, second)]
    refused = [each for each in unlike if each.field not in allow]
    if refused:
        raise _refusal(refused)
    same_queries = not any(each.field in SAME_QUERIES for each in unlike)
    mine, others = first.by_key(), second.by_key()
    ratios = {
        key: percentile_ratios(
            all_latencies_ns(mine[key]),
            all_latencies_ns(others[key]),
            paired=same_queries and _one_by_one(mine[key]) and _one_by_one(others[key]),
        )
        for key in mine
        if key in others
    }
    medians = max(1, sum(_has_median(each) for each in ratios.values()))
    subjects = tuple(subject_differences(first.line, second.line))
    same = not subjects and not unlike
    return Comparison(
        runs=(first.line, second.line),
        subjects=subjects,
        allowed=tuple(unlike),
        rows=tuple(
            _row(mine[key], others[key], each, medians, same=same) for key, each in ratios.items()
        ),
        accuracy=_accuracy(first, second),
    )


def verdict(ratio: Ratio, medians: int) -> str:
    """What the median says, in words.

    A difference is shown where its own 95 % interval leaves 1 out, and it would still do so among
    all medians of the comparison (Bonferroni): of two runs of the same, one comparison in twenty
    shows any.

    Args:
        ratio: of the medians.
        medians: how many are looked at.
    """
    z = NormalDist().inv_cdf(1 - ERROR_RATE / (2 * medians))
    factor = NormalDist().inv_cdf(1 - ERROR_RATE / 2)
    widen = (z - factor) * ratio.log_error
    if math.log(ratio.low) - widen <= 0 <= math.log(ratio.high) + widen:
        return "no difference shown"
    way = "faster" if ratio.ratio < 1 else "slower"
    if abs(ratio.ratio - 1) <= REPEATABLE:
        percent = 100 * abs(ratio.ratio - 1)
        return f"B {way} by {percent:.1f} %: less than two runs of the same may differ by"
    return f"B {way}: {ratio.ratio:.2f} of A's time"


def _row(
    first: MeasurementLine, second: MeasurementLine, ratios: Ratios, medians: int, *, same: bool
) -> Row:
    both = ("A", first), ("B", second)
    doubts = [said for each in both for said in (*_early(*each), *_drift(*each))]
    throttled = [said for each in both for said in _throttling(*each)]
    if len(throttled) == 1:  # of both it is how this machine runs
        doubts += throttled
    disturbed = [said for each in both for said in _others(*each)]
    if disturbed and not _alike(first, second):
        doubts += disturbed
    if doubts:
        said = f"not judged: {'; '.join(doubts)}"
    elif not _has_median(ratios):
        said = f"too few queries: {min(ratios.counts)}"
        if ratios.never:
            said = "not judged: one of both never answered half of its frames"
    elif same and abs(ratios.of[0].ratio - 1) > REPEATABLE:
        percent = 100 * abs(ratios.of[0].ratio - 1)
        said = f"unstable: the same programme twice, {percent:.1f} % apart"
    else:
        said = verdict(ratios.of[0], medians)
    notes = [*_notes("A", first), *_notes("B", second), *throttled, *disturbed]
    if not ratios.paired:
        notes.append("not the same queries one by one: each run was resampled by itself")
    key = first.scenario, first.state, first.clicks
    return Row(key, ratios, said, (first.energy, second.energy), tuple(notes))


def _has_median(ratios: Ratios) -> bool:
    return bool(ratios.of) and ratios.of[0].percent == MEDIAN


def _early(name: str, line: MeasurementLine) -> list[str]:
    return [] if line.ended == COMPLETE else [f"{name} ended early: {line.ended}"]


def _drift(name: str, line: MeasurementLine) -> list[str]:
    stability = line.stability
    if not isinstance(stability, Stability) or stability.stable:
        return []
    times = f"{stability.first_ms:.3f} -> {stability.last_ms:.3f} ms"
    of = f"{stability.of}: " if stability.of else ""
    if stability.mark == CANNOT_TELL:
        return [f"cannot tell if {name} is stable ({of}{times}, which may be chance)"]
    return [f"{name} unstable ({of}{times})"]


def _throttling(name: str, line: MeasurementLine) -> list[str]:
    heat = line.heat
    if not isinstance(heat, Heat) or not heat.throttled:
        return []
    return [f"{name} throttled ({heat.hottest_zone} up to {heat.max_deg_c:.0f} degrees C)"]


def _others(name: str, line: MeasurementLine) -> list[str]:
    if not _disturbed(line.processor):
        return []
    return [f"{name} disturbed (others had {line.processor.others_share:.0%} of the cores)"]


def _disturbed(spent: ProcessorTime | Unknown | None) -> TypeGuard[ProcessorTime]:
    return isinstance(spent, ProcessorTime) and spent.others_share > MOST_OTHERS


def _alike(first: MeasurementLine, second: MeasurementLine) -> bool:
    """Whether others disturbed both, and left the same of as many cores to both.

    Within MOST_OTHERS of what they left, as two quiet runs may differ: 5 points at a share of 6 %,
    1 point at 80 %, where each point costs a twentieth of the rest.
    """
    mine, others = first.processor, second.processor
    if not (_disturbed(mine) and _disturbed(others)) or mine.cores != others.cores:
        return False
    least, most = sorted((1 - mine.others_share, 1 - others.others_share))
    return least >= (1 - MOST_OTHERS) * most


def _notes(name: str, line: MeasurementLine) -> list[str]:
    notes = []
    if isinstance(line.stability, Unknown):
        notes.append(f"{name}: stability unknown, {line.stability.reason}")
    if isinstance(line.processor, Unknown):
        notes.append(f"{name}: others' share of the cores unknown, {line.processor.reason}")
    return notes


def _one_by_one(line: MeasurementLine) -> bool:
    """Whether query i is the i-th of the stream: of a camera, whether it is known which it was."""
    punctuality = line.punctuality
    if line.scenario is not Scenario.PERIODIC or punctuality is None:
        return line.scenario is not Scenario.PERIODIC
    return punctuality.frames is not None or punctuality.scheduled == line.latency.count


def _scenario_differences(first: Run, second: Run) -> list[Difference]:
    mine, others = first.by_key(), second.by_key()
    unlike = [key for key in (*mine, *others) if (key in mine) != (key in others)]
    return [
        Difference(
            SCENARIOS,
            _name(key) if key in mine else f"no {_name(key)}",
            _name(key) if key in others else f"no {_name(key)}",
        )
        for key in unlike
    ]


def _name(key: Key) -> str:
    scenario, state, clicks = key
    return f"{scenario.value} {state.value} with {clicks} clicks"


def _accuracy(first: Run, second: Run) -> tuple[tuple[str, Worth | None, Worth | None], ...]:
    mine, others = _worths(first), _worths(second)
    names = dict.fromkeys((*mine, *others))
    return tuple((name, mine.get(name), others.get(name)) for name in names)


def _worths(run: Run) -> dict[str, Worth]:
    """Accuracies by prior, and those of an open loop's own fixes by its name."""
    found: dict[str, Worth] = {line.prior: line for line in run.accuracy}
    for line in run.measurements:
        if isinstance(line.accuracy, FlownAccuracy):
            found[_name(key_of(line))] = line.accuracy
    return found


def _refusal(refused: list[Difference]) -> BenchmarkError:
    fields = list(dict.fromkeys(each.field for each in refused))
    allow = " ".join(f"--allow {field}" for field in fields)
    do = f"measure both alike; or, where the difference is what you ask about, add {allow}"
    if SCENARIOS in fields:
        do += "; a run that was cut short goes on when its command is given again"
    return BenchmarkError(
        "the two runs differ in kind: their ratio would mean nothing",
        expected="the same machine, executor, settings and scenarios",
        found="".join(
            f"\n    {each.field}\n      A: {each.first}\n      B: {each.second}" for each in refused
        ),
        do=do,
    )
