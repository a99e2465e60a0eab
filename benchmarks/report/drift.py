"""Latency over the course of a measurement: drift, spikes and throttling are seen at once."""

from __future__ import annotations

import numpy as np

from benchmarks.record import percentiles
from benchmarks.record.stability import LEAST_COUNT
from benchmarks.report.drawing import BLUE, SERIES, Box, Figure, Mark, Stroke, Words
from benchmarks.report.numbers import ms
from benchmarks.report.scales import across, fitted, upwards
from benchmarks.report.shown import Measured

WIDTH, LEFT, RIGHT, TOP, TALL = 560.0, 62.0, 16.0, 12.0, 170.0
BUCKETS = 90
MEDIAN_OF = percentiles.LEAST_COUNT[50.0]  # queries
READ = (
    "Medians of consecutive queries, ten or more of them, and within the band their fastest and "
    "slowest; dashed: the medians of the first and the last tenth, of a hundred queries or more."
)


def drift(name: str, title: str, shown: Measured) -> Figure:
    """Bands and medians over the number of the query.

    Args:
        name: of the figure's files.
        title: above it.
        shown: with at least one latency.
    """
    found, count = shown.ns / 1e6, len(shown.ns)
    parts = np.array_split(found, min(BUCKETS, max(count // MEDIAN_OF, 1)))
    ends = np.cumsum([len(part) for part in parts])
    bottom = TOP + TALL
    y = fitted([float(found.min()), float(found.max())], bottom, TOP, logarithmic=True)
    x = fitted([0.0, float(count)], LEFT, WIDTH - RIGHT)
    marks: list[Mark] = [
        *across(x, TOP, bottom, "query"),
        *upwards(y, LEFT, WIDTH - RIGHT, "milliseconds"),
    ]
    middles, start = [], 0
    for part, end in zip(parts, ends, strict=True):
        left, right = x.at(float(start)), x.at(float(end))
        high, low = y.at(float(part.max())), y.at(float(part.min()))
        marks.append(Box(left, high, right - left, low - high, BLUE, opacity=0.22))
        if len(part) >= MEDIAN_OF:
            middles.append(((left + right) / 2, y.at(float(np.median(part)))))
        start = int(end)
    if len(middles) > 1:
        marks.append(Stroke(tuple(middles), SERIES[0], 2))
    if count < LEAST_COUNT:
        return Figure(name, title, WIDTH, bottom + 42, tuple(marks), READ)
    tenth = count // 10
    for values, first, last in ((found[:tenth], 0, tenth), (found[-tenth:], count - tenth, count)):
        middle = float(np.median(values))
        ends_px = x.at(float(first)), x.at(float(last))
        at = y.at(middle)
        marks.append(Stroke(((ends_px[0], at), (ends_px[1], at)), SERIES[2], 2.5, (5, 3)))
        anchor = "start" if first == 0 else "end"
        side = ends_px[0] if first == 0 else ends_px[1]
        marks.append(Words(side, at - 8, f"{ms(middle)} ms", SERIES[2], anchor=anchor, bold=True))
    return Figure(name, title, WIDTH, bottom + 42, tuple(marks), READ)
