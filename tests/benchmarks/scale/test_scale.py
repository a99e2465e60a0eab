"""The command measures a sample and extrapolates by the formulas that it prints."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.command import bench
from benchmarks.scale.areas import parse_area
from benchmarks.scale.estimate import Device, area_cost, search_cost
from benchmarks.scale.sample import Spread, WindowCost, measure_windows
from benchmarks.scale.study import given_device
from edge.encoding import BundleEncoder
from edge.errors import OutputError, UsageError, WindowError
from edge.feature_header import read_header
from edge.localizer import Localizer
from edge.tiles.lattice import all_windows, count_windows
from edge.tiles.opening import open_map

ZOOM = 19
COST = WindowCost(
    windows=5,
    read=Spread(10.0, 9.0, 11.0),
    encode=Spread(80.0, 70.0, 90.0),
    write=Spread(10.0, 9.0, 11.0),
    whole=Spread(100.0, 90.0, 110.0),
    load=Spread(2.0, 1.0, 3.0),
    locate=Spread(8.0, 7.0, 9.0),
    record_bytes=8_000_000,
    int8_record_bytes=4_000_000,
    index_bytes=200.0,
    map_windows=49,
    map_m=(600.0, 600.0),
    map_gsd_m=0.25,
)


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """8 x 8 tiles, some of them missing, 0.30 m per pixel at the equator."""
    path = tmp_path_factory.mktemp("map") / "town.mbtiles"
    rng = np.random.default_rng(3)
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER,"
        " tile_data BLOB, PRIMARY KEY (zoom_level, tile_column, tile_row))"
    )
    for column in range(8):
        for row in range(8):
            if column < 5 or row < 5:
                image = cv2.resize(rng.integers(0, 255, (16, 16, 3), np.uint8), (256, 256))
                data = cv2.imencode(".jpg", image)[1].tobytes()
                key = (ZOOM, 262_144 + column, 262_144 + row, data)
                database.execute("INSERT INTO tiles VALUES (?,?,?,?)", key)
    database.commit()
    database.close()
    return path


def test_an_area_is_windows_times_what_one_costs():
    devices = (Device("here", 100.0, True), Device("board", 50.0, False))
    cost = area_cost(parse_area("12.8x12.8"), 0.25, COST, devices, (1, 4), 0.25)
    assert cost.windows == pytest.approx(101**2) and cost.km2 == pytest.approx(163.84)
    hours = [(h.device, h.count, h.dense, h.sparse, h.measured) for h in cost.hours]
    one = 101**2 * 0.1 / 3600
    wanted = [
        ("here", 1, one, one / 4, True),
        ("here", 4, one / 4, one / 16, True),
        ("board", 1, one / 2, one / 8, False),
        ("board", 4, one / 8, one / 32, False),
    ]
    for found, expected in zip(hours, wanted, strict=True):
        assert found == (
            *expected[:2],
            pytest.approx(expected[2]),
            pytest.approx(expected[3]),
            expected[4],
        )
    assert cost.float16_bytes == pytest.approx(101**2 * 8_000_200)
    assert cost.int8_bytes == pytest.approx(101**2 * 4_000_200)
    assert cost.sparse_int8_bytes == pytest.approx(cost.int8_bytes / 4)


def test_a_search_is_windows_times_load_and_locate():
    found = search_cost(64.0, 0.25, COST)  # r = s: 1 + 4 + pi
    assert found.windows == pytest.approx(8.1416, abs=1e-4)
    assert found.ms == pytest.approx(81.416, abs=1e-3)


def test_a_sample_is_measured_on_the_map(town, tiny_bundle, tmp_path):
    opened, seen = open_map(town), []
    how = BundleEncoder(tiny_bundle, threads=1), Localizer.open(tiny_bundle, threads=1)
    cost = measure_windows(opened, tiny_bundle, *how, tmp_path / "s", 99, seen.append)
    grid = opened.grid(0.3)
    places = list(all_windows(grid, 128))
    full = [p for p in places if grid.read(p.left_px, p.top_px, 128, 128).valid.any()]
    assert cost.map_windows == count_windows(grid, 128)
    assert len(places) > cost.windows == len(full)
    assert seen == list(range(1, len(full) + 1))
    header = read_header(tmp_path / "s")
    assert cost.record_bytes == header.record_bytes
    assert header.record_bytes / 3 < cost.int8_record_bytes < header.record_bytes
    data = (tmp_path / "s" / "features.bin").stat().st_size
    assert data == cost.windows * cost.record_bytes
    assert cost.index_bytes * cost.windows == pytest.approx(
        (tmp_path / "s" / "index.jsonl").stat().st_size
    )
    for spread in (cost.read, cost.encode, cost.write, cost.whole, cost.load, cost.locate):
        assert 0 < spread.least_ms <= spread.mean_ms <= spread.most_ms
    parts = cost.read.mean_ms + cost.encode.mean_ms + cost.write.mean_ms
    assert cost.whole.mean_ms == pytest.approx(parts)
    assert cost.map_m == pytest.approx((8 * 256 * 0.2986,) * 2, rel=0.01)


def test_the_size_in_int8_is_that_of_an_int8_store(town, tiny_bundle, tmp_path):
    opened = open_map(town)
    how = BundleEncoder(tiny_bundle, threads=1), Localizer.open(tiny_bundle, threads=1)
    plain = measure_windows(opened, tiny_bundle, *how, tmp_path / "s", 2)
    small = BundleEncoder(tiny_bundle, threads=1, features="int8")
    grid = opened.grid(tiny_bundle.manifest.window.gsd_m)
    left, top, *_ = grid.extent_px
    from edge.feature_header import FeatureHeader, tensor_specs

    specs = tensor_specs(small.encode(grid.read(left, top, 128, 128)).tensors)
    header = FeatureHeader(model_id="m", map_id="t", gsd_m=0.3, zoom=19, tensors=specs)
    assert plain.int8_record_bytes == header.record_bytes


def test_a_map_without_imagery_in_the_sample(town, tiny_bundle, tmp_path, monkeypatch):
    opened = open_map(town)
    monkeypatch.setattr("benchmarks.scale.sample._evenly", lambda grid, size, count: iter(()))
    how = BundleEncoder(tiny_bundle, threads=1), Localizer.open(tiny_bundle, threads=1)
    with pytest.raises(WindowError, match="no window of the sample"):
        measure_windows(opened, tiny_bundle, *how, tmp_path / "s", 3)


def call(*words):
    return CliRunner().invoke(bench, ["scale", *map(str, words)], catch_exceptions=False)


def test_the_command(town, tiny_bundle, tmp_path):
    out = tmp_path / "scale.json"
    words = ("--bundle", tiny_bundle.path, "--tiles", town, "--sample", 4, "--threads", 1)
    more = ("--device", "Orin Nano=40", "--kept-share", 0.5, "--gsd-m", 0.25, "--out", out)
    result = call(*words, *more)
    assert result.exit_code == 0
    for text in (
        "MEASURED on 4 windows of town.mbtiles",
        "EXTRAPOLATED, s = 512 px x 0.25 m = 128 m",
        "windows = (width/s + 1) (height/s + 1)",
        "hours, 8 x Orin Nano",
        "Orin Nano: its time for a window is given (--device), not measured here.",
        "a share of 0.5, which is given (--kept-share), not measured",
        "windows = 1 + 4 r/s + pi (r/s)^2",
    ):
        assert text in result.output
    row = next(line for line in result.output.splitlines() if line.startswith("10 x 10 km"))
    assert "6,261" in row  # (10,000 / 128 + 1)^2
    values = json.loads(out.read_text())
    assert values["schema"] == "tilefix-scale/1" and len(values["areas"]) == 3
    area = values["areas"][1]
    mean_ms = values["measured"]["whole"]["mean_ms"]
    assert area["hours"][0]["dense"] == pytest.approx(area["windows"] * mean_ms / 3.6e6)
    assert area["hours"][3]["dense"] == pytest.approx(area["windows"] * 40 / 3.6e6 / 8)
    assert area["sparse_float16_bytes"] == pytest.approx(area["float16_bytes"] / 2)


def test_a_latitude_counts_in_the_pixels_of_its_zoom(town, tiny_bundle):
    words = ("--bundle", tiny_bundle.path, "--tiles", town, "--sample", 1, "--area", "10x10")
    output = call(*words, "--latitude", 47, "--gsd-m", 0.25).output
    assert "zoom 19 at latitude 47, nearest to 0.25 m as given" in output
    windows = float(re.search(r"10 x 10 km +100 +([\d,]+)", output)[1].replace(",", ""))
    assert windows == pytest.approx((10_000 / (512 * 0.20363) + 1) ** 2, rel=1e-3)


@pytest.mark.parametrize("text", ["Orin", "=3", "Orin=", "Orin=-1", "Orin=nan", "Orin=inf", "x=0"])
def test_no_device(text):
    with pytest.raises(UsageError, match="--device names no device"):
        given_device(text)
    assert given_device("a = b=3".replace(" = b", "")) == Device("a", 3.0, False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--gsd-m", 0), "a positive number of metres per pixel"),
        (("--gsd-m", -1), "a positive number of metres per pixel"),
        (("--area", "big"), "WIDTHxHEIGHT in kilometres, such as 10x10, or country:NAME_KM2"),
        (("--latitude", 85.1), "degrees from -85 to 85"),
        (("--latitude", -89), "degrees from -85 to 85"),
    ],
)
def test_slips(town, tiny_bundle, words, expected):
    with pytest.raises(UsageError) as caught:
        call("--bundle", tiny_bundle.path, "--tiles", town, "--sample", 1, *words)
    assert caught.value.expected == expected


def test_a_file_in_the_place_of_a_folder_is_refused_before_all_work(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.scale.study.study", lambda *given, **more: pytest.fail("work"))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"--out .*file is no folder"):
        call("--out", tmp_path / "file" / "scale.json")
    with pytest.raises(OutputError, match="is a folder") as caught:
        call("--out", tmp_path)
    assert caught.value.do == f"write --out {tmp_path / 'scale.json'}"


def test_a_place_that_cannot_be_written(town, tiny_bundle, tmp_path):
    words = ("--bundle", tiny_bundle.path, "--tiles", town, "--sample", 1)
    (tmp_path / "scale.json.part").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        call(*words, "--out", tmp_path / "scale.json")
