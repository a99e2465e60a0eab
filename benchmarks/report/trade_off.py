"""Accuracy against latency, over models, precisions, executors and peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.record.lines import (
    AccuracyLine,
    CacheState,
    FlownAccuracy,
    Scenario,
    Series,
    Unknown,
)
from benchmarks.record.percentiles import percentile_ms
from benchmarks.record.series import unpack
from benchmarks.report.doubts import MOST_MISSED
from benchmarks.report.drawing import (
    BAD,
    GOOD,
    INK,
    MUTED,
    SERIES,
    Box,
    Dot,
    Figure,
    Mark,
    Stroke,
    Words,
    legend,
    legend_height,
)
from benchmarks.report.numbers import missed_share, took
from benchmarks.report.scales import Scale, across, fitted, upwards
from benchmarks.report.shown import Measured, ShownRun

WIDE, NARROW = 1120.0, 460.0
LEFT, RIGHT, TALL = 62.0, 24.0, 300.0
READ = (
    "Median milliseconds for a frame with all its clicks, the window at hand, against acc@0.25 on "
    "the same pairs. Disc: a live flight with alignment and what its own fixes were worth, rings: "
    "the model alone; squares: peers. The line joins those that nothing beats in both. Crossed out "
    "and no part of it: flights that missed more than one frame in a thousand."
)
# Of a mark's number, in the order of preference.
SIDES = ((0, -17), (15, 0), (-15, 0), (0, 17), (14, -14), (-14, -14), (14, 14), (-14, 14))
ALIGNED, ALONE, PEER = "aligned", "alone", "peer"


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to an answer: what it takes, and what it is worth."""

    label: str
    kind: str  # ALIGNED, ALONE, PEER
    frame_ms: float
    acc25: float
    group: int = 0  # of its colour
    missed: str = ""  # share of the frames, where it is more than the project promises

    @property
    def words(self) -> str:
        """For the legend."""
        kind = "" if self.kind == PEER else f", {self.kind}"
        missed = f", MISSED {self.missed} of its frames" if self.missed else ""
        return f"{self.label}{kind}: {took(self.frame_ms, '')}, {self.acc25:.0%}{missed}"


def choices(runs: Sequence[ShownRun]) -> tuple[Choice, ...]:
    """All that have both an accuracy and enough queries for a median."""
    found: list[Choice] = []
    for group, shown in enumerate(runs):
        clicks = shown.run.line.settings.clicks
        for scenario, kind in ((Scenario.PERIODIC, ALIGNED), (Scenario.MULTI_STREAM, ALONE)):
            measured = shown.find(scenario, CacheState.WARM, clicks)
            if measured is not None:
                found += _of_run(shown, measured, kind, group)
        for peer in shown.run.peers:
            if isinstance(peer.latency, Series) and not isinstance(peer.acc25, Unknown):
                took_ms = percentile_ms(unpack(peer.latency), 50.0)
                label = f"{peer.name}, {peer.runtime}"
                seen = label in {each.label for each in found}  # measured beside several runs
                if took_ms is not None and not seen:
                    found.append(Choice(label, PEER, took_ms, peer.acc25, len(runs)))
    return tuple(found)


def _of_run(shown: ShownRun, measured: Measured, kind: str, group: int) -> list[Choice]:
    """A measurement, where it has a median and an accuracy.

    The median is of the frames that were answered: where others were not, it is crossed out.
    """
    worth, median_ms = shown.worth(measured.line), percentile_ms(measured.ns, 50.0)
    if median_ms is None or not isinstance(worth, AccuracyLine | FlownAccuracy):
        return []
    if isinstance(worth.acc25, Unknown):
        return []
    late = measured.line.punctuality
    missed = ""
    if late is not None and late.missed > MOST_MISSED * late.scheduled:
        missed = missed_share(late.missed, late.scheduled)
    return [Choice(shown.label, kind, median_ms, worth.acc25, group, missed)]


def frontier(among: Sequence[Choice]) -> tuple[Choice, ...]:
    """Those that no other one beats in both, from the fastest on.

    What missed its frames is none: its rate is not one that it can be flown at.
    """
    best: list[Choice] = []
    kept = [choice for choice in among if not choice.missed]
    for each in sorted(kept, key=lambda choice: (choice.frame_ms, -choice.acc25)):
        if not best or each.acc25 > best[-1].acc25:
            best.append(each)
    return tuple(best)


def trade_off(among: Sequence[Choice], width: float = WIDE) -> Figure:
    """The choices as a scatter, with the frontier.

    Args:
        among: at least one choice.
        width: of the figure; NARROW for small screens.
    """
    ordered = sorted(among, key=lambda choice: choice.frame_ms)
    entries = [(f"{n}  {each.words}", _colour(each)) for n, each in enumerate(ordered, 1)]
    top = legend_height(entries, width - LEFT - RIGHT) + 14
    bottom = top + TALL
    x = fitted([c.frame_ms for c in among], LEFT, width - RIGHT, logarithmic=True)
    most = max(100 * c.acc25 for c in among)
    y = Scale(0.0, min(max(1.08 * most, 10.0), 102.0), bottom, top)
    marks: list[Mark] = [
        *across(x, top, bottom, "milliseconds for a frame"),
        *upwards(y, LEFT, width - RIGHT, "acc@0.25, %"),
    ]
    best = frontier(among)
    if len(best) > 1:
        steps = [(x.at(best[0].frame_ms), y.at(100 * best[0].acc25))]
        for each in best[1:]:
            at = x.at(each.frame_ms), y.at(100 * each.acc25)
            steps += [(at[0], steps[-1][1]), at]
        marks.append(Stroke(tuple(steps), GOOD, 1.5, (6, 4), opacity=0.7))
    places = [(x.at(each.frame_ms), y.at(100 * each.acc25)) for each in ordered]
    for (px, py), each in zip(places, ordered, strict=True):
        colour, words = _colour(each), each.words
        if each.kind == PEER:
            marks.append(Box(px - 5.5, py - 5.5, 11, 11, colour, 2, hint=words))
        else:
            marks.append(Dot(px, py, 6.5, colour, hollow=each.kind == ALONE, hint=words))
        if each.missed:
            marks.append(Stroke(((px - 9, py - 9), (px + 9, py + 9)), BAD, 2))
            marks.append(Stroke(((px - 9, py + 9), (px + 9, py - 9)), BAD, 2))
    for n, place in enumerate(_beside(places), 1):
        marks.append(Words(place[0], place[1], str(n), INK, 13, "middle", bold=True))
    marks += legend(entries, LEFT, 0, width - LEFT - RIGHT)
    return Figure("trade-off", "Accuracy against latency", width, bottom + 42, tuple(marks), READ)


def _colour(each: Choice) -> str:
    return MUTED if each.kind == PEER else SERIES[each.group % (len(SERIES) - 1)]


def _beside(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where the numbers of marks stand: on the first side where neither mark nor number is."""
    taken: list[tuple[float, float]] = []
    for x, y in places:
        sides = [(x + dx, y + dy + 5) for dx, dy in SIDES]
        others = [(a, b + 5) for a, b in places if (a, b) != (x, y)]
        free = [
            side
            for side in sides
            if all(abs(side[0] - a) > 13 or abs(side[1] - b) > 13 for a, b in (*taken, *others))
        ]
        taken.append((free or sides)[0])
    return taken
