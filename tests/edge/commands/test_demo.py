"""`tilefix demo`: the bundled flight and pairs files, from the command to the page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

import edge
from edge import demo_loop
from edge.assembly import PriorChoice, open_bundle
from edge.commands.demo import demo
from edge.demo_flight import bundled_flight, pairs_flight, recorded_flight
from edge.demo_loop import fly
from edge.demo_report import demo_score
from edge.errors import BundleError, DataError, OutputError, PairsError, UsageError
from edge.priors import Tracker

FLIGHT = Path(edge.__file__).parent / "demo_data" / "flight"
FILES = {"index.html", "overlay.png", "fixes.geojson", "fixes.jsonl"}


@pytest.fixture(scope="module")
def short_flight(tmp_path_factory):
    """The first three frames of the bundled flight."""
    folder = tmp_path_factory.mktemp("flight")
    (folder / "frames").mkdir()
    for name in ("map.mbtiles", "telemetry.csv", "truth.json"):
        shutil.copy(FLIGHT / name, folder / name)
    lines = (FLIGHT / "clicks.csv").read_text().splitlines()
    kept = [lines[0], *(line for line in lines[1:] if int(line.split(",")[0]) < 3)]
    (folder / "clicks.csv").write_text("\n".join(kept) + "\n")
    for number in range(3):
        name = f"frames/frame_{number:03d}.jpg"
        shutil.copy(FLIGHT / name, folder / name)
    return folder


def test_three_frames_of_the_flight_against_truth(short_flight, tmp_path):
    flight = recorded_flight(short_flight, open_bundle(None), PriorChoice.ALIGNMENT)
    try:
        frames, came = fly(flight, tmp_path)
    finally:
        flight.assembly.close()
    assert [frame.index for frame in frames] == [0, 1, 2] and came == flight.count
    clicks = len((short_flight / "clicks.csv").read_text().splitlines()) - 1
    assert sum(len(frame.judged) for frame in frames) == clicks == flight.clicks
    assert all(frame.inliers is not None for frame in frames), "the flight's frames align"
    score = demo_score(frames)
    assert score.median_error_all_m < 5.0  # the way from map to truth is right
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == (764, 1588, 3)
    assert all(frame.overlay_jpeg[:2] == b"\xff\xd8" for frame in frames)
    records = [json.loads(line) for line in (tmp_path / "fixes.jsonl").read_text().splitlines()]
    assert {record["prior_source"] for record in records} == {"alignment"}


def test_the_head_alone(short_flight, tmp_path):
    flight = recorded_flight(short_flight, open_bundle(None), PriorChoice.NONE)
    frames, _ = fly(flight, tmp_path)
    flight.assembly.close()
    assert {frame.inliers for frame in frames} == {None}
    assert {j.fix.prior_source.value for frame in frames for j in frame.judged} == {"none"}


OFFLINE = """
import socket, sys
def refuse(*arguments, **options):
    raise OSError("the demo asked for the network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from edge.cli import main
main()
"""


@pytest.mark.full_size
def test_the_bundled_flight_offline_in_under_a_minute(tmp_path):
    home = str(Path(edge.__file__).resolve().parent.parent)
    start_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, "demo"], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": home, "COLUMNS": "150"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start_s < 60
    assert {path.name for path in (tmp_path / "tilefix-demo").iterdir()} == FILES
    said = " ".join(done.stdout.split())
    found = re.search(r"of \d+ fixes (\d+) accepted and right, (\d+) accepted and wrong", said)
    assert found is not None
    right, wrong = int(found[1]), int(found[2])
    readme = " ".join((Path(__file__).resolve().parents[3] / "README.md").read_text().split())
    stated = re.search(r"clicks (\d+) are accepted and right, (\d+) accepted and wrong", readme)
    assert stated is not None
    assert abs(right - int(stated[1])) <= 5 and abs(wrong - int(stated[2])) <= 3  # other processors
    median_m = re.search(r"median error ([\d.]+) m", said)
    assert median_m is not None and float(median_m[1]) < 3.0
    assert "open it: " in done.stdout and "index.html" in done.stdout
    for column in ("id", "error m", "IoU", "ms", "verdict, against truth"):
        assert column in done.stdout
    clicks = len((FLIGHT / "clicks.csv").read_text().splitlines()) - 1
    assert f"of {clicks} fixes" in done.stdout
    page = (tmp_path / "tilefix-demo" / "index.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 2


@pytest.fixture
def pairs_file(tmp_path):
    """A pairs file of a picture without any position: a part of the flight's map, one frame."""
    from edge.tiles.opening import open_map

    truth = json.loads((FLIGHT / "truth.json").read_text())
    tiles = open_map(FLIGHT / "map.mbtiles")
    grid = tiles.grid(truth["map"]["gsd_m"])
    boxes = {item["id"]: item["box_xyxy_px"] for item in truth["objects"]}
    frame = truth["frames"][22]  # one that aligns well without telemetry
    own = [boxes[click["object_id"]] for click in frame["clicks"] if click["object_id"]]
    left, top = int(min(b[0] for b in own)) - 150, int(min(b[1] for b in own)) - 150
    wide, high = int(max(b[2] for b in own)) + 150 - left, int(max(b[3] for b in own)) + 150 - top
    corner = grid.extent_px
    image = grid.read(corner[0] + left, corner[1] + top, wide, high).image
    tiles.close()
    cv2.imwrite(str(tmp_path / "map.png"), image[:, :, ::-1])
    shutil.copy(FLIGHT / frame["file"], tmp_path / "frame.jpg")
    seen = {click["object_id"] for click in frame["clicks"] if click["object_id"]}
    file = {
        "schema": "tilefix-pairs/1",
        "map": {"file": "map.png", "width": wide, "height": high, "gsd_m": truth["map"]["gsd_m"]},
        "objects": [
            {"id": name, "class": "thing", "box_xyxy_px": [
                boxes[name][0] - left, boxes[name][1] - top,
                boxes[name][2] - left, boxes[name][3] - top,
            ]}
            for name in sorted(seen)
        ],
        "frames": [{
            "file": "frame.jpg", "width": frame["width"], "height": frame["height"],
            "clicks": [
                {"object_id": click["object_id"], "x": click["x"], "y": click["y"]}
                for click in frame["clicks"]
            ],
        }],
    }  # fmt: skip
    (tmp_path / "site.json").write_text(json.dumps(file))
    return tmp_path / "site.json"


def test_a_pairs_file_without_a_position_is_shown_too(pairs_file, tmp_path):
    out = tmp_path / "out"
    arguments = ["--pairs", str(pairs_file), "--out", str(out), "--all"]
    done = CliRunner().invoke(demo, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert {path.name for path in out.iterdir()} == FILES
    assert "1 frames with" in done.output or "1 frame with" in done.output
    records = [json.loads(line) for line in (out / "fixes.jsonl").read_text().splitlines()]
    assert all(record["lon_lat_deg"] is None for record in records)
    assert {record["prior_source"] for record in records} == {"alignment"}
    assert any("building" in record["click_id"] for record in records)
    page = (out / "index.html").read_text()
    data = json.loads(page.split('type="application/json">')[1].split("</script>")[0])
    errors = [f["error_m"] for f in data["frames"][0]["fixes"] if f["error_m"] is not None]
    assert sorted(errors)[len(errors) // 2] < 4.0, errors


def test_the_labels_of_a_pairs_file_feed_no_tracker(pairs_file, tmp_path, tiny_bundle, monkeypatch):
    learned = []
    monkeypatch.setattr(Tracker, "learn", lambda self, fixes: learned.extend(fixes))
    flight = pairs_flight(tiny_bundle, PriorChoice.NONE, pairs_file, None)
    frames, _ = fly(flight, tmp_path / "out")
    flight.assembly.close()
    assert sum(len(frame.judged) for frame in frames) == flight.clicks > 0
    assert learned == []


def test_options_that_cannot_be_meant(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.assembly.open_bundle", None)  # refused before all work
    (tmp_path / "file").touch()
    for words, error, what in (
        (["--images", "somewhere"], UsageError, "--images says where the pictures of --pairs lie"),
        (["--out", ""], UsageError, "--out is empty"),
        (["--out", str(tmp_path / "file")], OutputError, "file is no folder"),
    ):
        with pytest.raises(error) as caught:
            CliRunner().invoke(demo, words, catch_exceptions=False)
        assert what in caught.value.what


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("edge.demo_loop._show", "stopped at once, amid a frame: the fixes before it are in"),
        ("edge.demo_loop._until_stopped", "stopped before the first frame: no page was written"),
    ],
)
def test_ctrl_c_says_what_is_kept(pairs_file, tmp_path, tiny_bundle, monkeypatch, at, words):
    def ctrl_c(*_):
        if at.endswith("_show"):
            raise KeyboardInterrupt
        return iter(())

    monkeypatch.setattr(at, ctrl_c)
    options = ["--pairs", pairs_file, "--bundle", tiny_bundle.path, "--prior", "none"]
    done = CliRunner().invoke(demo, [*map(str, options), "--out", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert words in done.output and "open it" not in done.output
    assert not (tmp_path / "out" / "index.html").exists()


def test_a_page_of_a_part_of_the_flight_says_so(short_flight, tmp_path, tiny_bundle, monkeypatch):
    """Ctrl-C amid the second frame, which is finished."""
    plain, seen = demo_loop._show, []

    def show(flight, result):
        seen.append(result.frame.index)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(flight, result)

    monkeypatch.setattr(demo_loop, "_show", show)
    monkeypatch.setattr("edge.demo_flight.bundled_flight", partial(recorded_flight, short_flight))
    words = ["--bundle", str(tiny_bundle.path), "--prior", "none", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(demo, words)
    assert done.exit_code == 130 and seen == [0, 1]
    page = (tmp_path / "out" / "index.html").read_text()
    for text in (done.output, page):
        assert "Stopped after 2 of 3 frames." in " ".join(text.split())


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(PairsError, match="cannot be read"):
        CliRunner().invoke(demo, ["--pairs", "none.json"], catch_exceptions=False)
    with pytest.raises(BundleError, match="no readable bundle"):
        CliRunner().invoke(demo, ["--bundle", "nowhere"], catch_exceptions=False)
    monkeypatch.setattr("importlib.resources.files", lambda name: tmp_path)
    with pytest.raises(DataError) as caught:
        bundled_flight(None, PriorChoice.NONE)
    for word in ("carries no demo flight", "truth.json", "--pairs FILE"):
        assert word in str(caught.value)
