"""Maps, windows and frames of pairs files, against OpenCV, rasterio and plain arithmetic."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import PairsError
from edge.pairs import read_pairs
from edge.pairs_images import PairsMapImage, read_frame, read_map, window_for
from edge.types import FILL_RGB

UTM = [500000.0, 0.5, 0.0, 5000000.0, 0.0, -0.5]
LABELS = Path(__file__).resolve().parents[2] / "benchmarks" / "pairs"


def picture(height=300, width=400, seed=0):
    noise = np.random.default_rng(seed).integers(0, 200, (height // 10 + 1, width // 10 + 1, 3))
    return cv2.resize(noise.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)


@pytest.fixture
def site(tmp_path):
    """Write a map and one frame; return the opened pairs file."""

    def make(map_bgr=None, *, map_file="map.png", frame_wh=(640, 480), geotransform=None, **of_map):
        image = picture() if map_bgr is None else map_bgr
        if not (tmp_path / map_file).exists():
            cv2.imwrite(str(tmp_path / map_file), image)
        height, width = image.shape[:2]
        stated = {"file": map_file, "width": width, "height": height, "gsd_m": 0.5} | of_map
        if geotransform:
            stated |= {"epsg": 32633, "geotransform": geotransform}
        values = {
            "schema": "tilefix-pairs/1",
            "map": stated,
            "objects": [{"id": "a", "box_xyxy_px": [10, 20, 40, 60]}],
            "frames": [
                {
                    "file": "1.png",
                    "width": frame_wh[0],
                    "height": frame_wh[1],
                    "clicks": [{"object_id": "a", "x": 5, "y": 5}],
                }
            ],
        }
        (tmp_path / "site.json").write_text(json.dumps(values))
        return read_pairs(tmp_path / "site.json")

    return make


def test_a_map_is_read_as_rgb(site):
    bgr = picture()
    found = read_map(site(bgr))
    np.testing.assert_array_equal(found.image, bgr[..., ::-1])
    assert found.valid.all()
    assert found.geometry is None
    assert len(found.map_id) == 64


def test_alpha_and_the_nodata_colour_are_no_imagery(site):
    bgra = np.dstack([picture(), np.full((300, 400), 255, np.uint8)])
    bgra[:50, :, 3] = 0
    bgra[250:, :, :3] = 255
    bgra[100:105, 100:105, :3] = 255  # a white roof is none
    found = read_map(site(bgra, nodata_rgb=[255, 255, 255]))
    assert not found.valid[:50].any()
    assert not found.valid[250:].any()
    assert found.valid[50:250].all()
    assert (found.image[~found.valid] == FILL_RGB).all()


def test_a_geotiff_is_read_without_a_word(site, tmp_path, capfd):
    rasterio = pytest.importorskip("rasterio", reason="writes the GeoTIFF")
    from rasterio.transform import Affine

    bgr = picture()
    profile = {"driver": "GTiff", "width": 400, "height": 300, "count": 3, "dtype": "uint8"}
    transform = Affine(0.5, 0, 500000.0, 0, -0.5, 5000000.0)
    with rasterio.open(
        tmp_path / "map.tif", "w", crs="EPSG:32633", transform=transform, **profile
    ) as sink:
        sink.write(np.moveaxis(bgr[..., ::-1], 2, 0))
    found = read_map(site(bgr, map_file="map.tif", geotransform=UTM))
    np.testing.assert_array_equal(found.image, bgr[..., ::-1])
    assert capfd.readouterr().err == ""


def test_a_small_map_is_one_padded_window(site):
    (only,) = window_for(read_map(site(geotransform=UTM)), gsd_m=1.0)
    window = only.window
    assert window.image.shape == (1024, 1024, 3)
    assert window.valid.sum() == 200 * 150
    assert window.valid[437:587, 412:612].all()  # in the middle
    assert (window.image[~window.valid] == FILL_RGB).all()
    area = cv2.resize(picture()[..., ::-1], (200, 150), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(window.image[437:587, 412:612], area)


def test_labels_follow_the_map_into_the_window_and_onto_the_earth(site):
    from pyproj import Transformer

    found = read_map(site(geotransform=UTM))
    to_wgs84 = Transformer.from_crs(32633, 4326, always_xy=True)
    for gsd_m in (0.3, 0.5, 1.0):
        for each in window_for(found, gsd_m):
            box = each.box_to_window((10, 20, 40, 60))
            assert each.box_to_map(box) == pytest.approx((10, 20, 40, 60))
            corner = each.window.geometry.lon_lat_deg(np.array([box[:2]]))[0]
            expected = to_wgs84.transform(500000 + 0.5 * 10, 5000000 - 0.5 * 20)
            np.testing.assert_allclose(corner, expected, atol=1e-9)
            metres = each.window.geometry.metres_per_px(np.array([[0.0, 0.0]]))[0]
            np.testing.assert_allclose(metres, gsd_m, rtol=0.01)


sizes = st.integers(30, 1500)


@settings(deadline=None, max_examples=30)
@given(sizes, sizes, st.sampled_from([256, 512]))
def test_windows_of_a_large_map_cover_it_with_a_step_of_half_a_window(width, height, size_px):
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.arange(width) % 251  # columns and rows can be told apart
    image[..., 1] = (np.arange(height) % 241)[:, None]
    whole = PairsMapImage(image, np.ones((height, width), bool), 0.5, None, "id", None)
    seen = np.zeros((height, width), int)
    for each in window_for(whole, 0.5, size_px):
        assert each.window.image.shape == (size_px, size_px, 3)
        left, top = (int(v) for v in each.offset_xy_px)
        if width > size_px:
            assert left % (size_px // 2) == 0
        rows, columns = np.nonzero(each.window.valid)
        seen[rows + top, columns + left] += 1
        np.testing.assert_array_equal(
            each.window.image[rows, columns], image[rows + top, columns + left]
        )
    assert seen.min() >= 1
    assert seen.max() <= 4


def test_a_map_without_any_imagery_is_refused(site):
    white = np.full((300, 400, 3), 255, np.uint8)
    with pytest.raises(PairsError) as caught:
        window_for(read_map(site(white, nodata_rgb=[255, 255, 255])), 0.5)
    assert "has no imagery" in str(caught.value)


def test_an_mbtiles_map_counts_from_its_top_left(site, tmp_path):
    """The same picture as GeoTIFF-like file and as tiles lies at the same place."""
    import sqlite3

    zoom, column, row = 19, 281000, 181000
    tile = picture(256, 256)
    path = tmp_path / "map.mbtiles"
    with sqlite3.connect(path) as base:
        base.execute("create table metadata (name text, value text)")
        base.executemany(
            "insert into metadata values (?, ?)",
            [("format", "png"), ("minzoom", str(zoom)), ("maxzoom", str(zoom))],
        )
        base.execute(
            "create table tiles (zoom_level int, tile_column int, tile_row int, tile_data blob)"
        )
        data = cv2.imencode(".png", tile)[1].tobytes()
        tms = 2**zoom - 1 - row
        base.execute("insert into tiles values (?, ?, ?, ?)", (zoom, column, tms, data))
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (row + 0.5) / 2**zoom))))
    gsd_m = 40075016.686 / 2**zoom / 256 * np.cos(np.radians(lat))
    found = read_map(site(tile, map_file="map.mbtiles", gsd_m=gsd_m))
    np.testing.assert_array_equal(found.image, tile[..., ::-1])
    corner = found.geometry.lon_lat_deg(np.array([[0.0, 0.0]]))[0]
    north = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * row / 2**zoom))))
    np.testing.assert_allclose(corner, (column / 2**zoom * 360 - 180, north), atol=1e-9)


def test_a_map_of_another_size_is_refused(site):
    with pytest.raises(PairsError) as caught:
        read_map(site(width=401))
    text = str(caught.value)
    assert "another size" in text and "401 x 300 px" in text and "400 x 300 px" in text


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_an_unreadable_map_is_refused(site, tmp_path, data):
    (tmp_path / "map.png").write_bytes(data)
    with pytest.raises(PairsError) as caught:
        read_map(site())
    assert "the map" in str(caught.value) and "cannot be read" in str(caught.value)


def test_a_map_of_16_bits_is_refused(site):
    with pytest.raises(PairsError) as caught:
        read_map(site(np.zeros((300, 400), np.uint16)))
    assert "8 bits per channel" in str(caught.value) and "uint16" in str(caught.value)


def test_a_frame_of_another_size_is_scaled_to_the_stated_one(site, tmp_path):
    bgr = picture(240, 320)
    cv2.imwrite(str(tmp_path / "1.png"), bgr)
    pairs = site()
    frame = read_frame(pairs, pairs.frames[0], index=3)
    assert frame.image.shape == (480, 640, 3)
    assert (frame.index, frame.source) == (3, "1.png")
    np.testing.assert_array_equal(frame.image[200, 300], bgr[100, 150, ::-1])


def test_a_frame_is_turned_as_its_exif_says_where_that_fits(site, tmp_path):
    """A portrait stored lying, orientation 6, as phones do."""
    from PIL import Image

    lying = Image.fromarray(picture(480, 640)[..., ::-1].copy())
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "1.png", exif=exif)
    upright = site(frame_wh=(480, 640))
    turned = np.rot90(np.asarray(lying), -1)
    np.testing.assert_array_equal(read_frame(upright, upright.frames[0]).image, turned)
    as_stored = site(frame_wh=(640, 480))
    np.testing.assert_array_equal(read_frame(as_stored, as_stored.frames[0]).image, lying)


def test_a_frame_of_another_shape_is_refused(site, tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), picture(300, 300))
    pairs = site()
    with pytest.raises(PairsError) as caught:
        read_frame(pairs, pairs.frames[0])
    text = str(caught.value)
    assert "another shape" in text and "640 x 480 px" in text and "300 x 300 px" in text


@pytest.mark.parametrize("name", ["brighton", "caliterra"])
def test_the_real_images_fit_their_labels(name):
    root = os.environ.get("TILEFIX_DATA")
    pairs = read_pairs(LABELS / f"{name}.json")
    if not any((place / pairs.map.file).exists() for place in pairs.image_roots):
        pytest.skip(f"the imagery is not committed; TILEFIX_DATA is {root or 'not set'}")
    (only,) = window_for(read_map(pairs), 0.3)
    for each in pairs.objects.values():
        x1, y1, x2, y2 = (round(value) for value in only.box_to_window(each.box_xyxy_px))
        assert only.window.valid[y1:y2, x1:x2].mean() > 0.8, each.object_id
    assert read_frame(pairs, pairs.frames[0]).image.shape[1] == 1600
