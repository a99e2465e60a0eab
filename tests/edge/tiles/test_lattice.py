"""Fixed places of windows, against brute force over pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import UsageError, WindowError
from edge.geodesy import AffineGeometry, MercatorGeometry
from edge.tiles.lattice import STEP_PX, WindowPlace, all_windows, count_windows, in_bbox, within
from edge.tiles.lattice import nearest as nearest_window

ZOOM = 19
WORLD = 256 * 2**ZOOM


@dataclass(frozen=True)
class Plane:
    """A grid without pixels: only places."""

    extent_px: tuple[int, int, int, int]
    frame: AffineGeometry | None = None
    gsd_m: float = 0.2
    zoom: int | None = ZOOM

    def geometry(self, left_px, top_px):
        if self.frame is not None:
            return self.frame.shifted(left_px, top_px)
        return MercatorGeometry(ZOOM, left_px % WORLD, top_px)

    def read(self, *_):
        raise AssertionError("the lattice reads no pixels")

    def lon_lat(self, x, y):
        left, top = self.extent_px[:2]
        at = self.geometry(left, top).lon_lat_deg(np.array([[x - left, y - top]], np.float64))
        return tuple(at[0].tolist())


LEFT, TOP = 71_000_000 // 256 * 256, 46_000_000 // 256 * 256
TOWN = Plane((LEFT, TOP, LEFT + 6144, TOP + 4096))
UTM = Plane(
    (0, 0, 5000, 3700), AffineGeometry((692_000, 0.3, 0, 5_335_000, 0, -0.3), 32632), 0.3, None
)
DATE_LINE = Plane((WORLD - 2560, TOP, WORLD + 3072, TOP + 2048))
WHOLE = Plane((0, 0, WORLD, WORLD))
PLANES = {"town": TOWN, "utm": UTM, "date line": DATE_LINE}


@pytest.fixture(params=PLANES)
def plane(request):
    return PLANES[request.param]


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(sorted(PLANES)),
    across=st.floats(0.001, 0.999),
    down=st.floats(0.001, 0.999),
)
def test_nearest_is_nearest(name, across, down):
    plane = PLANES[name]
    left, top, right, bottom = plane.extent_px
    x, y = left + across * (right - left), top + down * (bottom - top)
    place = nearest_window(plane, plane.lon_lat(x, y))
    assert place.left_px % STEP_PX == 0 and place.top_px % STEP_PX == 0
    assert max(abs(place.left_px + 512 - x), abs(place.top_px + 512 - y)) <= 256 + 1e-3
    assert place in set(all_windows(plane))


def test_places_do_not_depend_on_where_the_imagery_begins():
    larger = Plane((LEFT - 2048, TOP - 300, LEFT + 9000, TOP + 9000))
    at = TOWN.lon_lat(LEFT + 3000, TOP + 1000)
    assert nearest_window(larger, at) == nearest_window(TOWN, at)


def test_nearest_outside_the_map(plane):
    left, _, right, bottom = plane.extent_px
    with pytest.raises(WindowError, match="outside the map") as caught:
        nearest_window(plane, plane.lon_lat(right + 1500, bottom))
    west, south = plane.lon_lat(left, bottom)
    assert f"lon {west:.5f} to" in caught.value.expected
    assert f"lat {south:.5f} to" in caught.value.expected and "longitude first" in caught.value.do
    for far in ((0.0, 0.0), (100.0, -60.0), (0.0, 90.0), (5.0, -90.0)):
        with pytest.raises(WindowError, match="outside the map"):
            nearest_window(plane, far)


@pytest.mark.parametrize("position", [(float("nan"), 1.0), (1.0, float("inf")), (1.0, 91.0)])
def test_positions_that_are_none(plane, position):
    for ask in (nearest_window, lambda p, at: within(p, at, 5.0)):
        with pytest.raises(WindowError, match="not on the Earth"):
            ask(plane, position)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(PLANES)),
    across=st.floats(0.01, 0.99),
    down=st.floats(0.01, 0.99),
    sigma_m=st.floats(0, 150),
)
def test_within_holds_the_window_of_every_likely_position(name, across, down, sigma_m):
    plane = PLANES[name]
    left, top, right, bottom = plane.extent_px
    x, y = left + across * (right - left), top + down * (bottom - top)
    here = plane.lon_lat(x, y)
    places = within(plane, here, sigma_m, reach=2.0)
    assert len(set(places)) == len(places)
    assert places[0] == nearest_window(plane, here)
    metres = plane.geometry(x, y).metres_per_px(np.zeros((1, 2)))[0]
    turn = np.linspace(0, 2 * np.pi, 16)[:-1]
    for share in (0.5, 0.99):
        reach = share * 2 * sigma_m / metres
        for dx, dy in np.stack([np.cos(turn), np.sin(turn)], axis=1) * reach:
            if left < x + dx < right and top < y + dy < bottom:
                assert nearest_window(plane, plane.lon_lat(x + dx, y + dy)) in places
    for place in places:  # and none too many
        away_x = max(abs(place.left_px + 512 - x) - 256, 0) * metres[0]
        away_y = max(abs(place.top_px + 512 - y) - 256, 0) * metres[1]
        assert np.hypot(away_x, away_y) <= 2 * sigma_m * 1.01 + 0.01


def test_within_a_huge_circle_is_the_map(plane):
    at = plane.lon_lat(*np.mean([plane.extent_px[:2], plane.extent_px[2:]], axis=0))
    found = within(plane, at, 1e5)
    assert len(found) == count_windows(plane)
    assert set(found) == set(all_windows(plane))


def test_within_outside_the_map():
    at = TOWN.lon_lat(TOWN.extent_px[2] + 20_000, TOP)
    with pytest.raises(WindowError, match="outside the map") as caught:
        within(TOWN, at, 20.0)
    assert "within 40 m" in caught.value.found
    assert within(TOWN, at, 5000.0)


def test_beside_the_map_only_what_no_neighbour_holds_better():
    """The cell of the position lies off the map, while its window still holds a strip of it."""
    right, y = TOWN.extent_px[2], TOP + 2048 + 300
    beside = TOWN.lon_lat(right + 256 + 200, y)
    strip = nearest_window(TOWN, beside)
    assert strip not in set(all_windows(TOWN)) and strip.left_px < right
    assert within(TOWN, beside, 1.0) == (strip,), "nothing else is near"
    wide = within(TOWN, beside, 60.0)
    assert wide and set(wide) <= set(all_windows(TOWN))
    assert replace(strip, left_px=strip.left_px - STEP_PX) == wide[0]


@pytest.mark.parametrize(("sigma_m", "reach"), [(-1, 2), (float("nan"), 2), (5, -1)])
def test_an_uncertainty_that_is_none(sigma_m, reach):
    with pytest.raises(UsageError, match="uncertainty"):
        within(TOWN, TOWN.lon_lat(LEFT + 5, TOP + 5), sigma_m, reach)


def test_all_windows_cover_every_position(plane):
    places = list(all_windows(plane))
    assert len(set(places)) == len(places) == count_windows(plane)
    left, top, right, bottom = plane.extent_px
    rng = np.random.default_rng(3)
    for x, y in rng.uniform((left, top), (right, bottom), (50, 2)):
        assert nearest_window(plane, plane.lon_lat(x, y)) in places


def test_a_map_smaller_than_a_window():
    small = Plane((LEFT + 100, TOP + 100, LEFT + 500, TOP + 400))
    places = list(all_windows(small))
    assert nearest_window(small, small.lon_lat(LEFT + 300, TOP + 250)) in places
    assert 1 <= len(places) <= 4


@settings(max_examples=200, deadline=None)
@given(
    corner=st.tuples(st.integers(-1500, 1500), st.integers(-1500, 1500)),
    wide=st.integers(1, 2500),
    high=st.integers(1, 2500),
    size_px=st.integers(1, 1600),
)
def test_the_count_is_that_of_the_windows_whatever_their_size(corner, wide, high, size_px):
    """Against all places whose cell meets the map and whose window holds a pixel of it."""
    left, top = LEFT + corner[0], TOP + corner[1]
    small = Plane((left, top, left + wide, top + high))

    def along(first, behind):
        starts = range((first // STEP_PX - 9) * STEP_PX, behind + 9 * STEP_PX, STEP_PX)
        middles = [(at, at + size_px / 2) for at in starts if at < behind and at + size_px > first]
        half = STEP_PX / 2
        return [at for at, amid in middles if amid - half < behind and amid + half > first]

    expected = {(x, y) for x in along(left, left + wide) for y in along(top, top + high)}
    places = list(all_windows(small, size_px))
    assert {(place.left_px, place.top_px) for place in places} == expected
    assert len(places) == len(expected) == count_windows(small, size_px)


@pytest.mark.parametrize("size_px", [256, 512, 768, 2048])
def test_other_window_sizes(size_px):
    places = list(all_windows(TOWN, size_px))
    assert all(place.width_px == size_px for place in places)
    at = TOWN.lon_lat(LEFT + 2345, TOP + 1234)
    found = nearest_window(TOWN, at, size_px)
    assert found in places
    assert abs(found.left_px + size_px / 2 - LEFT - 2345) <= 256 + 1e-3


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(PLANES)),
    x=st.tuples(st.floats(-0.4, 1.4), st.floats(0.02, 0.8)),
    y=st.tuples(st.floats(-0.4, 1.4), st.floats(0.02, 0.8)),
)
def test_bbox_holds_the_windows_of_its_positions(name, x, y):
    plane = PLANES[name]
    left, top, right, bottom = plane.extent_px
    x1, y1 = left + x[0] * (right - left), top + y[0] * (bottom - top)
    x2, y2 = x1 + x[1] * (right - left), y1 + y[1] * (bottom - top)
    corners = [plane.lon_lat(a, b) for a in (x1, x2) for b in (y1, y2)]
    south, north = min(c[1] for c in corners), max(c[1] for c in corners)
    west = corners[0][0] if name != "utm" else min(c[0] for c in corners)
    east = corners[2][0] if name != "utm" else max(c[0] for c in corners)
    try:
        places = list(in_bbox(plane, west, south, east, north))
    except WindowError:
        assert x2 <= left + 20 or x1 >= right - 20 or y2 <= top + 20 or y1 >= bottom - 20
        return
    everything = set(all_windows(plane))
    assert set(places) <= everything
    x_low, x_high = max(x1, left), min(x2, right)
    y_low, y_high = max(y1, top), min(y2, bottom)
    for across in np.linspace(x_low + 1, x_high - 1, 7):
        for down in np.linspace(y_low + 1, y_high - 1, 7):
            if x_low < across < x_high and y_low < down < y_high:
                assert nearest_window(plane, plane.lon_lat(across, down)) in places
    # north of the grid is 1.9 degrees off true north there, so the box of degrees is larger
    slack = 256 + (0.034 * 5000 if name == "utm" else 1)
    for place in places:
        assert x1 - slack <= place.left_px + 512 <= x2 + slack
        assert y1 - slack <= place.top_px + 512 <= y2 + slack


def test_bbox_of_the_whole_world(plane):
    expected = list(all_windows(plane))
    assert list(in_bbox(plane, -180, -90, 180, 90)) == expected
    assert list(in_bbox(plane, -180, -85, 179.999999, 85)) == expected


def test_bbox_on_a_map_of_the_whole_world():
    few = list(in_bbox(WHOLE, 11.5, 48.1, 11.501, 48.101))
    assert 1 <= len(few) <= 12
    assert nearest_window(WHOLE, (11.5005, 48.1005)) in few


def test_bbox_over_the_date_line():
    west, south = DATE_LINE.lon_lat(WORLD - 600, TOP + 900)
    east, north = DATE_LINE.lon_lat(WORLD + 600, TOP + 300)
    assert west > 0 > east
    centres = {place.left_px + 512 for place in in_bbox(DATE_LINE, west, south, east, north)}
    assert min(centres) < WORLD < max(centres)


def test_bbox_elsewhere(plane):
    with pytest.raises(WindowError, match="outside the map") as caught:
        in_bbox(plane, 30, 10, 31, 11)
    assert "box 30,10,31,11" in caught.value.found


@pytest.mark.parametrize("box", [(1, 2, 1, 3), (1, 3, 2, 3), (1, 4, 2, 3), (float("nan"), 1, 2, 3)])
def test_a_box_that_is_none(box):
    with pytest.raises(UsageError, match="west,south,east,north"):
        in_bbox(TOWN, *box)


def test_a_place_is_a_value():
    assert WindowPlace(0, 512) == WindowPlace(0, 512, 1024, 1024)
