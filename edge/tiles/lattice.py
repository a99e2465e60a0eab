"""Fixed places of windows on a map, so that stored features can be found again.

Windows start at multiples of the step from pixel (0, 0) of the grid. The cell of a window is the
square of one step around its centre; cells tile the plane, and the window of a position is the one
whose cell holds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import UsageError, WindowError
from edge.tiles.box import Box, check_box
from edge.tiles.window import WINDOW_PX, PixelGrid
from edge.types import Float64

STEP_PX = 512
_SAMPLES = 17


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """Where one window of the lattice lies in its grid."""

    left_px: int
    top_px: int
    width_px: int = WINDOW_PX
    height_px: int = WINDOW_PX


def nearest(
    grid: PixelGrid, lon_lat_deg: tuple[float, float], size_px: int = WINDOW_PX
) -> WindowPlace:
    """The window whose centre is nearest to a position.

    Raises:
        WindowError: the position is not a number, or its window holds no part of the map.
    """
    x, y = _pixel(grid, lon_lat_deg)
    place = _place(_index(x, size_px), _index(y, size_px), size_px)
    if not _touches(grid, place):
        raise _outside(grid, f"lon {lon_lat_deg[0]:.6f}, lat {lon_lat_deg[1]:.6f}")
    return place


def within(
    grid: PixelGrid,
    lon_lat_deg: tuple[float, float],
    sigma_m: float,
    reach: float = 2.0,
    size_px: int = WINDOW_PX,
) -> tuple[WindowPlace, ...]:
    """All windows that a position of one sigma `sigma_m` may fall in, the likeliest first.

    These are the windows of `all_windows` whose cell comes within `reach` sigmas of the position.
    Where there is none, beside the map, they are those that hold a strip of it.

    Raises:
        UsageError: a sigma or reach that is negative or not a number.
        WindowError: the position is not a number, or no such window holds a part of the map.
    """
    if not (math.isfinite(sigma_m) and sigma_m >= 0 and math.isfinite(reach) and reach >= 0):
        raise UsageError(
            "an uncertainty cannot be used",
            expected="sigma in metres and reach in sigmas, zero or more",
            found=f"sigma {sigma_m}, reach {reach}",
            do="give the one-sigma error of the position in metres",
        )
    x, y = _pixel(grid, lon_lat_deg)
    here = grid.geometry(x - size_px / 2, y - size_px / 2)
    middle = np.array([[size_px / 2, size_px / 2]])
    wide, high = (reach * sigma_m / here.metres_per_px(middle)[0]).tolist()
    left, top, right, bottom = grid.extent_px
    # An index beyond the imagery can hold no window, however large sigma is.
    columns = _indices(max(x - wide, left - size_px), min(x + wide, right + size_px), size_px)
    rows = _indices(max(y - high, top - size_px), min(y + high, bottom + size_px), size_px)
    own = _index(x, size_px), _index(y, size_px)  # first even where another centre is as near
    across, down = _columns_and_rows(grid, grid.extent_px, size_px)
    found = []
    for row in rows:
        for column in columns:
            place = _place(column, row, size_px)
            away_x = max(abs(_centre(column, size_px) - x) - STEP_PX / 2, 0.0)
            away_y = max(abs(_centre(row, size_px) - y) - STEP_PX / 2, 0.0)
            near = math.hypot(away_x / max(wide, 1e-9), away_y / max(high, 1e-9)) <= 1.0
            if near and _touches(grid, place):
                off = math.hypot(_centre(column, size_px) - x, _centre(row, size_px) - y)
                beside = column not in across or row not in down
                found.append((beside, (column, row) != own, off, place))
    if not found:
        text = f"lon {lon_lat_deg[0]:.6f}, lat {lon_lat_deg[1]:.6f} within {reach * sigma_m:.0f} m"
        raise _outside(grid, text)
    found.sort(key=lambda item: item[:3])
    # What a window beside the map holds of it lies in its neighbour too, further from the edge.
    return tuple(place for beside, _, _, place in found if beside == found[0][0])


def in_bbox(
    grid: PixelGrid, w: float, s: float, e: float, n: float, size_px: int = WINDOW_PX
) -> Iterator[WindowPlace]:
    """The windows of all positions of a box in degrees, row by row; w > e: over the antimeridian.

    Raises:
        UsageError: see `check_box`.
        WindowError: the box holds no part of the map.
    """
    check_box(Box(w, s, e, n))
    box = _box_px(grid, w, s, e, n)
    if box is None:
        raise _outside(grid, f"box {w},{s},{e},{n}")
    return _cover(grid, box, size_px)


def all_windows(grid: PixelGrid, size_px: int = WINDOW_PX) -> Iterator[WindowPlace]:
    """The windows of all positions of the map, row by row."""
    return _cover(grid, grid.extent_px, size_px)


def count_windows(grid: PixelGrid, size_px: int = WINDOW_PX) -> int:
    """How many windows `all_windows` gives, without walking over them."""
    columns, rows = _columns_and_rows(grid, grid.extent_px, size_px)
    return len(columns) * len(rows)


def around(
    grid: PixelGrid,
    places: Sequence[WindowPlace],
    lon_lat_deg: tuple[float, float] | None = None,
) -> Iterator[WindowPlace]:
    """The windows of the map one step away from some of its windows, and none of these, once.

    With a position, those that it will come to first where it moves on: the nearest centres.
    """
    found = _around(grid, places)
    if lon_lat_deg is None:
        return found
    x, y = _pixel(grid, lon_lat_deg)

    def off(at: WindowPlace) -> float:
        middle_x, middle_y = at.left_px + at.width_px / 2, at.top_px + at.height_px / 2
        return math.hypot(middle_x - x, middle_y - y)

    return iter(sorted(found, key=off))


def _around(grid: PixelGrid, places: Sequence[WindowPlace]) -> Iterator[WindowPlace]:
    seen = set(places)
    for place in places:
        for down in (-STEP_PX, 0, STEP_PX):
            for right in (-STEP_PX, 0, STEP_PX):
                near = replace(place, left_px=place.left_px + right, top_px=place.top_px + down)
                if near not in seen and _touches(grid, near):
                    seen.add(near)
                    yield near


def _cover(
    grid: PixelGrid, box: tuple[float, float, float, float], size_px: int
) -> Iterator[WindowPlace]:
    columns, rows = _columns_and_rows(grid, box, size_px)
    for row in rows:
        for column in columns:
            yield _place(column, row, size_px)


def _columns_and_rows(
    grid: PixelGrid, box: tuple[float, float, float, float], size_px: int
) -> tuple[range, range]:
    """Indices of the cells that meet a box and whose windows touch the map.

    A window smaller than the step lies amid its cell, which may meet the map where it does not.
    """
    left, top, right, bottom = grid.extent_px
    across = _touching(_inner(box[0], box[2], size_px), left, right, size_px)
    return across, _touching(_inner(box[1], box[3], size_px), top, bottom, size_px)


def _touching(indices: range, first_px: int, behind_px: int, size_px: int) -> range:
    """Those of a row of indices whose windows hold a pixel of [first_px, behind_px)."""
    lowest = math.floor((first_px - size_px) / STEP_PX) + 1
    highest = math.ceil(behind_px / STEP_PX) - 1
    return range(max(indices.start, lowest), min(indices.stop, highest + 1))


def _box_px(
    grid: PixelGrid, w: float, s: float, e: float, n: float
) -> tuple[float, float, float, float] | None:
    """A box of degrees in pixels of the grid, cut to the imagery; None: they do not meet."""
    left, top, right, bottom = grid.extent_px
    middle_x, middle_y = (left + right) / 2, (top + bottom) / 2
    half = WINDOW_PX / 2  # geometries unwrap longitudes around this pixel
    geometry = grid.geometry(middle_x - half, middle_y - half)
    edge = _outline(left, top, right, bottom) - [middle_x - half, middle_y - half]
    around = geometry.lon_lat_deg(edge)
    centre_lon = float(geometry.lon_lat_deg(np.array([[half, half]]))[0, 0])
    reach = np.mod(around[:, 0] - centre_lon + 180.0, 360.0) - 180.0
    spans_world = right - left >= 2 * half and np.ptp(reach) > 355.0
    west, east = (-180.0, 180.0) if spans_world else (float(reach.min()), float(reach.max()))
    south, north = max(s, float(around[:, 1].min())), min(n, float(around[:, 1].max()))
    width = min(e - w if e > w else e - w + 360.0, 360.0)
    start = (w - centre_lon + 180.0) % 360.0 - 180.0
    pieces = [(start, start + width), (start - 360.0, start - 360.0 + width)]
    cut = [(max(a, west), min(b, east)) for a, b in pieces]
    cut = [(a, b) for a, b in cut if a < b]
    if not cut or south >= north:
        return None
    low, high = min(a for a, _ in cut), max(b for _, b in cut)
    inset = 1e-9 if high - low >= 360.0 - 1e-9 else 0.0  # keep both ends of a whole world apart
    lon_lat = _outline(low + inset, south, high - inset, north)
    lon_lat[:, 0] += centre_lon
    xy = geometry.xy_px(lon_lat) + np.array([middle_x - half, middle_y - half])
    x1, y1 = np.maximum(xy.min(axis=0), [left, top]).tolist()
    x2, y2 = np.minimum(xy.max(axis=0), [right, bottom]).tolist()
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _pixel(grid: PixelGrid, lon_lat_deg: tuple[float, float]) -> tuple[float, float]:
    """Grid pixel of a position, on the copy of the world where the imagery is."""
    position = np.array([lon_lat_deg], np.float64)
    if not np.isfinite(position).all() or abs(position[0, 1]) > 90:
        raise WindowError(
            "a position is not on the Earth",
            expected="longitude and latitude in degrees",
            found=f"lon {lon_lat_deg[0]}, lat {lon_lat_deg[1]}",
            do="give --position LON,LAT, longitude first",
        )
    left, top, right, bottom = grid.extent_px
    corner = (left + right - WINDOW_PX) / 2, (top + bottom - WINDOW_PX) / 2
    x, y = (grid.geometry(*corner).xy_px(position)[0] + corner).tolist()
    return x, y


def _index(at_px: float, size_px: int) -> int:
    """Index of the cell that holds a pixel; a far pole stays a finite number."""
    bounded = min(max(at_px, -1e15), 1e15)
    return math.floor((bounded - size_px / 2) / STEP_PX + 0.5)


def _indices(first_px: float, last_px: float, size_px: int) -> range:
    return range(_index(first_px, size_px), _index(last_px, size_px) + 1)


def _inner(first_px: float, behind_px: float, size_px: int) -> range:
    """Indices of the cells that meet [first_px, behind_px)."""
    last = math.ceil((behind_px - size_px / 2) / STEP_PX - 0.5)
    return range(_index(first_px, size_px), last + 1)


def _centre(index: int, size_px: int) -> float:
    return index * STEP_PX + size_px / 2


def _place(column: int, row: int, size_px: int) -> WindowPlace:
    return WindowPlace(column * STEP_PX, row * STEP_PX, size_px, size_px)


def _touches(grid: PixelGrid, place: WindowPlace) -> bool:
    left, top, right, bottom = grid.extent_px
    across = place.left_px < right and place.left_px + place.width_px > left
    return across and place.top_px < bottom and place.top_px + place.height_px > top


def _outline(x1: float, y1: float, x2: float, y2: float) -> Float64:
    """Points along the edge of a rectangle, [N, 2]."""
    x, y = np.linspace(x1, x2, _SAMPLES), np.linspace(y1, y2, _SAMPLES)
    first, last = np.full(_SAMPLES, x1), np.full(_SAMPLES, x2)
    top, bottom = np.full(_SAMPLES, y1), np.full(_SAMPLES, y2)
    across = np.concatenate([x, x, first, last])
    return np.stack([across, np.concatenate([top, bottom, y, y])], axis=1)


def _outside(grid: PixelGrid, found: str) -> WindowError:
    left, top, right, bottom = grid.extent_px
    corners = np.array([[0.0, bottom - top], [right - left, 0.0]])
    (west, south), (east, north) = grid.geometry(left, top).lon_lat_deg(corners).tolist()
    return WindowError(
        "the place lies outside the map",
        expected=f"lon {west:.5f} to {east:.5f}, lat {south:.5f} to {north:.5f}",
        found=found,
        do="check the position (longitude first), or take a map of that area",
    )
