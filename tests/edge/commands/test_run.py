"""`tilefix run` from the command line to files, on a map and frames whose truth is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import edge
from edge.errors import (
    BundleError,
    ClickError,
    MapError,
    SourceError,
    TelemetryError,
    UsageError,
)
from edge.geodesy import MercatorGeometry, distance_m

ZOOM, COLUMN, ROW, TILES = 19, 272976, 184402, 6  # the map is 1536 px, its corner on the lattice
GEOMETRY = MercatorGeometry(ZOOM, COLUMN * 256.0, ROW * 256.0)
SIDE = TILES * 256
# Where the 64-px frames were cut out of the map, on the cells of its windows.
SPOTS = (
    (512 + 16 * 5, 512 + 16 * 7),
    (512 + 16 * 20, 512 + 16 * 3),
    (512 + 16 * 11, 512 + 16 * 18),
)


@pytest.fixture(scope="module")
def ground():
    return np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def world(tmp_path_factory, ground, make_tiny_bundle):
    """A bundle, a map, a folder of frames, clicks and telemetry."""
    from edge.tiles.mbtiles_writer import MBTilesWriter

    folder = tmp_path_factory.mktemp("world")
    make_tiny_bundle(folder / "bundle", window_wh_px=(512, 512))
    with MBTilesWriter(folder / "map.mbtiles", {"name": "noise", "format": "png"}) as writer:
        for row in range(TILES):
            for column in range(TILES):
                tile = ground[256 * row : 256 * row + 256, 256 * column : 256 * column + 256]
                writer.put(ZOOM, COLUMN + column, ROW + row, png(tile))
    (folder / "frames").mkdir()
    poses = ["frame,lon,lat"]
    for index, (x, y) in enumerate(SPOTS):
        (folder / f"frames/{index}.png").write_bytes(png(ground[y : y + 64, x : x + 64]))
        lon, lat = lon_lat(x + 32, y + 32)
        poses.append(f"{index},{lon:.9f},{lat:.9f}")
    clicks = "frame,id,x,y\n" + "".join(f"{n},a,24,24\n{n},b,40,56\n" for n in range(3))
    (folder / "clicks.csv").write_text(clicks)
    (folder / "telemetry.csv").write_text("\n".join(poses) + "\n")
    return folder


def png(image):
    return cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()


def lon_lat(x, y):
    return tuple(GEOMETRY.lon_lat_deg(np.array([[x, y]], np.float64))[0].tolist())


def options(world, out, **changes):
    values = {
        "bundle": world / "bundle",
        "tiles": world / "map.mbtiles",
        "source": world / "frames",
        "clicks": world / "clicks.csv",
        "telemetry": world / "telemetry.csv",
        "prior": "none",
        "out": out,
        **changes,
    }
    return [word for key, value in values.items() if value for word in (f"--{key}", str(value))]


def invoke(arguments):
    from edge.commands.run import run

    return CliRunner().invoke(run, arguments, catch_exceptions=False)


def encode(world, tile_map, store, *more):
    from edge.commands.tiles import tiles

    words = ["encode", "--bundle", world / "bundle", "--tiles", tile_map, "--store", store, *more]
    done = CliRunner().invoke(tiles, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return store


def records(out):
    return [json.loads(line) for line in (out / "fixes.jsonl").read_text().splitlines()]


def test_a_folder_of_frames_becomes_positions_on_the_map(world, tmp_path):
    done = invoke([*options(world, tmp_path), "--overlay"])
    assert done.exit_code == 0
    found = records(tmp_path)
    assert [(r["frame_index"], r["click_id"]) for r in found] == [
        (n, name) for n in range(3) for name in ("a", "b")
    ]
    for record in found:
        x, y = SPOTS[record["frame_index"]]
        dx, dy = record["click_xy_px"]
        assert record["verdict"] == "accepted", record["reason"]
        # within the cell of 16 px that was clicked, so within 16 * sqrt(2) * 0.2 m
        assert distance_m(record["lon_lat_deg"], lon_lat(x + dx, y + dy)) < 4.7
    features = json.loads((tmp_path / "fixes.geojson").read_text())["features"]
    assert len(features) == 2 * len(found)
    picture = cv2.imread(str(tmp_path / "overlay.png"))
    assert picture.shape[:2] == (764, 1588)
    film = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == 3
    for words in ("6 accepted", "whole frame", "median", "overlay.mp4"):
        assert words in done.output


def test_the_summary_as_json(world, tmp_path):
    done = invoke([*options(world, tmp_path), "--json"])
    summary = json.loads(done.output)
    assert (summary["frames"], summary["fixes"], summary["dropped"]) == (3, 6, 0)
    assert summary["verdicts"]["accepted"] == 6
    assert {stage["name"] for stage in summary["stages"]} >= {
        "encode_ms",
        "localize_ms",
        "total_ms",
    }
    assert summary["stopped"] is False and summary["unused_clicks"] == 0


def test_one_position_with_a_sigma_for_all_frames(world, tmp_path):
    lon, lat = lon_lat(768, 768)
    changes = {"telemetry": None, "position": f"{lon},{lat},40"}
    invoke(options(world, tmp_path, **changes))
    assert {record["verdict"] for record in records(tmp_path)} == {"accepted"}


def test_a_position_off_the_map_is_refused_before_the_run(world, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="--position lies outside the map") as caught:
        invoke(options(world, out, telemetry=None, position="10,10"))
    west, south = lon_lat(0, SIDE)
    assert f"lon {west:.5f} to" in caught.value.expected
    assert f"lat {south:.5f} to" in caught.value.expected
    assert "lon 10.000000, lat 10.000000" in caught.value.found
    assert "longitude comes first" not in caught.value.do
    lon, lat = lon_lat(768, 768)
    for sigma in ("", ",40"):
        with pytest.raises(UsageError) as caught:
            invoke(options(world, out, position=f"{lat},{lon}{sigma}"))
        assert caught.value.do == f"longitude comes first: --position {lon},{lat} lies on the map"
    assert not out.exists()


def test_a_large_map_needs_a_position(world, tmp_path, monkeypatch):
    monkeypatch.setattr("edge.window_choice.MOST_WINDOWS", 3)
    with pytest.raises(UsageError, match="nothing says where") as caught:
        invoke(options(world, tmp_path / "out", telemetry=None))
    assert "more than 3 windows" in caught.value.expected
    assert "--telemetry" in caught.value.found and "--position" in caught.value.do
    assert not (tmp_path / "out").exists()


def test_a_pose_off_the_map_amid_the_telemetry_is_a_verdict(world, tmp_path):
    text = (world / "telemetry.csv").read_text().splitlines()
    (tmp_path / "poses.csv").write_text("\n".join([*text[:3], "2,10,10"]) + "\n")
    done = invoke(options(world, tmp_path / "out", telemetry=tmp_path / "poses.csv"))
    assert done.exit_code == 0
    verdicts = [record["verdict"] for record in records(tmp_path / "out")]
    assert verdicts == ["accepted"] * 4 + ["no_window"] * 2
    assert "outside the map" in done.output


def test_a_stored_window_gives_the_same_fixes(world, tmp_path):
    store = encode(world, world / "map.mbtiles", tmp_path / "store")
    invoke(options(world, tmp_path / "a"))
    fresh = invoke([*options(world, tmp_path / "b", store=store), "--json"])
    stages = {stage["name"] for stage in json.loads(fresh.output)["stages"]}
    assert "encode_ms" not in stages  # nothing was encoded in flight
    first, second = records(tmp_path / "a"), records(tmp_path / "b")
    for record in first + second:
        del record["timings"]
    assert first == second


def test_clicks_on_frames_that_never_come_are_said(world, tmp_path):
    (tmp_path / "clicks.csv").write_text("frame,id,x,y\n0,a,24,24\n77,a,1,1\n")
    done = invoke(options(world, tmp_path / "out", clicks=tmp_path / "clicks.csv"))
    said = " ".join(done.output.split())
    assert "1 click is on a frame that never came (77)" in said
    assert "frames gave frames 0 to 2" in said
    assert "1 of 3 frames" in done.output


def test_an_error_amid_the_flight_keeps_what_was_done(world, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for name in ("0.png", "1.png"):
        (frames / name).write_bytes((world / "frames" / name).read_bytes())
    (frames / "2.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match=r"2\.png cannot be read"):
        invoke(options(world, tmp_path / "out", source=frames))
    assert len(records(tmp_path / "out")) == 4
    assert len(json.loads((tmp_path / "out/fixes.geojson").read_text())["features"]) == 8


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"source": "none.mp4"}, SourceError, "none.mp4 does not exist"),
        ({"clicks": "none.csv"}, ClickError, "click file none.csv cannot be read"),
        ({"telemetry": "none.csv"}, TelemetryError, "telemetry file none.csv cannot be read"),
        ({"position": "52"}, UsageError, "LON,LAT,sigma_m"),
        ({"tiles": "none.mbtiles"}, MapError, "none.mbtiles"),
        ({"bundle": "nowhere"}, BundleError, "no readable bundle at nowhere"),
        ({"prior": "alignment"}, BundleError, "--prior none"),
    ],
)
def test_bad_options_name_what_is_wrong(world, tmp_path, monkeypatch, changes, error, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        invoke(options(world, tmp_path / "out", **changes))
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_help_says_what_time_is():
    words = " ".join(invoke(["--help"]).output.split())
    assert "seconds from the first frame of a video" in words
    assert "for live sources it is Unix time" in words


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_was_done_and_leaves_a_whole_geojson(world, tmp_path, number):
    video = tmp_path / "frames"
    video.mkdir()
    picture = (world / "frames/0.png").read_bytes()
    for index in range(3000):
        (video / f"{index}.png").write_bytes(picture)
    clicks = "frame,id,x,y\n" + "".join(f"{n},a,24,24\n" for n in range(3000))
    (tmp_path / "clicks.csv").write_text(clicks)
    lon, lat = lon_lat(*SPOTS[0])
    out = tmp_path / "out"
    words = options(
        world, out, source=video, clicks=tmp_path / "clicks.csv", telemetry=None,
        position=f"{lon},{lat}",
    )  # fmt: skip
    home = str(Path(edge.__file__).resolve().parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", "from edge.cli import main; main()", "run", *words],
        env={**os.environ, "PYTHONPATH": home}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until_s = time.monotonic() + 60
        lines = out / "fixes.jsonl"
        while time.monotonic() < until_s and not (
            lines.exists() and lines.read_bytes().count(b"\n") > 3
        ):
            time.sleep(0.05)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped:" in output
    found = records(out)
    assert [record["frame_index"] for record in found] == list(range(len(found)))
    assert 3 < len(found) < 3000
    assert len(json.loads((out / "fixes.geojson").read_text())["features"]) == 2 * len(found)
