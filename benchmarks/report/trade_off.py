"""Accuracy against latency, over models, precisions, executors and peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.record.lines import CacheState, Scenario, Series, Unknown
from benchmarks.record.series import unpack
from benchmarks.report.drawing import (
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
    text_width,
)
from benchmarks.report.numbers import ms
from benchmarks.report.scales import Scale, across, fitted, upwards
from benchmarks.report.shown import ShownRun

WIDTH, LEFT, RIGHT, TOP, TALL = 1120.0, 62.0, 24.0, 14.0, 300.0
READ = (
    "Median milliseconds for a frame with all its clicks, the window at hand, against acc@0.25 on "
    "the same pairs. Disc: the whole frame is aligned, rings: the model alone; squares: peers. The "
    "line joins those that nothing beats in both."
)
ALIGNED, ALONE, PEER = "aligned", "alone", "peer"


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to an answer: what it takes, and what it is worth."""

    label: str
    kind: str  # ALIGNED, ALONE, PEER
    frame_ms: float
    acc25: float
    group: int = 0  # of its colour


def choices(runs: Sequence[ShownRun]) -> tuple[Choice, ...]:
    """All that have both a latency and an accuracy."""
    found: list[Choice] = []
    for group, shown in enumerate(runs):
        clicks = shown.run.line.settings.clicks
        for scenario, kind, prior in (
            (Scenario.PERIODIC, ALIGNED, "alignment"),
            (Scenario.MULTI_STREAM, ALONE, "none"),
        ):
            measured = shown.find(scenario, CacheState.WARM, clicks)
            worth = next((each for each in shown.run.accuracy if each.prior == prior), None)
            if measured is not None and worth is not None:
                took_ms = float(np.median(measured.ns)) / 1e6
                found.append(Choice(shown.label, kind, took_ms, worth.acc25, group))
        for peer in shown.run.peers:
            if isinstance(peer.latency, Series) and peer.latency.count:
                if isinstance(peer.acc25, Unknown):
                    continue
                took_ms = float(np.median(unpack(peer.latency))) / 1e6
                label = f"{peer.name}, {peer.runtime}"
                found.append(Choice(label, PEER, took_ms, peer.acc25, len(runs)))
    return tuple(found)


def frontier(among: Sequence[Choice]) -> tuple[Choice, ...]:
    """Those that no other one beats in both, from the fastest on."""
    best: list[Choice] = []
    for each in sorted(among, key=lambda choice: (choice.frame_ms, -choice.acc25)):
        if not best or each.acc25 > best[-1].acc25:
            best.append(each)
    return tuple(best)


def trade_off(among: Sequence[Choice]) -> Figure:
    """The choices as a scatter, with the frontier; at least one choice."""
    bottom = TOP + TALL
    x = fitted([c.frame_ms for c in among], LEFT, WIDTH - RIGHT, logarithmic=True)
    y = fitted([100 * c.acc25 for c in among] + [0.0], bottom, TOP)
    y = Scale(0.0, min(max(y.high, 10.0), 102.0), bottom, TOP)
    marks: list[Mark] = [
        *across(x, TOP, bottom, "milliseconds for a frame"),
        *upwards(y, LEFT, WIDTH - RIGHT, "acc@0.25, %"),
    ]
    best = frontier(among)
    if len(best) > 1:
        steps = [(x.at(best[0].frame_ms), y.at(100 * best[0].acc25))]
        for each in best[1:]:
            at = x.at(each.frame_ms), y.at(100 * each.acc25)
            steps += [(at[0], steps[-1][1]), at]
        marks.append(Stroke(tuple(steps), GOOD, 1.5, (6, 4), opacity=0.7))
    taken: list[tuple[float, float, float]] = []
    for each in sorted(among, key=lambda choice: -choice.acc25):
        marks += _choice(each, x, y, taken)
    return Figure("trade-off", "Accuracy against latency", WIDTH, bottom + 42, tuple(marks), READ)


def _choice(
    each: Choice, x: Scale, y: Scale, taken: list[tuple[float, float, float]]
) -> list[Mark]:
    at = x.at(each.frame_ms), y.at(100 * each.acc25)
    colour = MUTED if each.kind == PEER else SERIES[each.group % (len(SERIES) - 1)]
    words = f"{each.label}: {ms(each.frame_ms)} ms, {each.acc25:.0%}"
    mark: Mark
    if each.kind == PEER:
        mark = Box(at[0] - 5, at[1] - 5, 10, 10, colour, 2, hint=words)
    else:
        mark = Dot(at[0], at[1], 6, colour, hollow=each.kind == ALONE, hint=words)
    label = each.label if each.kind == PEER else f"{each.label}, {each.kind}"
    wide = text_width(label, 13)
    to_the_left = at[0] + 12 + wide > x.end_px
    start = at[0] - 12 - wide if to_the_left else at[0] + 12
    line = at[1] + 4
    while any(abs(line - b) < 16 and start < e and a < start + wide for a, b, e in taken):
        line += 16
    taken.append((start, line, start + wide))
    place = (at[0] - 12, "end") if to_the_left else (at[0] + 12, "start")
    ink = MUTED if each.kind == PEER else INK
    return [mark, Words(place[0], line, label, ink, 13, place[1])]
