"""Fixes on disk: whole lines at every moment, a GeoJSON that is valid or not there."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import edge
from edge.errors import OutputError
from edge.sinks import FixLines, fix_record, read_lines, write_geojson
from edge.types import Click, Fix, Verdict


@pytest.fixture
def fixes(parts) -> list[Fix]:
    localizer = parts.FakeLocalizer({"a": (700, 800)})
    feature = localizer.encode(parts.PlainGrid().read(parts.LEFT_PX + 512, parts.TOP_PX + 512))
    found = localizer.localize(parts.frame(), (Click("a", 1, 2), Click("b", 3, 4)), feature)
    nowhere = replace(
        found[1],
        click_id="off",
        verdict=Verdict.NO_WINDOW,
        window_id=None,
        box_xyxy_px=None,
        lon_lat_deg=None,
        corners_lon_lat_deg=(),
        error_radius_m=None,
    )
    return [*found, nowhere]


def test_lines_are_on_disk_as_soon_as_a_frame_is_done(tmp_path, fixes):
    lines = FixLines(tmp_path / "out" / "fixes.jsonl")
    lines.write(fixes[:2])
    records = [json.loads(line) for line in lines.path.read_text().splitlines()]
    assert [record["click_id"] for record in records] == ["a", "b"]
    assert records[0]["verdict"] == "accepted" and records[0]["prior_source"] == "none"
    assert records[0]["lon_lat_deg"] == list(fixes[0].lon_lat_deg)  # float64, to the last digit
    assert set(records[0]) == set(Fix.__dataclass_fields__)
    lines.write(fixes[2:])
    lines.close()
    assert lines.count == 3 == len(list(read_lines(lines.path)))


def test_what_is_not_finite_becomes_null(fixes):
    odd = replace(fixes[0], confidence_logit=float("nan"), error_radius_m=float("inf"))
    record = fix_record(odd)
    assert record["confidence_logit"] is None and record["error_radius_m"] is None
    json.dumps(record, allow_nan=False)


def test_geojson_has_points_boxes_and_fixes_without_a_place(tmp_path, fixes):
    lines = FixLines(tmp_path / "fixes.jsonl")
    lines.write(fixes)
    lines.close()
    target = tmp_path / "fixes.geojson"
    assert write_geojson(lines.path, target) == 3
    found = json.loads(target.read_text())
    assert found["type"] == "FeatureCollection"
    shapes = [(f["properties"]["click_id"], f["properties"]["shape"]) for f in found["features"]]
    assert shapes == [
        ("a", "centre"), ("a", "box"), ("b", "centre"), ("b", "box"), ("off", None)
    ]  # fmt: skip
    centre, box = found["features"][:2]
    assert centre["geometry"] == {"type": "Point", "coordinates": list(fixes[0].lon_lat_deg)}
    ring = box["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1] and len(ring) == 5
    area = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
    assert area > 0  # counter-clockwise, as RFC 7946 wants the outer ring
    lons, lats = zip(*ring, strict=True)
    assert min(lons) < fixes[0].lon_lat_deg[0] < max(lons)
    assert min(lats) < fixes[0].lon_lat_deg[1] < max(lats)
    assert found["features"][4]["geometry"] is None
    assert not list(tmp_path.glob("*.part"))


def test_no_fixes_make_an_empty_collection(tmp_path):
    FixLines(tmp_path / "fixes.jsonl").close()
    assert write_geojson(tmp_path / "fixes.jsonl", tmp_path / "fixes.geojson") == 0
    assert json.loads((tmp_path / "fixes.geojson").read_text())["features"] == []


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path, fixes):
    path = tmp_path / "fixes.jsonl"
    lines = FixLines(path)
    lines.write(fixes[:2])
    lines.close()
    path.write_bytes(path.read_bytes()[:-20])
    assert [record["click_id"] for record in read_lines(path)] == ["a"]
    assert write_geojson(path, tmp_path / "fixes.geojson") == 1


def test_an_earlier_run_is_kept_under_a_number(tmp_path):
    for word in ("one", "two", "three"):
        lines = FixLines.after(tmp_path / "fixes.jsonl")
        lines._stream.write(word)
        lines.close()
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts == {"fixes.jsonl": "three", "fixes-1.jsonl": "one", "fixes-2.jsonl": "two"}


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as caught:
        FixLines(tmp_path / "file" / "fixes.jsonl")
    for word in ("fixes.jsonl cannot be written", "file is no folder", "--out"):
        assert word in str(caught.value)
    assert caught.value.exit_code == 14


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_said_and_what_was_written_is_kept(tmp_path, fixes):
    lines = FixLines(tmp_path / "fixes.jsonl")
    lines.write(fixes[:2])
    good = lines._stream
    lines._stream = open("/dev/full", "w")  # noqa: SIM115, PTH123 (a disk without room)
    with pytest.raises(OutputError) as caught:
        lines.write(fixes[2:])
    for word in ("No space left", "what was written before is kept"):
        assert word in str(caught.value)
    good.close()
    assert len(list(read_lines(lines.path))) == 2
    target = tmp_path / "fixes.geojson"
    target.symlink_to("/dev/full")
    (tmp_path / "fixes.geojson.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        write_geojson(lines.path, target)


KILLED = """
import sys, time
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from edge.sinks import FixLines
from edge.types import Fix, Verdict
lines = FixLines(Path(sys.argv[1]))
for n in range(10_000):
    lines.write([Fix("a", (1.0, 2.0), n, "s", 0.0, None, None, None, (), None, 0.1,
                     Verdict.NO_WINDOW, "r")])
    time.sleep(0.002)
"""


def test_a_kill_keeps_every_frame_that_was_done(tmp_path):
    path = tmp_path / "fixes.jsonl"
    home = str(Path(edge.__file__).resolve().parent.parent)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), home])
    try:
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            if path.exists() and path.read_bytes().count(b"\n") > 5:
                break
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    found = [record["frame_index"] for record in read_lines(path)]
    assert len(found) > 5
    assert found == list(range(len(found)))
