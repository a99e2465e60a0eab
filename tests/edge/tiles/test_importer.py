"""GeoTIFF to MBTiles: the same ground at the same place."""

from __future__ import annotations

import sqlite3

import cv2
import numpy as np
import pyproj
import pytest

from edge.errors import GeoreferenceError, MapError, OutputError, UsageError
from edge.geodesy import distance_m
from edge.tiles import FILL_RGB, open_map
from edge.tiles.importer import plan_import, run_import
from edge.tiles.mbtiles_writer import MBTilesWriter

rasterio = pytest.importorskip("rasterio", reason="the extra geo is not installed")

GSD = 0.4
CORNERS = {  # metres (degrees) per pixel, x, y
    32632: (GSD, 692_000.0, 5_335_000.0),
    32733: (GSD, 300_000.0, 8_000_000.0),
    2180: (GSD, 637_000.0, 486_000.0),
    3857: (GSD * 1.5, 1_290_000.0, 6_130_000.0),
    4326: (4e-6, 11.57, 48.13),
    2154: (GSD, 650_000.0, 6_860_000.0),  # Lambert 93: only GDAL knows it
    32660: (GSD, 828_000.0, 1_000_000.0),  # 180 E runs through it
}


def ground(size=(700, 900)):
    """Smooth noise with a white disc at column 500.5, row 300.5."""
    noise = np.random.default_rng(2).integers(0, 90, (size[0] // 10, size[1] // 10, 3), np.uint8)
    image = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)
    cv2.circle(image, (500, 300), 20, (255, 255, 255), -1, cv2.LINE_AA)
    return image


def centroid(window):
    weight = np.maximum(window.image.min(axis=2).astype(float) - 128, 0) * window.valid
    y, x = np.mgrid[0 : weight.shape[0], 0 : weight.shape[1]] + 0.5
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def write(make_tif, path, epsg, image=None, **profile):
    step, x0, y0 = CORNERS[epsg]
    bands = np.moveaxis(ground() if image is None else image, 2, 0)
    return make_tif(path, bands, (step, 0, x0, 0, -step, y0), epsg, **profile)


def truth(epsg, column=500.5, row=300.5):
    step, x0, y0 = CORNERS[epsg]
    to_wgs84 = pyproj.Transformer.from_crs(epsg, 4326, always_xy=True)
    return to_wgs84.transform(x0 + column * step, y0 - row * step)


def window_around(tile_map, zoom, position, size=512):
    grid = tile_map.at_zoom(zoom)
    x, y = grid.geometry(0, 0).xy_px(np.array([position]))[0]
    return grid.read(round(x) - size // 2, round(y) - size // 2, size, size)


@pytest.mark.parametrize("epsg", CORNERS)
def test_the_disc_comes_to_its_place_at_every_zoom(tmp_path, make_tif, epsg):
    source = write(make_tif, tmp_path / "ortho.tif", epsg)
    plan = plan_import(source)
    out = run_import(plan, tmp_path / "map.mbtiles", quality=95)
    tile_map = open_map(out)
    assert tile_map.zooms == tuple(range(plan.min_zoom, plan.zoom + 1))
    best = tile_map.at_zoom(plan.zoom)
    assert 1 / 1.5 < best.gsd_m / plan.native_gsd_m < 1.5
    assert tile_map.at_zoom(plan.min_zoom).gsd_m <= 1.01
    for zoom in tile_map.zooms:
        window = window_around(tile_map, zoom, truth(epsg), 128)
        found = window.geometry.lon_lat_deg(centroid(window)[None])[0]
        assert distance_m(found, truth(epsg)) < 0.1, zoom
    tile_map.close()


def test_import_equals_the_raster_itself(tmp_path, make_tif):
    """The MBTiles map and the GeoTIFF reader are two ways to the same pixels."""
    source = write(make_tif, tmp_path / "ortho.tif", 3857)
    plan = plan_import(source, zoom=18, min_zoom=18)
    tile_map = open_map(run_import(plan, tmp_path / "map.mbtiles", quality=95))
    window = window_around(tile_map, 18, truth(3857), 256)
    corners = window.geometry.lon_lat_deg(np.array([[0.0, 0.0], [256.0, 256.0]]))
    with rasterio.open(source) as dataset:
        to_plane = pyproj.Transformer.from_crs(4326, 3857, always_xy=True)
        (x1, x2), (y1, y2) = to_plane.transform(corners[:, 0], corners[:, 1])
        affine = rasterio.transform.from_bounds(x1, y2, x2, y1, 256, 256)
        expected = np.zeros((3, 256, 256), np.uint8)
        rasterio.warp.reproject(
            rasterio.band(dataset, [1, 2, 3]),
            expected,
            dst_transform=affine,
            dst_crs="EPSG:3857",
            resampling=rasterio.enums.Resampling.bilinear,
        )
    assert np.abs(window.image.astype(int) - np.moveaxis(expected, 0, 2)).mean() < 2


def test_empty_ground_comes_back_as_not_valid(tmp_path, make_tif):
    image = np.maximum(ground(), 1)
    image[200:450, 100:350] = 0
    source = write(make_tif, tmp_path / "ortho.tif", 32632, image, nodata=0)
    plan = plan_import(source)
    tile_map = open_map(run_import(plan, tmp_path / "map.mbtiles"))
    for zoom in tile_map.zooms:
        hole = window_around(tile_map, zoom, truth(32632, 225, 325), 32)
        assert not hole.valid.any() and (hole.image == FILL_RGB).all()
        full = window_around(tile_map, zoom, truth(32632), 32)
        assert full.valid.all()
        everything = window_around(tile_map, zoom, truth(32632, 450, 350), 2048)
        area = everything.valid.sum() * tile_map.at_zoom(zoom).gsd_m ** 2
        expected = (700 * 900 - 250 * 250) * plan.native_gsd_m**2
        assert area == pytest.approx(expected, rel=0.02), zoom
        seen = everything.image[everything.valid]
        assert np.abs(seen.mean(axis=0) - image[image.any(axis=2)].mean(axis=0)).max() < 3


def test_metadata(tmp_path, make_tif):
    source = write(make_tif, tmp_path / "ortho.tif", 32632)
    plan = plan_import(source)
    out = run_import(plan, tmp_path / "map.mbtiles", imagery_ce90_m=4.5, name="Town")
    rows = dict(sqlite3.connect(out).execute("SELECT name, value FROM metadata"))
    assert rows["name"] == "Town" and rows["format"] == "jpg" and rows["imagery_ce90_m"] == "4.5"
    assert int(rows["minzoom"]) == plan.min_zoom and int(rows["maxzoom"]) == plan.zoom
    west, south, east, north = map(float, rows["bounds"].split(","))
    here = truth(32632)
    assert west < here[0] < east and south < here[1] < north
    assert open_map(out).imagery_ce90_m == 4.5


def test_the_same_import_is_the_same_map(tmp_path, make_tif):
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632))
    first = run_import(plan, tmp_path / "a.mbtiles")
    second = run_import(plan, tmp_path / "b.mbtiles")
    assert open_map(first).map_id == open_map(second).map_id
    third = run_import(plan, tmp_path / "c.mbtiles", quality=50)
    assert open_map(third).map_id != open_map(first).map_id


