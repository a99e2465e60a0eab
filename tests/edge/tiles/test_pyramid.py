"""Windows out of tile maps of every format."""

from __future__ import annotations

import logging
import threading
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import MapError, UsageError, WindowError
from edge.geodesy import MercatorGeometry
from edge.tiles import FILL_RGB, open_map
from edge.tiles.pyramid import TileExtent, tile_extent

ZOOM = 12
WORLD = 256 * 2**ZOOM
BLOCK = [(ZOOM, x, y) for x in range(2000, 2006) for y in range(1300, 1305)]


def expected(paint, keys, left, top, width, height, zoom=ZOOM):
    """The window pixel by pixel, straight from the definition."""
    world = 256 * 2**zoom
    y, x = np.ogrid[top : top + height, left : left + width]
    x = x % world
    have = {(column, row) for z, column, row in keys if z == zoom}
    valid = np.zeros((height, width), bool)
    for column, row in have:
        valid |= (x // 256 == column) & (y // 256 == row)
    image = np.where(valid[:, :, None], paint(x, y, zoom), FILL_RGB)
    return image.astype(np.uint8), valid


def check(grid, paint, keys, left, top, width=1024, height=1024, zoom=ZOOM):
    window = grid.read(left, top, width, height)
    image, valid = expected(paint, keys, left, top, width, height, zoom)
    np.testing.assert_array_equal(window.valid, valid)
    np.testing.assert_array_equal(window.image, image)
    assert window.image.shape == (height, width, 3)
    return window


@pytest.mark.parametrize(
    "corner",
    [
        (2000 * 256, 1300 * 256),  # on the corner of a tile
        (2000 * 256 + 37, 1300 * 256 + 201),  # over edges of tiles
        (2000 * 256 - 500, 1300 * 256 - 900),  # hanging over the imagery
        (2005 * 256 + 200, 1304 * 256 + 255),
        (100, 100),  # nothing there
    ],
)
def test_windows_over_tile_edges(write_map, paint, corner):
    tile_map = open_map(write_map(BLOCK))
    window = check(tile_map.at_zoom(ZOOM), paint, BLOCK, *corner)
    assert window.window_id == f"z{ZOOM}/x{corner[0]}/y{corner[1]}"
    assert window.geometry == MercatorGeometry(ZOOM, *corner)
    assert window.map_id == tile_map.map_id
    tile_map.close()


def test_missing_tiles_are_masked(write_map, paint):
    keys = [key for key in BLOCK if key[1:] not in {(2002, 1302), (2003, 1302)}]
    window = check(open_map(write_map(keys)).at_zoom(ZOOM), paint, keys, 2001 * 256, 1301 * 256)
    assert window.coverage == pytest.approx(14 / 16)


def test_antimeridian(write_map, paint):
    last = 2**ZOOM - 1
    keys = [(ZOOM, x, y) for x in (last - 1, last, 0, 1, 2) for y in range(1300, 1304)]
    tile_map = open_map(write_map(keys))
    grid = tile_map.at_zoom(ZOOM)
    left, _, right, _ = grid.extent_px
    assert (left, right) == ((last - 1) * 256, WORLD + 3 * 256)
    window = check(grid, paint, keys, WORLD - 300, 1300 * 256)
    assert window.coverage == 1.0
    again = grid.read(-300, 1300 * 256)  # the same place named from the other side
    assert again.window_id == window.window_id
    np.testing.assert_array_equal(again.image, window.image)
    west, _, east, _ = tile_map.bounds_lon_lat_deg
    assert west > 179 and -180 < east < -179
    assert window.geometry.lon_lat_deg(np.array([[0.0, 0], [1024, 0]]))[1, 0] < -179


def test_poles(write_map, paint):
    keys = [(ZOOM, 7, 0), (ZOOM, 8, 0), (ZOOM, 7, 2**ZOOM - 1)]
    grid = open_map(write_map(keys)).at_zoom(ZOOM)
    north = check(grid, paint, keys, 7 * 256, -400)
    assert 0 < north.coverage < 0.2
    check(grid, paint, keys, 7 * 256, WORLD - 100)
    assert grid.read(7 * 256, -5000).coverage == 0.0


def test_a_world_smaller_than_the_window(write_map, paint):
    keys = [(1, x, y) for x in (0, 1) for y in (0, 1)]
    grid = open_map(write_map(keys)).at_zoom(1)
    check(grid, paint, keys, 100, -100, zoom=1)


@pytest.fixture(scope="module")
def chequered(tmp_path_factory, map_writers):
    write, tile_png = map_writers
    path = tmp_path_factory.mktemp("chequered") / "map.mbtiles"
    with closing(open_map(write(path, {key: tile_png(key) for key in BLOCK[::2]}, {}))) as opened:
        yield opened.at_zoom(ZOOM)


@settings(max_examples=40, deadline=None)
@given(
    left=st.integers(2000 * 256 - 1500, 2007 * 256),
    top=st.integers(1300 * 256 - 1500, 1306 * 256),
    width=st.integers(1, 700),
    height=st.integers(1, 700),
)
def test_any_window(chequered, paint, left, top, width, height):
    check(chequered, paint, BLOCK[::2], left, top, width, height)


def test_partly_transparent_tile(write_map, paint, tile_png):
    alpha = np.zeros((256, 256), np.uint8)
    alpha[:, 100:] = 255
    key = (ZOOM, 2000, 1300)
    window = (
        open_map(write_map({key: tile_png(key, alpha)}))
        .at_zoom(ZOOM)
        .read(2000 * 256, 1300 * 256, 256, 256)
    )
    np.testing.assert_array_equal(window.valid, alpha == 255)
    assert (window.image[:, :100] == FILL_RGB).all()
    y, x = np.mgrid[1300 * 256 : 1301 * 256, 2000 * 256 + 100 : 2001 * 256]
    np.testing.assert_array_equal(window.image[:, 100:], paint(x, y, ZOOM))


@pytest.mark.parametrize("harm", ["truncated", "flipped", "empty", "small"])
def test_a_broken_tile_is_masked_and_logged_once(write_map, paint, tile_png, caplog, harm):
    import cv2

    tiles = {key: tile_png(key) for key in BLOCK}
    bad = (ZOOM, 2002, 1302)
    data = bytearray(tiles[bad])
    data[len(data) // 2] ^= 0xFF
    small = cv2.imencode(".png", np.zeros((128, 128, 3), np.uint8))[1].tobytes()
    harmed = {"truncated": data[:2000], "flipped": data, "empty": b"", "small": small}
    tiles[bad] = bytes(harmed[harm])
    tile_map = open_map(write_map(tiles))
    grid = tile_map.at_zoom(ZOOM)
    keys = [key for key in BLOCK if key != bad]
    with caplog.at_level(logging.WARNING, logger="tilefix.tiles"):
        check(grid, paint, keys, 2001 * 256, 1301 * 256, 600, 600)
        tile_map.cache.clear()
        check(grid, paint, keys, 2001 * 256 + 9, 1301 * 256, 600, 600)
    assert tile_map.broken == {bad}
    assert [r.getMessage().count("x2002 y1302 does not decode") for r in caplog.records] == [1]


def test_a_truncated_jpeg_is_not_grey_imagery(write_map, tile_png):
    import cv2

    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", noise)[1].tobytes()
    good, bad = (ZOOM, 2000, 1300), (ZOOM, 2001, 1300)
    path = write_map({good: jpeg, bad: jpeg[: len(jpeg) // 2]})
    window = open_map(path).at_zoom(ZOOM).read(2000 * 256, 1300 * 256, 512, 256)
    assert window.valid[:, :256].all() and not window.valid[:, 256:].any()


def test_zoom_nearest_to_the_sampling_distance(write_map):
    keys = [(z, 2000 * 2 ** (z - 12), 1300 * 2 ** (z - 12)) for z in (12, 13, 15)]
    tile_map = open_map(write_map(keys))
    by_zoom = {zoom: tile_map.at_zoom(zoom).gsd_m for zoom in (12, 13, 15)}
    assert by_zoom[12] == pytest.approx(2 * by_zoom[13], rel=0.01)
    assert tile_map.grid(by_zoom[13]).zoom == 13
    assert tile_map.grid(by_zoom[13] * 1.35).zoom == 13
    assert tile_map.grid(by_zoom[13] * 1.5).zoom == 12
    assert tile_map.grid(by_zoom[15] * 1.9).zoom == 15
    with pytest.raises(MapError, match="no zoom near") as caught:
        tile_map.grid(by_zoom[15] / 2.1)
    assert "zoom 15" in caught.value.found and "--zoom" in caught.value.do
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="ground sampling distance"):
            tile_map.grid(wrong)


def test_gsd_is_that_of_the_ground(write_map):
    import pyproj

    tile_map = open_map(write_map(BLOCK))
    grid = tile_map.at_zoom(ZOOM)
    left, top, right, bottom = grid.extent_px
    middle = np.array([[(right - left) / 2, (bottom - top) / 2]])
    ends = grid.geometry(left, top).lon_lat_deg(middle + np.array([[-10, 0], [10, 0]]))
    metres = pyproj.Geod(ellps="WGS84").inv(*ends[0], *ends[1])[2] / 20
    assert grid.gsd_m == pytest.approx(metres, rel=0.005)
    west, south, east, north = tile_map.bounds_lon_lat_deg
    corner = MercatorGeometry(ZOOM, left, top).lon_lat_deg(np.zeros((1, 2)))[0]
    assert (west, north) == pytest.approx(tuple(corner), abs=1e-9)
    assert south < north and west < east


@pytest.mark.parametrize("size", [(0, 10), (10, -1)])
def test_a_window_without_area(write_map, size):
    with pytest.raises(WindowError, match="no area"):
        open_map(write_map(BLOCK[:1])).at_zoom(ZOOM).read(0, 0, *size)


def test_accuracy_of_the_imagery(write_map):
    tile_map = open_map(write_map(BLOCK[:1], imagery_ce90_m="4.5"))
    assert tile_map.imagery_ce90_m == 4.5
    assert tile_map.at_zoom(ZOOM).read(0, 0, 10, 10).imagery_ce90_m == 4.5


@pytest.mark.parametrize("text", ["good", "-1", "nan"])
def test_accuracy_that_is_no_length(write_map, text):
    with pytest.raises(MapError, match="imagery_ce90_m: metres") as caught:
        open_map(write_map(BLOCK[:1], imagery_ce90_m=text))
    assert text in caught.value.found and "--imagery-ce90-m" in caught.value.do


def test_no_statement_of_accuracy(write_map):
    assert open_map(write_map(BLOCK[:1])).imagery_ce90_m is None


def test_vector_tiles_are_refused(write_map):
    path = write_map({(3, 1, 1): b"\x1f\x8b\x08pbf"}, format="pbf")
    with pytest.raises(MapError, match="not a map of 256-px pictures") as caught:
        open_map(path)
    assert "format: pbf" in caught.value.found


def test_other_tile_sizes_are_refused(write_map):
    import cv2

    data = cv2.imencode(".png", np.zeros((512, 512, 3), np.uint8))[1].tobytes()
    with pytest.raises(MapError, match="512 x 512 px"):
        open_map(write_map({(3, 1, 1): data}))


def test_the_identity_follows_the_content(write_map, tile_png):
    tiles = {key: tile_png(key) for key in BLOCK}
    first = open_map(write_map(tiles)).map_id
    assert len(first) == 64
    assert open_map(write_map(tiles, "copy")).map_id == first
    assert open_map(write_map(tiles, "named", name="other")).map_id != first
    tiles[BLOCK[3]] = tile_png(BLOCK[4])
    assert open_map(write_map(tiles, "other")).map_id != first


def test_threads_read_the_same(write_map, paint):
    tile_map = open_map(write_map(BLOCK))
    grid = tile_map.at_zoom(ZOOM)
    failures = []

    def fly(seed):
        rng = np.random.default_rng(seed)
        for _ in range(6):
            left = 2000 * 256 + int(rng.integers(-200, 800))
            top = 1300 * 256 + int(rng.integers(-200, 800))
            try:
                check(grid, paint, BLOCK, left, top, 400, 400)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=fly, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    tile_map.close()


def test_one_query_per_window(make_mbtiles, tmp_path, tile_png, monkeypatch):
    path = make_mbtiles(tmp_path / "m.mbtiles", {key: tile_png(key) for key in BLOCK}, {})
    tile_map = open_map(path)
    grid = tile_map.at_zoom(ZOOM)
    asked = []
    fetch = tile_map.source._query
    monkeypatch.setattr(
        tile_map.source, "_query", lambda *values: (asked.append(values), fetch(*values))[1]
    )
    grid.read(2000 * 256 + 7, 1300 * 256 + 7)
    assert len(asked) == 1
    grid.read(2000 * 256 + 17, 1300 * 256 + 9)  # all tiles at hand
    assert len(asked) == 1
    grid.read(2001 * 256 + 17, 1300 * 256 + 9)  # one more column
    assert len(asked) == 2
    plan = fetch("EXPLAIN QUERY PLAN " + asked[1][0], asked[1][1])
    assert all("tile_column=? AND tile_row>?" in row[3] for row in plan), plan


@pytest.mark.parametrize(
    ("columns", "left", "right"),
    [([5, 6, 7], 5, 8), ([0, 1, 63], 63, 66), ([62, 63], 62, 64), ([0], 0, 1), (range(64), 0, 64)],
)
def test_extent_takes_the_shorter_way_round(columns, left, right):
    assert tile_extent(columns, 3, 9, 6) == TileExtent(left, 3, right, 9)
