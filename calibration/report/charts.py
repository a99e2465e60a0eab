"""Small charts as SVG text: every mark is a number of the judgement or of the ranges."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.ranges.histogram import Histogram

METHOD_COLOURS = {
    "minmax": "#92a0b3",
    "percentile": "#ffbe4d",
    "mse": "#5cc8ff",
    "entropy": "#c792ea",
}
KEPT, LEFT, FRAME = "#3ddc84", "#ff5d5d", "#2a3442"
SHOWN_BINS = 96
STRIP, LETTER_PX, LINE_PX = 170, 6.6, 13  # of a scatter


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a bar chart."""

    label: str
    value: float
    note: str
    colour: str


@dataclass(frozen=True, slots=True)
class Point:
    """One dot of a scatter with its vertical interval."""

    label: str
    x: float | None  # None: not measured
    y: float
    low: float
    high: float


def bars(lines: Sequence[Bar]) -> str:
    """Horizontal bars, one below the other, as long as their values."""
    most = max((line.value for line in lines), default=0.0) or 1.0
    height, left, width = 22, 330, 380
    parts = []
    for index, line in enumerate(lines):
        y = index * height
        long = width * line.value / most
        parts.append(
            f'<text x="{left - 10}" y="{y + 15}" font-size="13" fill="#ecf0f5" '
            f'text-anchor="end">{html.escape(line.label)}</text>'
            f'<rect x="{left}" y="{y + 4}" width="{max(long, 1):.1f}" height="14" rx="3" '
            f'fill="{line.colour}"/>'
            f'<text x="{left + long + 8:.1f}" y="{y + 15}" font-size="12" fill="#92a0b3">'
            f"{html.escape(line.note)}</text>"
        )
    return _svg(960, max(1, len(lines)) * height + 4, "".join(parts))


def scatter(
    points: Sequence[Point], x_label: str, y_label: str, without_x: str = "not measured"
) -> str:
    """Dots with their intervals; both axes are labelled at the ends of their ranges.

    Args:
        points: those without an x stand in a strip of their own beside the axis, hollow.
        x_label: of the axis.
        y_label: of the axis.
        without_x: what the strip is called.
    """
    left, top, width, height = 64, 16, 430, 220
    placed = [p.x for p in points if p.x is not None]
    strip = 0 if len(placed) == len(points) else STRIP
    ys = [value for p in points for value in (p.low, p.high)]
    x0, x1 = 0.0, max(placed, default=1.0) * 1.15 or 1.0
    y0, y1 = min(ys, default=0.0), max(ys, default=1.0)
    margin = (y1 - y0) * 0.15 or 0.5
    digits = 1 if y1 >= 2 else 3  # points of a hundred, or shares of one
    y0, y1 = y0 - margin, y1 + margin

    def at(x: float | None, y: float) -> tuple[float, float]:
        up = top + height * (1 - (y - y0) / (y1 - y0))
        across = left + width + 24 if x is None else left + width * (x - x0) / (x1 - x0)
        return across, up

    parts = [
        f'<rect x="{left}" y="{top}" width="{width + strip}" height="{height}" fill="none" '
        f'stroke="{FRAME}"/>'
    ]
    for value in np.linspace(y0, y1, 5):
        y = at(x0, float(value))[1]
        end = left + width + strip
        parts.append(
            f'<line x1="{left}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FRAME}"/>'
            + _text(left - 8, y + 4, f"{value:.{digits}f}", "end")
        )
    for value in np.linspace(x0, x1, 5)[1:-1]:
        x = at(float(value), y0)[0]
        parts.append(_text(x, top + height + 16, f"{value:.3g}", "middle"))
    if strip:
        edge = left + width
        parts.append(
            f'<line x1="{edge}" x2="{edge}" y1="{top}" y2="{top + height}" stroke="#92a0b3" '
            'stroke-dasharray="3 4"/>'
            + _text(edge + strip / 2, top + height + 16, without_x, "middle")
        )
    parts += _dots(points, at, left + width if strip else math.inf)
    parts.append(_text(left + width / 2, top + height + 34, x_label, "middle"))
    parts.append(
        f'<g transform="translate(14 {top + height / 2}) rotate(-90)">'
        f"{_text(0, 0, y_label, 'middle')}</g>"
    )
    return _svg(left + width + max(strip, 150), top + height + 44, "".join(parts))


def _dots(
    points: Sequence[Point],
    at: Callable[[float | None, float], tuple[float, float]],
    axis_end: float,
) -> list[str]:
    """Marks and labels; a label gives way to those before it, and ends before the strip."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []  # left, right, baseline
    for point in points:
        x, y = at(point.x, point.y)
        low, high = at(point.x, point.low)[1], at(point.x, point.high)[1]
        inside = "#5cc8ff" if point.x is not None else "none"
        long = LETTER_PX * len(point.label)
        leftwards = point.x is not None and x + 9 + long > axis_end
        start, end = (x - 9 - long, x - 9) if leftwards else (x + 9, x + 9 + long)
        for line in (y + 15, y - 8, *(y + 15 + n * LINE_PX for n in range(1, 12))):
            if all(end < a or start > b or abs(line - c) >= LINE_PX for a, b, c in taken):
                break
        taken.append((start, end, line))
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="#5cc8ff" '
            f'stroke-width="2"/><circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{inside}" '
            f'stroke="#5cc8ff" stroke-width="2"/>'
            + _text(
                end if leftwards else start,
                line,
                point.label,
                "end" if leftwards else "start",
                "#ecf0f5",
            )
        )
    return parts


def range_chart(histogram: Histogram, thresholds: Mapping[str, float], kept: str) -> str:
    """Counts of |x| on a logarithmic scale, and where each method cuts.

    Args:
        histogram: of one tensor.
        thresholds: method -> amax.
        kept: the method whose range is in the bundle.
    """
    width, height = 300, 88
    top = max(histogram.amax, *thresholds.values()) * 1.03 or 1.0
    edges = np.linspace(0, top, SHOWN_BINS + 1)
    fine = (np.arange(len(histogram.counts)) + 0.5) * histogram.width
    counts = np.histogram(fine, edges, weights=histogram.counts)[0]
    tall = math.log10(1 + float(counts.max())) or 1.0
    each = width / SHOWN_BINS
    heights = np.log10(1 + counts) / tall * (height - 12)
    path = "".join(
        f"M{n * each:.1f} {height}v{-value:.1f}h{each:.2f}V{height}"
        for n, value in enumerate(heights)
        if value > 0
    )
    lines = "".join(
        _threshold(name, amax, width * amax / top, height, name == kept)
        for name, amax in thresholds.items()
    )
    return _svg(width, height, f'<path d="{path}" fill="#39475a"/>{lines}')


def _threshold(name: str, amax: float, x: float, height: float, kept: bool) -> str:
    dashes = "" if kept else ' stroke-dasharray="4 3"'
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" stroke-width="{3 if kept else 1.5}" '
        f'stroke="{METHOD_COLOURS.get(name, "#fff")}"{dashes}>'
        f"<title>{html.escape(name)}: {amax:.4g}</title></line>"
    )


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#92a0b3") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" fill="{colour}" text-anchor="{anchor}">'
        f"{html.escape(words)}</text>"
    )


def _svg(width: float, height: float, inside: str) -> str:
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img">{inside}</svg>'
