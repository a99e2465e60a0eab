"""Slips of the keyboard at `tilefix run`: refused before all work, and nothing of them is lost."""

from __future__ import annotations

import json
import os
import signal

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from run_world import options

from edge.commands.run import run
from edge.commands.tiles import encode
from edge.errors import OutputError, UsageError
from edge.frames import Pictures
from edge.geodesy import MercatorGeometry
from edge.tiles.mbtiles_writer import MBTilesWriter

ZOOM, COLUMN, ROW = 19, 272976, 184400


@pytest.fixture(scope="module")
def world(tmp_path_factory, make_tiny_bundle):
    """A bundle, a map, three frames and a click on each."""
    folder = tmp_path_factory.mktemp("world")
    make_tiny_bundle(folder / "bundle", window_wh_px=(512, 512))
    blank = cv2.imencode(".png", np.full((256, 256, 3), 90, np.uint8))[1].tobytes()
    with MBTilesWriter(folder / "map.mbtiles", {"name": "m", "format": "png"}) as writer:
        for row in range(4):
            for column in range(4):
                writer.put(ZOOM, COLUMN + column, ROW + row, blank)
    (folder / "frames").mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"frames/{index}.png"), np.full((64, 64, 3), 90, np.uint8))
    (folder / "clicks.csv").write_text("frame,id,x,y\n0,a,20,20\n0,b,9,9\n1,a,20,20\n")
    geometry = MercatorGeometry(ZOOM, COLUMN * 256.0, ROW * 256.0)
    lon, lat = geometry.lon_lat_deg(np.array([[500.0, 500.0]]))[0].tolist()
    (folder / "telemetry.csv").write_text(f"time,lon,lat\n0,{lon},{lat}\n3,{lon},{lat}\n")
    return folder


def invoke(arguments):
    return CliRunner().invoke(run, arguments, catch_exceptions=False)


@pytest.mark.parametrize("name", ["tiles", "source", "clicks", "telemetry", "position", "out"])
def test_an_option_without_a_value_is_no_default(world, tmp_path, name):
    words = options(world, tmp_path / "out")
    with pytest.raises(UsageError) as caught:
        invoke([*words, f"--{name}", " "])
    assert f"--{name} is empty" in caught.value.what and "variable" in caught.value.do


@pytest.mark.parametrize("below", ["", "sub/sub"])
def test_a_file_in_the_way_of_the_results(world, tmp_path, monkeypatch, below):
    monkeypatch.setattr("edge.assembly.open_bundle", None)  # refused before all work
    (tmp_path / "file").write_text("dear")
    with pytest.raises(OutputError) as caught:
        invoke(options(world, tmp_path / "file" / below))
    assert "is no folder" in caught.value.what and "file is there" in caught.value.found
    assert "another folder with --out" in caught.value.do
    assert (tmp_path / "file").read_text() == "dear"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--precision", "banana"), "--precision with one of fp32"),
        (("--executor", "tensorflow"), "--executor with one of onnxruntime, reference, tensorrt"),
        (("--executor", "tensorrt_rtx", "--precision", "int8"), "--precision with one of fp32"),
    ],
)
def test_names_that_the_bundle_or_tilefix_does_not_have(
    world, tmp_path, monkeypatch, words, expected
):
    monkeypatch.setattr("edge.assembly.assemble_on_map", None)  # refused before all work
    with pytest.raises(UsageError) as caught:
        invoke([*options(world, tmp_path / "out"), *words])
    assert caught.value.exit_code == 2
    assert caught.value.expected.startswith(expected) and words[-1] in caught.value.found


def test_encoding_refuses_a_precision_alike(world, tmp_path):
    words = [
        "--bundle",
        world / "bundle",
        "--tiles",
        world / "map.mbtiles",
        "--precision",
        "banana",
    ]
    done = CliRunner().invoke(encode, [*map(str, words), "--store", str(tmp_path / "store")])
    assert isinstance(done.exception, UsageError) and "banana" in done.exception.found


def test_nothing_to_locate_has_no_table_and_brackets_are_no_markup(world, tmp_path):
    (tmp_path / "clicks.csv").write_text("time,id,x,y\n1234.5,[/a],24,24\n")
    out = tmp_path / "[bold]out[/b]"
    done = invoke(options(world, out, clicks=tmp_path / "clicks.csv"))
    assert done.exit_code == 0
    assert "never came (1234.5 s)" in " ".join(done.output.split())
    assert "[bold]out[/b]" in done.output and "times per frame" not in done.output


@pytest.mark.parametrize(("live", "code"), [(False, 130), (True, 0)])
def test_a_stopped_flight_is_no_finished_one(world, tmp_path, monkeypatch, live, code):
    """But Ctrl-C is how a live source ends."""

    class Stopped(Pictures):
        def __iter__(self):
            for frame in super().__iter__():
                yield frame
                os.kill(os.getpid(), signal.SIGINT)

    paths = tuple(sorted((world / "frames").iterdir()))
    source = Stopped(paths, "camera")
    source.live = live
    monkeypatch.setattr("edge.frames.open_source", lambda *_: source)
    done = invoke(options(world, tmp_path / "out"))
    assert done.exit_code == code
    assert "stopped: 2 fixes" in done.output


def test_telemetry_without_a_place_leaves_it_to_the_position(world, tmp_path):
    _, lon, lat = (world / "telemetry.csv").read_text().splitlines()[1].split(",")
    (tmp_path / "yaw.csv").write_text("frame,yaw_deg\n0,12\n1,\n")
    position = f"{lon},{lat},8"
    words = options(world, tmp_path / "out", telemetry=tmp_path / "yaw.csv", position=position)
    done = invoke(words)
    assert done.exit_code == 0 and "no position" not in done.output
    found = [json.loads(x) for x in (tmp_path / "out/fixes.jsonl").read_text().splitlines()]
    assert len(found) == 3 and all(each["window_id"] for each in found)


def test_an_earlier_overlay_goes_with_its_fixes(world, tmp_path):
    words = options(world, tmp_path / "out")
    invoke([*words, "--overlay"])
    first = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"overlay.png", "overlay.mp4"} < first
    invoke(words)
    kept = {"fixes-1.jsonl", "overlay-1.png", "overlay-1.mp4"}
    now = {path.name for path in (tmp_path / "out").iterdir()}
    assert now == {"fixes.jsonl", "fixes.geojson"} | kept


def test_a_second_ctrl_c_says_where_the_results_are(world, tmp_path, monkeypatch):
    from edge.run_loop import RunLoop

    plain = RunLoop._one

    def one(self, frame, lines, film):
        if frame.index == 1:
            raise KeyboardInterrupt
        plain(self, frame, lines, film)

    monkeypatch.setattr(RunLoop, "_one", one)
    done = invoke(options(world, tmp_path / "out"))
    assert done.exit_code == 130
    assert f"stopped at once, amid a frame: 2 fixes before it, in {tmp_path / 'out'}" in done.output
    assert len((tmp_path / "out/fixes.jsonl").read_text().splitlines()) == 2
    assert len(json.loads((tmp_path / "out/fixes.geojson").read_text())["features"]) == 4
