"""How a prop looks from above: discs, slabs, rings, vehicles, stacks, heaps and islands.

A prop is an outline, filled with colours of its own or with ground copied from elsewhere in the
picture, and details inside it that never leave the outline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
Floats = NDArray[np.float32]
Shape = Callable[[np.random.Generator], Polygon]

ROUND = np.linspace(0, 2 * np.pi, 33)
SUBPIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of prop: how long it is, the form of its outline, and what lies inside."""

    size_m: tuple[float, float]  # longest side
    share: float  # of all props
    outline: Shape  # rng -> [K, 2] closed, within the unit square around 0
    inside: Callable[[Canvas, np.random.Generator], None]


class Canvas:
    """The piece of a picture that one prop is drawn on."""

    def __init__(
        self, piece: Floats, corner_xy: NDArray[np.float64], to_picture: NDArray[np.float64]
    ) -> None:
        self.piece = piece  # [h, w, 3] float32, drawn on in place
        self.corner_xy = corner_xy
        self.to_picture = to_picture  # [2, 3] from the prop's unit square to picture pixels

    def place(self, unit_xy: Polygon) -> Polygon:
        """From the unit square to pixels of the picture."""
        return unit_xy @ self.to_picture[:, :2].T + self.to_picture[:, 2]

    def mask(self, picture_xy: Polygon) -> Floats:
        """Coverage [h, w, 1] of a polygon, antialiased."""
        filled = np.zeros(self.piece.shape[:2], np.uint8)
        fixed = np.round((picture_xy - self.corner_xy - 0.5) * (1 << SUBPIXEL_BITS))
        cv2.fillPoly(filled, [fixed.astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        return (filled.astype(np.float32) / 255)[..., None]

    def fill(self, unit_xy: Polygon, colour: Floats, opacity: float = 1.0) -> None:
        """Paint a polygon of the unit square; colour is [3] or [h, w, 3]."""
        self.piece += self.mask(self.place(unit_xy)) * opacity * (colour - self.piece)


def random_colour(rng: np.random.Generator) -> Floats:
    """Grey, as most made things are, or of any hue."""
    level = rng.uniform(20, 245)
    tint = rng.normal(0, 8 if rng.random() < 0.6 else 45, 3)
    return np.clip(level + tint, 0, 255).astype(np.float32)


def rectangle(width: float, height: float, x: float = 0.0, y: float = 0.0) -> Polygon:
    """A closed rectangle around (x, y)."""
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    return np.array([x, y]) + corners * np.array([width / 2, height / 2])


def _disc(rng: np.random.Generator) -> Polygon:
    return np.stack([np.cos(ROUND), np.sin(ROUND) * rng.uniform(0.7, 1.0)], 1) / 2


def _slab(rng: np.random.Generator) -> Polygon:
    return rectangle(1.0, rng.uniform(0.3, 1.0))


def _vehicle(rng: np.random.Generator) -> Polygon:
    """A rounded rectangle."""
    form = rng.uniform(0.38, 0.48)
    x, y = np.cos(ROUND), np.sin(ROUND)
    return np.stack([np.sign(x) * abs(x) ** 0.35, np.sign(y) * abs(y) ** 0.35 * form], 1) / 2


def _heap(rng: np.random.Generator) -> Polygon:
    """A closed curve whose radius wanders."""
    radius = np.ones_like(ROUND)
    for wave in range(1, 5):
        radius += rng.normal(0, 0.16 / wave) * np.cos(wave * ROUND + rng.uniform(0, 6.28))
    curve = radius[:, None] * np.stack([np.cos(ROUND), np.sin(ROUND)], 1)
    curve[:, 1] *= rng.uniform(0.5, 1.0)
    curve -= (curve.max(0) + curve.min(0)) / 2
    return curve / np.ptp(curve, axis=0).max()


def _lid(canvas: Canvas, rng: np.random.Generator) -> None:
    """A hatch, a hole, a roof light."""
    if rng.random() < 0.6:
        scale = rng.uniform(0.2, 0.7)
        form = _disc(rng) if rng.random() < 0.5 else _slab(rng)
        canvas.fill(form * scale * 0.7, random_colour(rng))


def _hollow(canvas: Canvas, rng: np.random.Generator) -> None:
    """A ring around what grows or stands inside."""
    canvas.fill(_disc(rng) * rng.uniform(0.55, 0.85) * 0.9, random_colour(rng))
    if rng.random() < 0.5:
        canvas.fill(_heap(rng) * rng.uniform(0.25, 0.5), random_colour(rng))


def _glass(canvas: Canvas, rng: np.random.Generator) -> None:
    """Windscreen, rear window and a roof between them."""
    dark = rng.uniform(10, 70, 3).astype(np.float32)
    for centre, length in ((0.17, 0.13), (-0.28, 0.1)):
        canvas.fill(rectangle(length, 0.32, x=centre), dark)
    if rng.random() < 0.3:  # an open load bed
        canvas.fill(rectangle(0.4, 0.3, x=-0.25), dark * 1.5)


def _rows(canvas: Canvas, rng: np.random.Generator) -> None:
    """Pipes, planks, crates: stripes across the whole thing, gaps between its rows."""
    count = int(rng.integers(3, 16))
    shade = random_colour(rng) * np.float32(rng.uniform(0.3, 0.8))
    for at in np.linspace(-0.5, 0.5, count + 1)[1:-1]:
        canvas.fill(rectangle(0.25 / count, 1.0, x=at), shade, rng.uniform(0.4, 1.0))
    for at in rng.uniform(-0.4, 0.4, rng.integers(0, 3)):
        canvas.fill(rectangle(1.0, 0.03, y=at), shade)


def _spots(canvas: Canvas, rng: np.random.Generator) -> None:
    """Stones, bushes, tracks on a heap or an island."""
    for _ in range(int(rng.integers(0, 7))):
        spot = _heap(rng) * rng.uniform(0.05, 0.25) + rng.uniform(-0.3, 0.3, 2)
        canvas.fill(spot, random_colour(rng), rng.uniform(0.3, 1.0))


KINDS = (
    Kind((1.2, 7.0), 0.15, _disc, _lid),
    Kind((1.2, 9.0), 0.22, _slab, _lid),
    Kind((1.4, 6.0), 0.15, _disc, _hollow),
    Kind((3.4, 7.0), 0.18, _vehicle, _glass),
    Kind((2.0, 24.0), 0.12, _slab, _rows),
    Kind((1.5, 12.0), 0.12, _heap, _spots),
    Kind((8.0, 28.0), 0.06, _heap, _spots),
)
