"""Where on the map a run begins, and what is refused before it does."""

from __future__ import annotations

import pytest
from run_world import SIDE, SPOTS, invoke, lon_lat, options, records

from edge.errors import UsageError


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
    (tmp_path / "yaw.csv").write_text("frame,yaw_deg\n0,90\n")
    with pytest.raises(UsageError) as caught:
        invoke(options(world, tmp_path / "out", telemetry=tmp_path / "yaw.csv"))
    assert caught.value.found == "no --position, and --telemetry without lon and lat"
    assert not (tmp_path / "out").exists()


def test_a_pose_off_the_map_amid_the_telemetry_is_a_verdict(world, tmp_path):
    text = (world / "telemetry.csv").read_text().splitlines()
    (tmp_path / "poses.csv").write_text("\n".join([*text[:3], "2,10,10"]) + "\n")
    done = invoke(options(world, tmp_path / "out", telemetry=tmp_path / "poses.csv"))
    assert done.exit_code == 0
    verdicts = [record["verdict"] for record in records(tmp_path / "out")]
    assert verdicts == ["accepted"] * 4 + ["no_window"] * 2
    words = " ".join(done.output.split())
    assert "note (1 frame): the place lies outside the map (lon " in words


def test_frames_off_the_map_are_one_note(world, tmp_path):
    lon, lat = lon_lat(*SPOTS[0])
    poses = f"frame,lon,lat\n0,{lon},{lat}\n1,10,10\n2,10.5,10\n"
    (tmp_path / "poses.csv").write_text(poses)
    done = invoke(options(world, tmp_path / "out", telemetry=tmp_path / "poses.csv"))
    words = " ".join(done.output.split())
    assert words.count("the place lies outside the map") == 1
    assert "note (2 frames): the place lies outside the map (lon " in words
    reasons = [record["reason"] for record in records(tmp_path / "out")][-4:]
    assert "lon 10.000000" in reasons[0] and "lon 10.500000" in reasons[-1]


def test_telemetry_with_exchanged_columns_is_refused_before_the_run(world, tmp_path):
    rows = (world / "telemetry.csv").read_text().splitlines()[1:]
    swapped = ["{0},{2},{1}".format(*row.split(",")) for row in rows]
    (tmp_path / "swapped").write_text("\n".join(["frame,lon,lat", "9,0,0", *swapped]) + "\n")
    with pytest.raises(UsageError, match="every position of --telemetry lies outside") as caught:
        invoke(options(world, tmp_path / "out", telemetry=tmp_path / "swapped"))
    lon, lat = map(float, rows[0].split(",")[1:])
    assert caught.value.do == (
        f"exchange lon and lat: {lon},{lat}, of one of its lines, lies on the map"
    )
    assert caught.value.found == "lon 0.000000, lat 0.000000, the first of 4"
    assert not (tmp_path / "out").exists()


def test_telemetry_that_is_all_off_the_map_is_a_warning_and_an_exit_code(world, tmp_path):
    (tmp_path / "far").write_text("frame,lon,lat\n0,10,10\n1,11,10\n2,12,10\n")
    done = invoke(options(world, tmp_path / "out", telemetry=tmp_path / "far"), code=4)
    said = " ".join(done.output.split())
    assert "warning: every position of --telemetry lies outside the map (lon 10.000000" in said
    assert "the first of 3; the map is lon " in said and "6 no_window" in said


def test_a_position_serves_the_frames_that_telemetry_does_not_place(world, tmp_path):
    (tmp_path / "other").write_text("frame,lon,lat\n900,10,10\n")
    lon, lat = lon_lat(768, 768)
    changes = {"telemetry": tmp_path / "other", "position": f"{lon},{lat},40"}
    done = invoke(options(world, tmp_path / "out", **changes))
    assert {record["verdict"] for record in records(tmp_path / "out")} == {"accepted"}
    assert "warning: every position of --telemetry lies outside the map" in done.output


def test_between_two_lines_beside_the_map_a_frame_may_lie_on_it(world, tmp_path):
    lon, lat = lon_lat(SPOTS[1][0] + 32, SPOTS[1][1] + 32)
    lines = f"frame,time_s,lon,lat\n0,0,{lon - 1},{lat}\n2,4,{lon + 1},{lat}\n"
    (tmp_path / "beside").write_text(lines)
    invoke(options(world, tmp_path / "out", telemetry=tmp_path / "beside"))
    verdicts = [record["verdict"] for record in records(tmp_path / "out")]
    assert verdicts == ["no_window"] * 2 + ["accepted"] * 2 + ["no_window"] * 2
