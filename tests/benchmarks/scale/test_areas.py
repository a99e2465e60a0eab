"""The formulas for windows are exact means: counted cell by cell on small areas."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pyproj
import pytest

from benchmarks.scale.areas import Area, parse_area, searched_windows, zoom_gsd_m
from edge.errors import UsageError
from edge.tiles.lattice import STEP_PX, count_windows, within

GSD_M = 0.25
STEP_M = STEP_PX * GSD_M


@dataclass(frozen=True)
class Plane:
    """A map without a globe: longitude and latitude are metres over `METRES_PER_DEG`."""

    extent_px: tuple[int, int, int, int]
    gsd_m: float = GSD_M

    def geometry(self, left_px, top_px):
        return PlaneGeometry(left_px, top_px, self.gsd_m)


METRES_PER_DEG = 100_000.0


@dataclass(frozen=True)
class PlaneGeometry:
    left_px: float
    top_px: float
    gsd_m: float

    def xy_px(self, lon_lat_deg):
        corner = np.array([self.left_px, self.top_px])
        return np.asarray(lon_lat_deg) * METRES_PER_DEG / self.gsd_m - corner

    def lon_lat_deg(self, xy_px):
        corner = np.array([self.left_px, self.top_px])
        return (np.asarray(xy_px) + corner) * self.gsd_m / METRES_PER_DEG

    def metres_per_px(self, xy_px):
        return np.full((len(xy_px), 2), self.gsd_m)


def met_cells(left: int, top: int, right: int, bottom: int) -> int:
    """Cells of one step that meet a rectangle, each looked at; cells lie around window centres."""
    found = 0
    for column, row in itertools.product(range(-4, 12), repeat=2):
        west, north = column * STEP_PX + 256, row * STEP_PX + 256  # of a window of 1024 px
        across = west < right and west + STEP_PX > left
        found += across and north < bottom and north + STEP_PX > top
    return found


def test_a_rectangle_is_counted_as_the_lattice_counts_it():
    """Over many places of its edge: brute force, the lattice's own count, the formula's mean."""
    rng = np.random.default_rng(0)
    width_m, height_m = 400.0, 217.0
    wide, high = round(width_m / GSD_M), round(height_m / GSD_M)
    brute, lattice = [], []
    for left, top in rng.integers(0, STEP_PX, (600, 2)).tolist():
        box = (left, top, left + wide, top + high)
        brute.append(met_cells(*box))
        lattice.append(count_windows(Plane(box)))
    differ = [abs(a - b) for a, b in zip(brute, lattice, strict=True)]
    # the lattice counts a cell that ends where the map begins
    assert np.mean(differ) < 0.05
    wanted = Area("a", width_m, height_m).windows(GSD_M)
    assert wanted == pytest.approx((width_m / 128 + 1) * (height_m / 128 + 1))
    spread = np.std(brute) / math.sqrt(len(brute))
    assert abs(np.mean(brute) - wanted) < 4 * spread
    assert min(brute) <= wanted <= max(brute)


@pytest.mark.parametrize("sigma_m", [0.0, 10.0, 40.0, 150.0])
def test_a_search_is_counted_as_the_lattice_counts_it(sigma_m):
    plane = Plane((-40_000, -40_000, 40_000, 40_000))
    rng = np.random.default_rng(1)
    places = rng.uniform(-1000, 1000, (300, 2)) / METRES_PER_DEG
    counts = [len(within(plane, (x, y), sigma_m)) for x, y in places.tolist()]
    wanted = searched_windows(sigma_m, GSD_M)
    spread = max(np.std(counts) / math.sqrt(len(counts)), 1e-9)
    assert abs(np.mean(counts) - wanted) < 4 * spread
    r = 2 * sigma_m / STEP_M
    assert wanted == pytest.approx(1 + 4 * r + math.pi * r * r)


@pytest.mark.parametrize(
    ("text", "name", "km2", "width_m"),
    [
        ("10x10", "10 x 10 km", 100, 10_000),
        ("0.5x2", "0.5 x 2 km", 1, 500),
        ("country:Switzerland_41285", "Switzerland (41,285 km2)", 41_285, 203_187.1),
        ("country:San_Marino_61.2", "San_Marino (61 km2)", 61.2, 7_823.0),
    ],
)
def test_areas(text, name, km2, width_m):
    area = parse_area(text)
    assert area.name == name and area.km2 == pytest.approx(km2)
    assert area.width_m == pytest.approx(width_m, abs=0.1)


@pytest.mark.parametrize(
    "text", ["", "10", "10x", "0x3", "axb", "1.2.3x4", "country:X", "country:_5", "country:X_0"]
)
def test_no_area(text):
    with pytest.raises(UsageError, match="--area names no area") as caught:
        parse_area(text)
    assert caught.value.found == repr(text) and "country:NAME_KM2" in caught.value.expected


@pytest.mark.parametrize(("latitude_deg", "zoom"), [(0, 19), (47, 19), (60, 18)])
def test_zooms(latitude_deg, zoom):
    """The ground of one pixel by PROJ, east-west and north-south: not the cosine of a sphere."""
    found = zoom_gsd_m(0.25, latitude_deg)
    plane = pyproj.Transformer.from_crs(4326, 3857, always_xy=True)
    side_m = 2 * np.pi * 6378137.0 / (256 * 2**zoom)
    x, y = plane.transform(0.0, latitude_deg)
    corners = [(x - side_m / 2, y), (x + side_m / 2, y), (x, y - side_m / 2), (x, y + side_m / 2)]
    lon, lat = zip(*(plane.transform(*xy, direction="INVERSE") for xy in corners), strict=True)
    ellipsoid = pyproj.Geod(ellps="WGS84")
    across_m, along_m = (ellipsoid.inv(lon[i], lat[i], lon[i + 1], lat[i + 1])[2] for i in (0, 2))
    assert found[0] == zoom
    assert found[1] == pytest.approx((across_m + along_m) / 2, rel=1e-6)


def test_no_zoom():
    with pytest.raises(UsageError, match="--latitude"):
        zoom_gsd_m(0.25, 86)
    with pytest.raises(UsageError, match="--latitude"):
        zoom_gsd_m(0.25, math.nan)
    with pytest.raises(UsageError, match="no zoom"):
        zoom_gsd_m(1e7, 0)