def test_progress_and_no_leftovers(tmp_path, make_tif):
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632))
    steps = []
    out = run_import(plan, tmp_path / "out" / "map.mbtiles", progress=lambda *s: steps.append(s))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == steps[-1][1] > 10
    assert [path.name for path in out.parent.iterdir()] == ["map.mbtiles"]


def test_an_interrupted_import_leaves_nothing(tmp_path, make_tif):
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632))

    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_import(plan, tmp_path / "map.mbtiles", progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["ortho.tif"]


def test_an_existing_map_is_kept(tmp_path, make_tif):
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632))
    out = tmp_path / "map.mbtiles"
    out.write_text("precious")
    with pytest.raises(OutputError, match="already there") as caught:
        run_import(plan, out)
    assert "--replace" in caught.value.do and out.read_text() == "precious"
    run_import(plan, out, replace=True)
    assert open_map(out).zooms[-1] == plan.zoom


def test_a_full_disk(tmp_path, make_tif, monkeypatch):
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632))

    class Full(MBTilesWriter):
        def __init__(self, *values, **named):
            super().__init__(*values, **named)
            self._database.execute("PRAGMA max_page_count = 30")

    monkeypatch.setattr("edge.tiles.importer.MBTilesWriter", Full)
    with pytest.raises(OutputError, match="cannot be written") as caught:
        run_import(plan, tmp_path / "map.mbtiles")
    assert caught.value.exit_code == 14 and "with room" in caught.value.expected
    assert "full" in caught.value.found and "free some room" in caught.value.do
    assert [path.name for path in tmp_path.iterdir()] == ["ortho.tif"]


