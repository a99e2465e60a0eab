"""A part of the Earth in degrees, as --bbox gives it."""

from __future__ import annotations

import math
from typing import NamedTuple

from edge.errors import UsageError

WIDEST_CROSSING_DEG = 180.0  # of a box over the 180th meridian; a wider one is one of swapped sides


class Box(NamedTuple):
    """Edges in degrees; west above east: over the 180th meridian."""

    west: float
    south: float
    east: float
    north: float

    def __str__(self) -> str:
        """As --bbox takes it, and as a shard keeps it."""
        return ",".join(map(repr, self))


def parse_box(text: str) -> Box:
    """The box that --bbox names.

    Raises:
        UsageError: not four numbers, or see `check_box`.
    """
    try:
        west, south, east, north = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(
            "--bbox cannot be read",
            expected="four numbers W,S,E,N in degrees, such as 11.57,48.12,11.60,48.15",
            found=text,
            do="correct --bbox; for a negative west write --bbox=-1.5,50,-1.4,51",
        ) from error
    box = Box(west, south, east, north)
    check_box(box)
    return box


def check_box(box: Box) -> None:
    """Refuse a box that cannot be meant.

    Raises:
        UsageError: a value that is not a number or not on the Earth, south not below north, or west
            above east by so much that the box would go round the far side of the globe.
    """
    west, south, east, north = box
    if not (all(map(math.isfinite, box)) and south < north and west != east):
        raise UsageError(
            "a box cannot be used",
            expected="west,south,east,north in degrees, south below north",
            found=f"{west},{south},{east},{north}",
            do="give --bbox W,S,E,N",
        )
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90:
        raise UsageError(
            "a box is not on the Earth",
            expected="longitudes from -180 to 180 and latitudes from -90 to 90",
            found=f"west {west}, south {south}, east {east}, north {north}",
            do="give --bbox W,S,E,N in degrees; over the 180th meridian as --bbox 179,-18,-179,-17",
        )
    if west > east and not 0 < east + 360 - west < WIDEST_CROSSING_DEG:
        raise UsageError(
            "west of a box lies east of its east",
            expected="west below east, or a box over the 180th meridian of under "
            f"{WIDEST_CROSSING_DEG:g} degrees",
            found=f"west {west}, east {east}",
            do=f"west comes first: --bbox={east},{south},{west},{north}",
        )
