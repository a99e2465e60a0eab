"""Places on the map, and which of them are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_flights import make_map, make_request

import calibration.selection.windows as windows
from calibration.selection.windows import list_maps, places_of, scan_windows, spread_order
from edge.errors import MapError
from edge.tiles.lattice import all_windows


class NoShards:
    """Nothing is kept."""

    def get(self, name):
        return None

    def put(self, name, candidates):
        self.last = name


def scanned(request):
    listed = list_maps(request)
    try:
        return scan_windows(listed, request, NoShards(), None, lambda done: None)
    finally:
        for each in listed:
            each.tiles.close()


@given(st.integers(0, 3000))
def test_the_order_visits_each_once(count):
    assert sorted(spread_order(count)) == list(range(count))


def test_any_first_part_of_the_order_is_spread():
    order = list(spread_order(1000))
    for part in (20, 50, 200):
        gaps = np.diff(sorted([*order[:part], 1000]))
        assert gaps.max() <= 4 * 1000 / part


def test_a_large_map_gives_its_lattice_and_a_small_one_more(tmp_path):
    (listed,) = list_maps(make_request(["a"], [make_map(tmp_path / "m.mbtiles")]))
    lattice = set(all_windows(listed.grid, 64))
    places, step = places_of(listed.grid, 64, wanted=len(lattice))
    assert (set(places), step) == (lattice, 512)
    places, step = places_of(listed.grid, 64, wanted=len(lattice) + 1)
    assert step == 256
    left, top, right, bottom = listed.grid.extent_px
    for place in places:
        assert place.left_px % 256 == 0
        assert place.top_px % 256 == 0
        assert left <= place.left_px + 32 <= right
        assert top <= place.top_px + 32 <= bottom
    assert len(set(places)) == len(places)
    places, step = places_of(listed.grid, 64, wanted=10**6)
    assert step == 128
    listed.tiles.close()


def test_windows_without_imagery_are_seen_as_such(tmp_path):
    request = make_request(["a"], [make_map(tmp_path / "m.mbtiles", hole=True)], windows=40)
    found = scanned(request)
    poor = [each for each in found if each.poor]
    assert {each.poor for each in poor} == {"too little imagery"}
    assert 0 < len(poor) < len(found)
    assert all(each.sha256 and each.words.startswith("z19/x") for each in found if not each.poor)


def test_looking_stops_where_enough_have_imagery(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "SHARD", 4)
    path = make_map(tmp_path / "m.mbtiles", hole=True)
    request = make_request(["a"], [path], windows=30, most_window_candidates=10)
    found = scanned(request)
    fit = sum(not each.poor for each in found)
    assert 10 <= fit < 10 + 4  # the shard in which it was reached is finished
    assert len(found) < len(scanned(make_request(["a"], [path], windows=30)))


def test_a_map_without_such_a_zoom_is_closed_and_refused(tmp_path):
    path = make_map(tmp_path / "m.mbtiles")
    with pytest.raises(MapError, match="has no zoom near 5 m/px"):
        list_maps(make_request(["a"], [path], gsd_m=5.0))
    with pytest.raises(MapError):
        list_maps(make_request(["a"], [path, tmp_path / "nowhere"]))
