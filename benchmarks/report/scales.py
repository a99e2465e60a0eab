"""Scales of axes: from a quantity to pixels, with round numbers to mark."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.report.drawing import LINE, MUTED, Mark, Stroke, Words

# Of a decade, from fine to coarse: the first that gives no more marks than there is room for.
STEPS = ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear or logarithmic scale between two places."""

    low: float
    high: float
    start_px: float
    end_px: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value, pixels; beyond an end, the end."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start_px + (self.end_px - self.start_px) * (value - low) / (high - low)

    def ticks(self, most: int = 8) -> list[float]:
        """Round numbers within, at most `most` of them."""
        if not self.logarithmic:
            return _linear(self.low, self.high, most)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for steps in STEPS:
            found = [s * 10.0**n for n in range(first, last + 1) for s in steps]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) <= most:
                return found
        return found[:: -(-len(found) // most)]


def fitted(values: list[float], start_px: float, end_px: float, logarithmic: bool = False) -> Scale:
    """A scale that has room for all values; a logarithmic one spans a factor of two at least."""
    known = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
    low, high = min(known, default=1.0), max(known, default=10.0)
    if logarithmic:
        margin = max((high / low) ** 0.06, 1.05)
        middle = math.sqrt(low * high)
        low, high = min(low / margin, middle / 1.5), max(high * margin, middle * 1.5)
    else:
        margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        low, high = low - margin, high + margin
    return Scale(low, high, start_px, end_px, logarithmic)


def across(scale: Scale, top_px: float, bottom_px: float, unit: str) -> list[Mark]:
    """An axis along the bottom, with lines upwards."""
    marks: list[Mark] = []
    for value in scale.ticks():
        x = scale.at(value)
        marks.append(Stroke(((x, top_px), (x, bottom_px)), LINE))
        marks.append(Words(x, bottom_px + 16, brief(value), MUTED, anchor="middle"))
    middle = (scale.start_px + scale.end_px) / 2
    marks.append(Words(middle, bottom_px + 34, unit, MUTED, anchor="middle"))
    return marks


def upwards(scale: Scale, left_px: float, right_px: float, unit: str) -> list[Mark]:
    """An axis along the left, with lines across; its unit stands turned beside it."""
    marks: list[Mark] = []
    for value in scale.ticks(6):
        y = scale.at(value)
        marks.append(Stroke(((left_px, y), (right_px, y)), LINE))
        marks.append(Words(left_px - 7, y + 4, brief(value), MUTED, anchor="end"))
    middle = (scale.start_px + scale.end_px) / 2
    marks.append(Words(12, middle, unit, MUTED, anchor="middle", turned=True))
    return marks


def brief(value: float) -> str:
    """A number of an axis: "0.05", "200", "20k", "3M"."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 10 * factor or (unit != "k" and abs(value) >= factor):
            return f"{value / factor:g}{unit}"
    return f"{value:.12g}" if abs(value) >= 1e-4 or value == 0 else f"{value:.0e}"


def _linear(low: float, high: float, most: int) -> list[float]:
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 5, 10, 20) if span / (s * power) <= most)
    first = math.ceil(low / step - 1e-9)
    return [float(n * step) for n in np.arange(first, math.floor(high / step + 1e-9) + 1)]
