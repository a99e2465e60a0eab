"""Small charts as SVG text: every mark is a number of the judgement or of the ranges."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
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
    x: float
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


def scatter(points: Sequence[Point], x_label: str, y_label: str) -> str:
    """Dots with their intervals; both axes are labelled at the ends of their ranges."""
    left, top, width, height = 64, 16, 430, 220
    xs = [p.x for p in points]
    ys = [value for p in points for value in (p.low, p.high)]
    x0, x1 = 0.0, max(xs, default=1.0) * 1.15 or 1.0
    y0, y1 = min(ys, default=0.0), max(ys, default=1.0)
    margin = (y1 - y0) * 0.15 or 0.5
    y0, y1 = y0 - margin, y1 + margin

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x0) / (x1 - x0), (y - y0) / (y1 - y0)
        return left + width * across, top + height * (1 - up)

    parts = [
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" '
        f'stroke="{FRAME}"/>'
    ]
    for value in np.linspace(y0, y1, 5):
        y = at(x0, float(value))[1]
        parts.append(
            f'<line x1="{left}" x2="{left + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FRAME}"/>'
            + _text(left - 8, y + 4, f"{value:.1f}", "end")
        )
    for value in np.linspace(x0, x1, 5)[1:-1]:
        x = at(float(value), y0)[0]
        parts.append(_text(x, top + height + 16, f"{value:.3g}", "middle"))
    for n, point in enumerate(points):
        x, y = at(point.x, point.y)
        low, high = at(point.x, point.low)[1], at(point.x, point.high)[1]
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="#5cc8ff" '
            f'stroke-width="2"/><circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#5cc8ff"/>'
            + _text(x + 9, y - 8 if n % 2 else y + 15, point.label, "start", "#ecf0f5")
        )
    parts.append(_text(left + width / 2, top + height + 34, x_label, "middle"))
    parts.append(
        f'<g transform="translate(14 {top + height / 2}) rotate(-90)">'
        f"{_text(0, 0, y_label, 'middle')}</g>"
    )
    return _svg(left + width + 150, top + height + 44, "".join(parts))


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