@pytest.mark.parametrize("place", ["file", "/proc"])
def test_a_folder_that_cannot_be_written(tmp_path, make_tif, place):
    """A file in the way, and a file system in which not even root makes files."""
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632))
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written") as caught:
        run_import(plan, tmp_path / place / "map.mbtiles")
    assert caught.value.do == "check the folder, or choose another with --out"
    assert caught.value.exit_code == 14


def test_a_tile_that_is_put_twice_is_no_matter_of_the_disk(tmp_path):
    def twice():
        with MBTilesWriter(tmp_path / "map.mbtiles", {}) as writer:
            writer.put(3, 1, 2, b"one")
            writer.put(3, 1, 2, b"two")

    with pytest.raises(MapError, match="cannot be written") as caught:
        twice()
    assert "tiles that are new" in caught.value.expected and "UNIQUE" in caught.value.found
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "found"), [("none.tif", "No such file"), ("folder", "a folder")])
def test_a_source_that_is_not_there_is_no_broken_one(tmp_path, name, found):
    (tmp_path / "folder").mkdir()
    with pytest.raises(MapError, match="cannot be opened") as caught:
        plan_import(tmp_path / name)
    assert found in caught.value.found and caught.value.do == "check the path"


def test_nothing_in_the_source(tmp_path, make_tif):
    empty = np.zeros((300, 300, 3), np.uint8)
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632, empty, nodata=0))
    with pytest.raises(MapError, match="no tile was written"):
        run_import(plan, tmp_path / "map.mbtiles")
    assert not (tmp_path / "map.mbtiles").exists()


@pytest.mark.parametrize("zooms", [(18, 19), (25, 25), (-1, None), (18, -2)])
def test_zooms_that_cannot_be_meant(tmp_path, make_tif, zooms):
    source = write(make_tif, tmp_path / "ortho.tif", 32632)
    with pytest.raises(UsageError, match="zooms that cannot be meant") as caught:
        plan_import(source, *zooms)
    assert "0.4 m/px" in caught.value.do


@pytest.mark.parametrize("values", [{"quality": 0}, {"quality": 101}, {"imagery_ce90_m": -1.0}])
def test_values_that_cannot_be_meant(tmp_path, make_tif, values):
    plan = plan_import(write(make_tif, tmp_path / "ortho.tif", 32632))
    with pytest.raises(UsageError, match="quality or accuracy"):
        run_import(plan, tmp_path / "map.mbtiles", **values)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_no_georeference(tmp_path, make_tif):
    path = make_tif(tmp_path / "m.tif", np.moveaxis(ground(), 2, 0), None)
    with pytest.raises(GeoreferenceError, match="has no georeference"):
        plan_import(path)


def test_a_georeference_beyond_the_earth(tmp_path, make_tif):
    bands = np.moveaxis(ground(), 2, 0)
    path = make_tif(tmp_path / "m.tif", bands, (1.0, 0, 500, 0, -1.0, 5000), 4326)
    with pytest.raises(GeoreferenceError, match="cannot be placed"):
        plan_import(path)


def test_a_truncated_source(tmp_path, make_tif):
    path = write(make_tif, tmp_path / "ortho.tif", 32632)
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size // 2)
    with pytest.raises(MapError, match="is truncated"):
        plan_import(path)
    assert not (tmp_path / "map.mbtiles").exists()
