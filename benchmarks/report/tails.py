"""Distributions of latencies, with the tail stretched: each nine takes as much room as the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.frame_ages import NEVER_NS, percentile_or_never_ms
from benchmarks.record.percentiles import supported
from benchmarks.report.drawing import (
    BAD,
    LINE,
    MUTED,
    SERIES,
    Dot,
    Figure,
    Mark,
    Stroke,
    Words,
    legend,
    legend_height,
)
from benchmarks.report.numbers import ms
from benchmarks.report.scales import Scale, across, fitted

WIDTH, LEFT, RIGHT, TALL = 560.0, 62.0, 16.0, 250.0
DRAWN = 240  # points of a curve at most
READ = (
    "Upwards: the share of queries that took no longer, each nine as far as the last. Dots are "
    "percentiles that so many queries support; above the last one a curve is faint. Ring: the "
    "slowest query. A curve that ends below has frames that were never answered above its end."
)


@dataclass(frozen=True, slots=True)
class Curve:
    """The latencies of one measurement."""

    label: str
    ns: NDArray[np.int64]
    colour: str = ""  # "": the next one of SERIES
    never: int = 0  # more of them, that were never answered

    @property
    def count(self) -> int:
        """All of them."""
        return len(self.ns) + self.never


def tails(
    name: str, title: str, curves: Sequence[Curve], deadline_ms: float | None = None
) -> Figure:
    """Distributions beside each other, over logarithmic milliseconds.

    Args:
        name: of the figure's files.
        title: above it.
        curves: with at least one latency each.
        deadline_ms: a period of the camera, drawn where it lies within; None: there is none.
    """
    entries = [
        (each.label, each.colour or SERIES[n % len(SERIES)]) for n, each in enumerate(curves)
    ]
    top = legend_height(entries, WIDTH - LEFT - RIGHT) + 8
    bottom = top + TALL
    values = [float(edge) / 1e6 for each in curves for edge in (each.ns.min(), each.ns.max())]
    x = fitted(values, LEFT, WIDTH - RIGHT, logarithmic=True)
    nines = max(math.log10(max(each.count, 10)) for each in curves) + 0.15
    y = Scale(0.0, nines, bottom, top)
    marks = [*across(x, top, bottom, "milliseconds"), *_levels(curves, y, x)]
    if deadline_ms is not None and x.low < deadline_ms < x.high:
        at = x.at(deadline_ms)
        marks.append(Stroke(((at, top), (at, bottom)), BAD, 1.5, (5, 4)))
        marks.append(Words(at - 5, bottom - 8, "period", BAD, anchor="end"))
    for (_, colour), each in zip(entries, curves, strict=True):
        marks += _curve(each, colour, x, y)
    marks += legend(entries, LEFT, 0, WIDTH - LEFT - RIGHT)
    return Figure(name, title, WIDTH, bottom + 42, tuple(marks), READ)


def _levels(curves: Sequence[Curve], y: Scale, x: Scale) -> list[Mark]:
    """Lines of the percentiles that a curve supports."""
    most = max(each.count for each in curves)
    marks: list[Mark] = [Stroke(((x.start_px, y.start_px), (x.end_px, y.start_px)), LINE)]
    for percent in supported(most):
        at = y.at(_nines(percent / 100))
        marks.append(Stroke(((x.start_px, at), (x.end_px, at)), LINE))
        marks.append(Words(x.start_px - 7, at + 4, f"p{percent:g}", MUTED, anchor="end"))
    return marks


def _curve(each: Curve, colour: str, x: Scale, y: Scale) -> list[Mark]:
    found = np.sort(each.ns) / 1e6
    count, answered = each.count, len(found)
    last = max((percent / 100 for percent in supported(count)), default=0.0)
    marks: list[Mark] = []
    # evenly along the axis of nines, so that the tail is not thinned out
    steps = np.linspace(0, math.log10(max(count, 2)), DRAWN)
    places = np.unique(np.minimum((count * (1 - 10**-steps)).astype(int), answered - 1))
    drawn = [(x.at(float(found[i])), y.at(_nines((i + 0.5) / count))) for i in places]
    within = [point for point, i in zip(drawn, places, strict=True) if (i + 0.5) / count <= last]
    beyond = drawn[max(len(within) - 1, 0) :]
    if len(within) > 1:
        marks.append(Stroke(tuple(within), colour, 2.5))
    if len(beyond) > 1:
        marks.append(Stroke(tuple(beyond), colour, 1.5, opacity=0.4))
    for percent in supported(count):
        ns = np.append(each.ns, np.full(each.never, NEVER_NS))
        value = percentile_or_never_ms(ns, percent)
        if value is not None and math.isfinite(value):
            hint = f"{each.label}: p{percent:g} {ms(value)} ms"
            marks.append(Dot(x.at(value), y.at(_nines(percent / 100)), 3.5, colour, hint=hint))
    hint = f"{each.label}: slowest of {answered:,} {ms(float(found[-1]))} ms"
    if each.never:
        hint += f"; {each.never:,} more were never answered"
    at = x.at(float(found[-1])), y.at(_nines((answered - 0.5) / count))
    marks.append(Dot(at[0], at[1], 4, colour, hollow=True, hint=hint))
    return marks


def _nines(part: float) -> float:
    """0 for none, 1 for 90 %, 2 for 99 %, 3 for 99.9 %."""
    return -math.log10(max(1 - part, 1e-9))
