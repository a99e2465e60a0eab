"""Areas, and how many windows of the lattice they and a search in them touch. Paper alone.

Windows start every 512 px, so a window stands for a cell of s = 512 px * ground size of a pixel. A
map needs the window of every cell that it meets; where its edge lies among the cells is chance, and
these are the exact means over all places that it can lie at:

    rectangle w x h         (w/s + 1) (h/s + 1)
    disk of radius r        1 + 4 r/s + pi (r/s)^2            the square of a cell, widened by r

A country counts as a square of its area; its border, which is longer, adds cells that are not
counted: about border length / s of them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from edge.errors import UsageError
from edge.geodesy import MercatorGeometry
from edge.tiles.lattice import STEP_PX
from edge.tiles.pyramid import GSD_TOLERANCE

REACH = 2.0  # sigmas around a position that are searched: `edge.tiles.lattice.within`
RECTANGLE_FORMULA = "windows = (width/s + 1) (height/s + 1)"
SEARCHED_FORMULA = "windows = 1 + 4 r/s + pi (r/s)^2, r = 2 sigma"


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of ground."""

    name: str
    width_m: float
    height_m: float

    @property
    def km2(self) -> float:
        """Its size."""
        return self.width_m * self.height_m / 1e6

    def windows(self, gsd_m: float) -> float:
        """Windows of the lattice that meet it, the mean over all places of its edge."""
        step_m = STEP_PX * gsd_m
        return (self.width_m / step_m + 1) * (self.height_m / step_m + 1)


def parse_area(text: str) -> Area:
    """`10x10` in kilometres, or `country:NAME_KM2` as a square of that many square kilometres.

    Raises:
        UsageError: neither.
    """
    sides = re.fullmatch(r"([\d.]+)x([\d.]+)", text)
    country = re.fullmatch(r"country:(.+)_([\d.]+)", text)
    try:
        if sides is not None:
            wide_km, high_km = _positive(sides[1]), _positive(sides[2])
            return Area(f"{wide_km:g} x {high_km:g} km", 1e3 * wide_km, 1e3 * high_km)
        if country is not None:
            side_m = 1e3 * math.sqrt(_positive(country[2]))
            return Area(f"{country[1]} ({float(country[2]):,.0f} km2)", side_m, side_m)
        raise ValueError(text)
    except ValueError as error:
        raise UsageError(
            "--area names no area",
            expected="WIDTHxHEIGHT in kilometres, such as 10x10, or country:NAME_KM2",
            found=repr(text),
            do="correct --area, for example --area country:Switzerland_41285",
        ) from error


def searched_windows(sigma_m: float, gsd_m: float) -> float:
    """Windows that a position of one sigma touches, the mean over all places in a cell."""
    reach = REACH * sigma_m / (STEP_PX * gsd_m)
    return 1 + 4 * reach + math.pi * reach**2


def zoom_gsd_m(gsd_m: float, latitude_deg: float) -> tuple[int, float]:
    """The zoom of a tile map nearest to a ground sampling distance, and its own at a latitude.

    Raises:
        UsageError: a latitude without web-mercator tiles, or no zoom that fits.
    """
    if not abs(latitude_deg) <= 85:
        raise UsageError(
            "--latitude is not one of a tile map",
            expected="degrees from -85 to 85",
            found=f"{latitude_deg:g}",
            do="correct --latitude",
        )
    world = MercatorGeometry(0, 0, 0)
    there_px = world.xy_px(np.array([[0.0, latitude_deg]]))
    whole_m = float(world.metres_per_px(there_px).mean())  # as a map's own grid says it
    zoom = max(round(math.log2(whole_m / gsd_m)), 0)
    found_m = whole_m / 2**zoom
    if max(found_m / gsd_m, gsd_m / found_m) > GSD_TOLERANCE:
        raise UsageError(
            "no zoom of a tile map is near this ground sampling distance",
            expected=f"{gsd_m:g} m/px within a factor of {GSD_TOLERANCE:g}",
            found=f"zoom {zoom}: {found_m:g} m/px",
            do="correct --gsd-m",
        )
    return zoom, found_m


def _positive(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError(text)
    return value
