"""Lines and marks on RGB pictures, placed to a sixteenth of a pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from edge.palette import PAPER, Colour, text_width_px
from edge.types import Uint8


def sixteenths(xy: tuple[float, float]) -> tuple[int, int]:
    """A point in sixteenths of a pixel, as OpenCV draws it with shift 4; far ones are cut."""
    bounded = [min(max(value, -1e4), 1e4) for value in xy]
    return round(bounded[0] * 16), round(bounded[1] * 16)


def polygon(image: Uint8, points: Sequence[tuple[float, float]], colour: Colour, px: int) -> None:
    """A closed line through points, `px` wide."""
    pixels = np.array([sixteenths(point) for point in points], np.int32)
    cv2.polylines(image, [pixels], True, colour, px, cv2.LINE_AA, 4)


def ring(image: Uint8, at: tuple[float, float], colour: Colour) -> None:
    """The mark of a click."""
    for radius, thick, tint in ((10, 5, PAPER), (10, 2, colour)):
        cv2.circle(image, sixteenths(at), radius * 16, tint, thick, cv2.LINE_AA, 4)
    cv2.circle(image, sixteenths(at), 2 * 16, colour, -1, cv2.LINE_AA, 4)


def cross(image: Uint8, at: tuple[float, float], colour: Colour) -> None:
    """The mark of a refused guess."""
    for thick, tint in ((5, PAPER), (2, colour)):
        for dx in (-6, 6):
            a, b = sixteenths((at[0] - dx, at[1] - 6)), sixteenths((at[0] + dx, at[1] + 6))
            cv2.line(image, a, b, tint, thick, cv2.LINE_AA, 4)


def dashes(
    image: Uint8, a: tuple[float, float], b: tuple[float, float], colour: Colour, step: float = 8.0
) -> None:
    """A dashed line."""
    length = math.hypot(b[0] - a[0], b[1] - a[1])
    count = max(1, round(length / step))
    for index in range(0, count, 2):
        ends = [index / count, min((index + 1.2) / count, 1.0)]
        p, q = (sixteenths((a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1]))) for s in ends)
        cv2.line(image, p, q, colour, 2, cv2.LINE_AA, 4)


def wrapped(text: str, wide_px: int, size_px: int) -> list[str]:
    """A text in lines no wider than `wide_px`."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if text_width_px(longer, size_px) > wide_px and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
