"""The pairs format: what is read, and every way in which a file is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge.errors import GeoreferenceError, PairsError
from edge.pairs import read_pairs

UTM = [500000.0, 0.5, 0.0, 5000000.0, 0.0, -0.5]
LABELS = Path(__file__).resolve().parents[2] / "benchmarks" / "pairs"


def content():
    """A complete file; tests break one thing of it."""
    return {
        "schema": "tilefix-pairs/1",
        "notes": ["CC0"],
        "map": {
            "file": "map.png",
            "width": 400,
            "height": 300,
            "gsd_m": 0.5,
            "epsg": 32633,
            "geotransform": UTM,
        },
        "objects": [
            {"id": "barn", "class": "building", "box_xyxy_px": [10, 20, 40, 60]},
            {"id": "pool", "box_xyxy_px": [0, 0, 400, 300]},
        ],
        "frames": [
            {
                "file": "frames/1.jpg",
                "width": 640,
                "height": 480,
                "yaw_deg": 31.5,
                "clicks": [
                    {"object_id": "barn", "x": 100.5, "y": 0, "visible": "partial"},
                    {"object_id": None, "x": 640, "y": 480},
                ],
            }
        ],
    }


@pytest.fixture
def write(tmp_path):
    def put(values):
        path = tmp_path / "site.json"
        path.write_text(values if isinstance(values, str) else json.dumps(values))
        return path

    return put


def refusal(write, values, error=PairsError):
    with pytest.raises(error) as caught:
        read_pairs(write(values))
    return str(caught.value)


def test_all_that_a_file_says_is_read(write):
    pairs = read_pairs(write(content()))
    assert pairs.name == "site"
    assert pairs.notes == ("CC0",)
    assert (pairs.map.width_px, pairs.map.height_px, pairs.map.gsd_m) == (400, 300, 0.5)
    assert pairs.map.geometry.geotransform == tuple(UTM)
    assert pairs.map.geometry.epsg == 32633
    assert pairs.objects["barn"].object_class == "building"
    assert pairs.objects["barn"].box_xyxy_px == (10, 20, 40, 60)
    frame = pairs.frames[0]
    assert (frame.file, frame.width_px, frame.height_px) == ("frames/1.jpg", 640, 480)
    assert frame.yaw_deg == 31.5
    first, second = frame.clicks
    assert (first.object_id, first.x_px, first.y_px, first.partial) == ("barn", 100.5, 0, True)
    assert (second.object_id, second.partial) == (None, False)
    assert [each.click_id for each in frame.as_clicks()] == ["0", "1"]


def test_without_an_epsg_code_there_is_no_position(write):
    values = content()
    values["map"]["epsg"] = None
    assert read_pairs(write(values)).map.geometry is None


def test_the_geotransform_is_in_the_order_of_gdal(write):
    from pyproj import Transformer

    pairs = read_pairs(write(content()))
    x, y = 500000.0 + 0.5 * 100, 5000000.0 - 0.5 * 40
    expected = Transformer.from_crs(32633, 4326, always_xy=True).transform(x, y)
    got = pairs.map.geometry.lon_lat_deg(np.array([[100.0, 40.0]]))[0]
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_another_order_of_the_geotransform_is_noticed(write):
    values = content()
    values["map"]["geotransform"] = [0.5, 0.0, 500000.0, 0.0, -0.5, 5000000.0]
    text = refusal(write, values)
    assert "map.geotransform and map.gsd_m disagree" in text
    assert "x0, dx_col, dx_row, y0, dy_col, dy_row" in text


def broken(change):
    values = content()
    change(values)
    return values


def change_click(**values):
    return lambda v: v["frames"][0]["clicks"][0].update(values)


REFUSED = {
    "unknown key": (lambda v: v.update(framez=[]), ["unknown key at $", "'framez'", "'frames'"]),
    "unknown key of the map": (
        lambda v: v["map"].update(gsdm=1),
        ["unknown key at $.map", "did you mean 'gsd_m'?", "found:    'gsdm'"],
    ),
    "unknown key of an object": (
        lambda v: v["objects"][0].update(klass="x"),
        ["unknown key at $.objects", "'klass'", "did you mean 'class'?"],
    ),
    "unknown key of a click": (
        change_click(visble="full"),
        ["unknown key at $.frames[0].clicks[0]", "did you mean 'visible'?"],
    ),
    "missing key": (lambda v: v["map"].pop("gsd_m"), ["$.map", "missing", "`gsd_m`"]),
    "wrong type": (change_click(x="left"), ["$.frames[0].clicks[0].x", "got `str`"]),
    "visible": (change_click(visible="half"), ["clicks[0].visible", "'half'"]),
    "box of three": (
        lambda v: v["objects"][0].update(box_xyxy_px=[1, 2, 3]),
        ["box_xyxy_px", "length 4"],
    ),
    "box outside": (
        lambda v: v["objects"][0].update(box_xyxy_px=[10, 20, 401, 60]),
        ["box of object 'barn' lies outside the map", "0 to 400 across", "401"],
    ),
    "box turned": (
        lambda v: v["objects"][0].update(box_xyxy_px=[40, 20, 10, 60]),
        ["box of object 'barn' has no area", "x1 < x2 and y1 < y2"],
    ),
    "click outside": (
        change_click(x=640.5),
        ["click on 'barn' lies outside the frame frames/1.jpg", "x from 0 to 640", "640.5"],
    ),
    "unknown object": (
        change_click(object_id="bran"),
        ["unknown object_id", "did you mean 'barn'?", "found:    'bran'"],
    ),
    "two objects of one id": (
        lambda v: v["objects"][1].update(id="barn"),
        ["two entries have one object id", "found:    'barn'"],
    ),
    "two frames of one file": (
        lambda v: v["frames"].append(v["frames"][0]),
        ["two entries have one frame", "'frames/1.jpg'"],
    ),
    "no name": (lambda v: v["objects"][0].update(id=""), ["an object has no name"]),
    "no clicks": (
        lambda v: v["frames"][0].update(clicks=[]),
        ["there are no clicks", "1 frames without any"],
    ),
    "no area": (lambda v: v["map"].update(width=0), ["map has no area", "0 x 300 px"]),
    "frame without area": (lambda v: v["frames"][0].update(height=0), ["640 x 0 px"]),
    "gsd": (lambda v: v["map"].update(gsd_m=-0.5), ["map.gsd_m is no length", "-0.5"]),
    "no geotransform": (
        lambda v: v["map"].pop("geotransform"),
        ["an EPSG code and no geotransform", '"epsg": null', "32633"],
    ),
    "nodata": (
        lambda v: v["map"].update(nodata_rgb=[0, 0, 256]),
        ["map.nodata_rgb is no colour", "256"],
    ),
    "schema": (
        lambda v: v.update(schema="tilefix-pairs/2"),
        ["another schema", '"tilefix-pairs/1"', '"tilefix-pairs/2"', "convert"],
    ),
    "no schema": (lambda v: v.pop("schema"), ["another schema", '"schema": null']),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_file_is_refused(write, name):
    change, words = REFUSED[name]
    text = refusal(write, broken(change))
    assert "site.json" in text
    for word in [*words, "\n  expected: ", "\n  found:    ", "\n  do:       "]:
        assert word in text, text


def test_what_is_not_json_is_refused(write):
    text = refusal(write, '{"schema": ')
    assert "is not JSON" in text
    assert "truncated" in text


def test_a_list_is_refused(write):
    assert "a value at $ is wrong" in refusal(write, "[]")


def test_an_unsupported_epsg_code_is_named(write):
    values = content()
    values["map"]["epsg"] = 27700
    text = refusal(write, values, GeoreferenceError)
    assert "EPSG:27700" in text


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PairsError) as caught:
        read_pairs(tmp_path / "none.json")
    assert "none.json cannot be read" in str(caught.value)
    assert "No such file" in str(caught.value)


def test_images_are_sought_beside_the_file_then_below_the_variable(write, tmp_path, monkeypatch):
    path = write(content())
    root = tmp_path / "data"
    (root / "frames").mkdir(parents=True)
    (root / "frames/1.jpg").touch()
    monkeypatch.setenv("TILEFIX_DATA", str(root))
    assert read_pairs(path).locate("frames/1.jpg") == root / "frames/1.jpg"
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames/1.jpg").touch()
    assert read_pairs(path).locate("frames/1.jpg") == tmp_path / "frames/1.jpg"


def test_a_folder_of_images_replaces_both(write, tmp_path, monkeypatch):
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames/1.jpg").touch()
    monkeypatch.setenv("TILEFIX_DATA", str(tmp_path))
    pairs = read_pairs(write(content()), images=tmp_path / "elsewhere")
    with pytest.raises(PairsError) as caught:
        pairs.locate("frames/1.jpg")
    text = str(caught.value)
    assert "an image of" in text and "is missing" in text
    assert str(tmp_path / "elsewhere" / "frames/1.jpg") in text
    assert "--images DIR" in text and "TILEFIX_DATA" in text


@pytest.mark.parametrize("site", ["brighton", "caliterra"])
def test_the_labels_of_this_repository_are_sound(site):
    pairs = read_pairs(LABELS / f"{site}.json")
    clicks = [click for frame in pairs.frames for click in frame.clicks]
    assert {c.object_id for c in clicks} - {None} == set(pairs.objects)  # none without a sighting
    assert any("BSD" in note or "CC0" in note for note in pairs.notes)
    assert any("never called" in note for note in pairs.notes)  # a satellite score


def test_the_labels_are_as_many_as_promised():
    sites = [read_pairs(LABELS / f"{site}.json") for site in ("brighton", "caliterra")]
    clicks = [c for pairs in sites for frame in pairs.frames for c in frame.clicks]
    assert sum(c.object_id is not None for c in clicks) >= 60
    assert sum(len(pairs.objects) for pairs in sites) >= 25
    assert sum(c.object_id is None for c in clicks) >= 12
