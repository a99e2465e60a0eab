"""Where the time of a query goes: stages one after the other, as they follow in a frame."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.record.lines import Series
from benchmarks.record.percentiles import percentile_ms
from benchmarks.record.series import unpack
from benchmarks.report.drawing import (
    INK,
    LINE,
    MUTED,
    SERIES,
    Box,
    Figure,
    Mark,
    Stroke,
    Words,
    text_width,
)
from benchmarks.report.numbers import ms
from benchmarks.report.scales import Scale, across
from benchmarks.report.shown import Measured

WIDTH, LEFT, RIGHT, TOP, ROW = 560.0, 100.0, 16.0, 8.0, 26.0
READ = (
    "Means over all queries that were answered, so that they add up to the mean of the whole; a "
    "stage that only some queries have counts as nothing in the others."
)
COLOURS = dict(
    zip(
        ("engine", "encode", "preprocess", "window", "align", "copy", "postprocess"),
        SERIES,
        strict=False,
    )
) | {"capture": SERIES[4]}
REST, TOTAL = "all else", "total"


@dataclass(frozen=True, slots=True)
class Part:
    """A stage: its share of the mean, and its median where it ran."""

    name: str
    mean_ms: float  # over all queries
    median_ms: float | None  # over those that had it; None: too few for one
    queries: float  # share of those


def parts_of(shown: Measured) -> tuple[Part, ...]:
    """The stages that ran, and what no stage accounts for.

    In an open loop that is waiting for the frame's turn; a rest within 0.5 % is left out.
    """
    count, found = len(shown.ns), []
    for stage in shown.line.stages:
        if isinstance(stage.times, Series) and stage.times.count:
            ns = unpack(stage.times)
            mean_ms = float(ns.sum()) / 1e6 / count
            found.append(Part(stage.name, mean_ms, percentile_ms(ns, 50.0), len(ns) / count))
    whole = float(shown.ns.mean()) / 1e6
    rest = whole - sum(part.mean_ms for part in found)
    if abs(rest) > 0.005 * whole:
        found.append(Part(REST, rest, None, 1.0))
    return tuple(found)


def waterfall(name: str, title: str, shown: Measured) -> Figure | None:
    """Stages from left to right; None: the measurement has no stages.

    Args:
        name: of the figure's files.
        title: above it.
        shown: with at least one latency.
    """
    parts = parts_of(shown)
    if not any(part.name != REST for part in parts):
        return None
    whole = float(shown.ns.mean()) / 1e6
    bottom = TOP + ROW * (len(parts) + 1)
    end = max(whole, sum(max(part.mean_ms, 0) for part in parts))
    x = Scale(0.0, end * 1.02, LEFT, WIDTH - RIGHT)
    marks: list[Mark] = list(across(x, TOP, bottom, "milliseconds"))
    at_ms = 0.0
    for row, part in enumerate(parts):
        y = TOP + ROW * row
        colour = COLOURS.get(part.name, MUTED)
        marks += _row(part, at_ms, x, y, colour)
        at_ms += max(part.mean_ms, 0.0)
        if row + 1 < len(parts):
            edge = x.at(at_ms)
            marks.append(Stroke(((edge, y + ROW - 6), (edge, y + ROW + 6)), LINE, 1.5))
    y = TOP + ROW * len(parts)
    marks.append(Words(LEFT - 8, y + 17, TOTAL, INK, 13, "end", bold=True))
    marks.append(Box(x.at(0), y + 4, x.at(whole) - x.at(0), ROW - 8, INK, 3))
    marks.append(Words(x.at(0) + 8, y + 17, f"{ms(whole)} ms", "#0e1218", 12, bold=True))
    return Figure(name, title, WIDTH, bottom + 42, tuple(marks), READ)


def _row(part: Part, at_ms: float, x: Scale, y: float, colour: str) -> list[Mark]:
    left, right = x.at(at_ms), x.at(at_ms + max(part.mean_ms, 0.0))
    words = f"{ms(part.mean_ms)} ms"
    if part.name != REST and part.queries < 0.995:
        median = "" if part.median_ms is None else f"{ms(part.median_ms)} ms "
        words += f": {median}in {part.queries:.0%} of queries"
    beside = right + 8 + text_width(words, 12) <= x.end_px
    place = (right + 8, "start") if beside else (max(left - 8, 0), "end")
    inside = not beside and left - x.start_px < text_width(words, 12) + 8
    marks: list[Mark] = [
        Words(LEFT - 8, y + 17, part.name, INK, 13, "end"),
        Box(left, y + 4, max(right - left, 1.5), ROW - 8, colour, 3, hint=f"{part.name}: {words}"),
    ]
    if inside:
        marks.append(Words(left + 8, y + 17, words, "#0e1218", 12, bold=True))
    else:
        marks.append(Words(place[0], y + 17, words, MUTED, 12, place[1]))
    return marks
