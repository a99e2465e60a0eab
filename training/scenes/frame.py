"""Local frames on the ground: a right-handed rectangle system for one lot, house or car."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GroundFrame:
    """Origin (east, north) and the direction of its first axis; the second is 90 degrees left."""

    east_m: float
    north_m: float
    angle_rad: float

    def at(self, a: float, b: float) -> tuple[float, float]:
        """World position of local (a, b)."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return self.east_m + a * cos - b * sin, self.north_m + a * sin + b * cos

    def moved(self, a: float, b: float, turn_rad: float = 0.0) -> GroundFrame:
        """A frame whose origin is local (a, b), turned further."""
        east, north = self.at(a, b)
        return GroundFrame(east, north, self.angle_rad + turn_rad)

    def points(self, local: Sequence[tuple[float, float]]) -> Float64:
        """World positions of local points, [K, 2]."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return np.array(
            [(self.east_m + a * cos - b * sin, self.north_m + a * sin + b * cos) for a, b in local]
        )

    def solid(self, local: Sequence[tuple[float, float, float]]) -> Float64:
        """World positions of local points with height, [K, 3]."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return np.array(
            [
                (self.east_m + a * cos - b * sin, self.north_m + a * sin + b * cos, z)
                for a, b, z in local
            ]
        )

    def rectangle(self, a0: float, a1: float, b0: float, b1: float) -> Float64:
        """Corners of a local rectangle, counter-clockwise, [4, 2]."""
        return self.points([(a0, b0), (a1, b0), (a1, b1), (a0, b1)])

    def ellipse(self, a: float, b: float, radius_a: float, radius_b: float, n: int = 14) -> Float64:
        """Corners of a local ellipse, [n, 2]."""
        turn = 2 * math.pi / n
        return self.points(
            [
                (a + radius_a * math.cos(i * turn), b + radius_b * math.sin(i * turn))
                for i in range(n)
            ]
        )
