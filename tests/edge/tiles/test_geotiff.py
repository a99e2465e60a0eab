"""GeoTIFF as a map: places against PROJ, resampling against OpenCV, and what is refused."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pyproj
import pytest

from edge.errors import GeoreferenceError, MapError, UsageError
from edge.geodesy import distance_m
from edge.tiles import FILL_RGB, open_map

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 255, (3, 200, 300), np.uint8)
UTM = (0.5, 0, 692_000, 0, -0.5, 5_335_000)  # affine order: a, b, c, d, e, f
CORNERS = {
    32632: (0.5, 692_000.0, 5_335_000.0),
    32733: (0.3, 300_000.0, 8_000_000.0),
    2180: (0.25, 637_000.0, 486_000.0),
    3857: (0.6, 1_290_000.0, 6_130_000.0),
    4326: (4e-6, 11.57, 48.13),
}


def disc(size, at, radius=20):
    """A black picture with one white disc. at: (column, row)."""
    image = np.zeros((*size, 3), np.uint8)
    shift = tuple(round(v * 16) - 8 for v in at)  # centre of a pixel is half way
    cv2.circle(image, shift, radius * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return np.moveaxis(image, 2, 0)


def centroid(window):
    weight = window.image[:, :, 0].astype(float) * window.valid
    y, x = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("epsg", CORNERS)
@pytest.mark.parametrize("reduction", [0.7, 1.0, 2.5])
def test_a_disc_is_found_where_proj_says(tmp_path, make_tif, epsg, reduction):
    step, x0, y0 = CORNERS[epsg]
    path = make_tif(
        tmp_path / "m.tif", disc((240, 320), (200.5, 90.5)), (step, 0, x0, 0, -step, y0), epsg
    )
    tile_map = open_map(path)
    grid = tile_map.grid(tile_map.native_gsd_m * reduction)
    window = grid.read(-20, 10, 600, 500)
    to_wgs84 = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    truth = to_wgs84.transform(x0 + 200.5 * step, y0 - 90.5 * step)
    found = window.geometry.lon_lat_deg(centroid(window)[None])[0]
    assert distance_m(found, truth) < 0.1 * tile_map.native_gsd_m
    assert distance_m(window.geometry.lon_lat_deg(np.zeros((1, 2)))[0], found) > 10
    metres = window.geometry.metres_per_px(np.array([[180.0, 110.0]]) / reduction)[0]
    np.testing.assert_allclose(metres, grid.gsd_m, rtol=1e-4)


def test_native_pixels_come_back_exactly(tmp_path, make_tif):
    tile_map = open_map(make_tif(tmp_path / "m.tif", NOISE, UTM, 32632))
    grid = tile_map.grid(tile_map.native_gsd_m)
    assert grid.extent_px == (0, 0, 300, 200)
    window = grid.read(50, 60, 100, 90)
    np.testing.assert_array_equal(window.image, np.moveaxis(NOISE, 0, 2)[60:150, 50:150])
    assert window.valid.all() and window.map_id == tile_map.map_id


def test_windows_over_the_edge(tmp_path, make_tif):
    tile_map = open_map(make_tif(tmp_path / "m.tif", NOISE, UTM, 32632))
    grid = tile_map.grid(tile_map.native_gsd_m)
    window = grid.read(-100, -50)
    expected = np.full((1024, 1024, 3), FILL_RGB, np.uint8)
    expected[50:250, 100:400] = np.moveaxis(NOISE, 0, 2)
    np.testing.assert_array_equal(window.image, expected)
    assert window.coverage == pytest.approx(300 * 200 / 1024**2)
    assert grid.read(5000, 5000).coverage == 0.0
    assert grid.read(-3000, 20, 64, 64).coverage == 0.0


def test_windows_join_without_a_seam(tmp_path, make_tif):
    smooth = cv2.GaussianBlur(np.moveaxis(NOISE, 0, 2), (0, 0), 2)
    tile_map = open_map(make_tif(tmp_path / "m.tif", np.moveaxis(smooth, 2, 0), UTM, 32632))
    grid = tile_map.grid(1.3)
    whole = grid.read(0, 0, 100, 70).image
    parts = [[grid.read(x, y, 50, 35).image for x in (0, 50)] for y in (0, 35)]
    joined = np.vstack([np.hstack(row) for row in parts])
    assert np.abs(joined.astype(int) - whole)[2:-2, 2:-2].max() <= 1


def test_reduction_does_not_alias(tmp_path, make_tif):
    """A chequerboard of single pixels is grey at a quarter of the resolution."""
    board = np.indices((400, 400)).sum(axis=0) % 2 * 255
    bands = np.repeat(board[None].astype(np.uint8), 3, axis=0)
    tile_map = open_map(make_tif(tmp_path / "m.tif", bands, UTM, 32632))
    image = tile_map.grid(tile_map.native_gsd_m * 4).read(10, 10, 80, 80).image
    assert abs(image.mean() - 127.5) < 2 and image.std() < 4
    nearest = board[::4, ::4]
    assert nearest.std() == 0  # what a reader without a filter would give: all black or all white


def test_reduction_agrees_with_opencv(tmp_path, make_tif):
    smooth = cv2.GaussianBlur(np.moveaxis(NOISE, 0, 2), (0, 0), 4)
    tile_map = open_map(make_tif(tmp_path / "m.tif", np.moveaxis(smooth, 2, 0), UTM, 32632))
    ours = tile_map.grid(tile_map.native_gsd_m * 2).read(0, 0, 150, 100).image
    theirs = cv2.resize(smooth, (150, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(ours.astype(int) - theirs)[2:-2, 2:-2].max() <= 3


def test_overviews_serve_strong_reductions(tmp_path, make_tif):
    smooth = cv2.resize(np.moveaxis(NOISE, 0, 2), (2400, 1600), interpolation=cv2.INTER_CUBIC)
    smooth = cv2.GaussianBlur(smooth, (0, 0), 25)
    path = make_tif(tmp_path / "m.tif", np.moveaxis(smooth, 2, 0), UTM, 32632, tiled=True)
    without = open_map(path)
    plain = without.grid(5.0).read(0, 0, 240, 160).image
    without.close()
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    tile_map = open_map(path)
    helped = tile_map.grid(5.0).read(0, 0, 240, 160).image
    assert np.abs(helped.astype(int) - plain)[2:-2, 2:-2].mean() < 3
    from edge.tiles.raster import overview_for

    dataset = tile_map.dataset()
    assert [overview_for(dataset, r) for r in (1.9, 2.0, 7.9, 10.0)] == [None, 0, 1, 2]


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask"])
def test_empty_pixels_are_not_valid(tmp_path, make_tif, kind):
    bands = np.maximum(NOISE, 1)
    empty = np.zeros(bands.shape[1:], bool)
    empty[40:120, 30:90] = True
    profile = {}
    if kind == "nodata":
        bands = np.where(empty, 0, bands).astype(np.uint8)
        profile = {"nodata": 0}
    elif kind == "alpha":
        alpha = np.where(empty, 0, 255).astype(np.uint8)
        bands = np.concatenate([bands, alpha[None]])
        profile = {"photometric": "RGB", "alpha": "YES"}
    else:
        profile = {"mask": np.where(empty, 0, 255).astype(np.uint8)}
    tile_map = open_map(make_tif(tmp_path / "m.tif", bands, UTM, 32632, **profile))
    window = tile_map.grid(tile_map.native_gsd_m).read(0, 0, 300, 200)
    np.testing.assert_array_equal(window.valid, ~empty)
    assert (window.image[empty] == FILL_RGB).all()
    np.testing.assert_array_equal(window.image[~empty], np.moveaxis(bands[:3], 0, 2)[~empty])


def test_a_dark_band_is_not_empty(tmp_path, make_tif):
    """Nodata 0 means that all bands are 0; a pure red roof is imagery."""
    bands = np.zeros((3, 50, 60), np.uint8)
    bands[0, :, 30:] = 200
    tile_map = open_map(make_tif(tmp_path / "m.tif", bands, UTM, 32632, nodata=0))
    window = tile_map.grid(tile_map.native_gsd_m).read(0, 0, 60, 50)
    assert not window.valid[:, :30].any() and window.valid[:, 30:].all()
    assert (window.image[:, 30:] == (200, 0, 0)).all()


@pytest.mark.parametrize("turn_deg", [20.0, 135.0, -90.0])
def test_rotated_rasters_come_north_up(tmp_path, make_tif, turn_deg):
    turn = math.radians(turn_deg)
    c, s = 0.5 * math.cos(turn), 0.5 * math.sin(turn)
    transform = (c, s, 692_000.0, s, -c, 5_335_000.0)
    path = make_tif(tmp_path / "m.tif", disc((240, 320), (250.5, 60.5)), transform, 32632)
    tile_map = open_map(path)
    grid = tile_map.grid(0.6)
    left, top, right, bottom = grid.extent_px
    window = grid.read(left, top, right - left, bottom - top)
    east, north = (np.array(transform).reshape(2, 3) @ (250.5, 60.5, 1)).tolist()
    truth = pyproj.Transformer.from_crs(32632, 4326, always_xy=True).transform(east, north)
    found = window.geometry.lon_lat_deg(centroid(window)[None])[0]
    assert distance_m(found, truth) < 0.1
    area = window.valid.sum() * 0.6**2 / (240 * 320 * 0.5**2)
    assert area == pytest.approx(1, abs=0.01)
    ends = window.geometry.lon_lat_deg(np.array([[100.0, 100.0], [100.0, 50.0]]))
    assert ends[1, 1] > ends[0, 1]  # up is north


def test_grey_rasters(tmp_path, make_tif):
    tile_map = open_map(make_tif(tmp_path / "m.tif", NOISE[:1], UTM, 32632))
    image = tile_map.grid(tile_map.native_gsd_m).read(0, 0, 300, 200).image
    np.testing.assert_array_equal(image, np.repeat(NOISE[0][:, :, None], 3, axis=2))


def test_bands_are_taken_by_their_colour(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", NOISE, UTM, 32632, photometric="MINISBLACK")
    with rasterio.open(path, "r+") as dataset:
        names = rasterio.enums.ColorInterp
        dataset.colorinterp = (names.blue, names.green, names.red)
    tile_map = open_map(path)
    image = tile_map.grid(tile_map.native_gsd_m).read(0, 0, 300, 200).image
    np.testing.assert_array_equal(image, np.moveaxis(NOISE[::-1], 0, 2))


def test_bounds(tmp_path, make_tif):
    west, south, east, north = open_map(
        make_tif(tmp_path / "m.tif", NOISE, UTM, 32632)
    ).bounds_lon_lat_deg
    expected = rasterio.warp.transform_bounds(
        "EPSG:32632", "EPSG:4326", 692_000, 5_334_900, 692_150, 5_335_000
    )
    np.testing.assert_allclose((west, south, east, north), expected, atol=1e-8)


def test_bounds_over_the_antimeridian(tmp_path, make_tif):
    transform = (100, 0, 815_000, 0, -100, 1_000_000)  # east of zone 60 lies zone 1
    west, south, east, north = open_map(
        make_tif(tmp_path / "m.tif", np.tile(NOISE, (1, 2, 2)), transform, 32660)
    ).bounds_lon_lat_deg
    assert 179 < west < 180 and -180 < east < -179 and south < north


def test_accuracy_in_a_tag(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", NOISE, UTM, 32632)
    assert open_map(path).imagery_ce90_m is None
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(imagery_ce90_m="3.5")
    assert open_map(path).imagery_ce90_m == 3.5


def test_window_ids_hold_the_sampling_distance(tmp_path, make_tif):
    tile_map = open_map(make_tif(tmp_path / "m.tif", NOISE, UTM, 32632))
    names = {tile_map.grid(gsd).read(0, 512, 8, 8).window_id for gsd in (0.3, 0.35)}
    assert names == {"affine/0.3m/x0/y512", "affine/0.35m/x0/y512"}


def refused(path, kind):
    with pytest.raises(kind) as caught:
        tile_map = open_map(path)
        tile_map.grid(0.5).read(0, 0)
    error = caught.value
    assert all((error.what, error.expected, error.found, error.do))
    return error


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("transform", "epsg", "text"),
    [
        (None, None, "no coordinate system"),
        (None, 32632, "no geotransform"),
        (UTM, None, "no coordinate system"),
    ],
)
def test_no_georeference(tmp_path, make_tif, transform, epsg, text):
    error = refused(make_tif(tmp_path / "m.tif", NOISE, transform, epsg), GeoreferenceError)
    assert "has no georeference" in error.what and error.found == text
    assert "gdal_translate" in error.do


def test_unsupported_coordinate_system(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", NOISE, (0.5, 0, 650_000, 0, -0.5, 6_860_000), 2154)
    error = refused(path, GeoreferenceError)
    assert "EPSG:2154 is not supported" in error.what
    assert "3857" in error.expected and "2180" in error.expected
    assert "tilefix tiles import" in error.do


def test_a_truncated_file(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", NOISE, UTM, 32632)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)
    error = refused(path, MapError)
    assert "is truncated" in error.what and "copy the file again" in error.do


def test_a_file_of_rubbish(tmp_path):
    path = tmp_path / "m.tif"
    path.write_bytes(b"II*\0" + b"\xff" * 500)
    assert "cannot be read as a GeoTIFF" in refused(path, MapError).what


def test_sixteen_bits(tmp_path, make_tif):
    error = refused(make_tif(tmp_path / "m.tif", NOISE.astype(np.uint16), UTM, 32632), MapError)
    assert "8 bits" in error.what and "uint16" in error.found and "gdal_translate" in error.do


def test_a_colour_table(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", NOISE[:1], UTM, 32632)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {value: (value, 0, 0, 255) for value in range(256)})
    assert "palette" in refused(path, MapError).found


def test_a_sampling_distance_that_is_none(tmp_path, make_tif):
    tile_map = open_map(make_tif(tmp_path / "m.tif", NOISE, UTM, 32632))
    with pytest.raises(UsageError, match="positive number"):
        tile_map.grid(float("nan"))
