"""`tilefix run` from the command line to files, on a map and frames whose truth is known."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from run_world import SPOTS, encode, invoke, lon_lat, options, records

import edge
from edge.errors import (
    BundleError,
    ClickError,
    MapError,
    SourceError,
    TelemetryError,
    UsageError,
)
from edge.geodesy import distance_m


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
    text = (world / "clicks.csv").read_text().splitlines()
    outside = [line if not line.startswith("2,") else "2,far,9999,1" for line in text]
    (tmp_path / "clicks.csv").write_text("\n".join(dict.fromkeys(outside)) + "\n")
    with pytest.raises(ClickError, match="'far' lies outside the frame"):
        invoke(options(world, tmp_path / "out", clicks=tmp_path / "clicks.csv"))
    assert len(records(tmp_path / "out")) == 4
    assert len(json.loads((tmp_path / "out/fixes.geojson").read_text())["features"]) == 8


def test_a_picture_that_cannot_be_read_is_left_out_and_named(world, tmp_path):
    """The frames after it keep their numbers, and the exit code says that one is missing."""
    frames = tmp_path / "frames"
    shutil.copytree(world / "frames", frames)
    (frames / "1.png").write_bytes(b"broken")
    done = invoke(options(world, tmp_path / "out", source=frames), code=5)
    assert {record["frame_index"] for record in records(tmp_path / "out")} == {0, 2}
    assert {record["verdict"] for record in records(tmp_path / "out")} == {"accepted"}
    said = " ".join(done.output.split())
    words = f"the picture {frames / '1.png'} cannot be read (6 bytes that no decoder understands)"
    assert f"warning: left out: {words}" in said
    assert "left out: 1 picture that cannot be read" in said
    assert "2 clicks are on frames that never came, or could not be read (1)" in said
    done = invoke([*options(world, tmp_path / "json", source=frames), "--json"], code=5)
    (unreadable,) = json.loads(done.stdout)["unreadable"]
    assert unreadable.startswith(f"the picture {frames / '1.png'} cannot be read: 6 bytes")


def test_where_a_disk_is_gone_a_few_pictures_are_named(world, tmp_path):
    frames = tmp_path / "frames"
    shutil.copytree(world / "frames", frames)
    for index in range(3, 40):
        (frames / f"{index}.png").write_bytes(b"")
    done = invoke(options(world, tmp_path / "out", source=frames), code=5)
    assert done.output.count("warning: left out:") == 10
    assert done.output.count("more pictures are left out") == 1
    for name in ("0.png", "1.png", "2.png"):
        (frames / name).write_bytes(b"")
    with pytest.raises(SourceError, match="not one picture of"):
        invoke(options(world, tmp_path / "none", source=frames))


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
