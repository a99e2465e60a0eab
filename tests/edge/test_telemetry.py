"""Telemetry files and positions from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import TelemetryError, UsageError
from edge.telemetry import Telemetry, parse_position
from edge.types import Frame, FramePose


def frame(index=0, time_s=0.0, source="pic.jpg"):
    return Frame(np.zeros((4, 4, 3), np.uint8), index, time_s, source)


def read(folder, text):
    path = folder / "telemetry.csv"
    path.write_text(text)
    return Telemetry.read(path)


def test_poses_by_frame_and_by_name(tmp_path):
    text = "frame,time_s,lon,lat,sigma_m,yaw_deg,gsd_m\n0,0.0,7.5,47.1,8,54,0.23\npic.jpg,9,,,,1,\n"
    telemetry = read(tmp_path, text)
    assert telemetry.pose(frame(0, source="x.jpg")) == FramePose((7.5, 47.1), 8.0, 54.0, 0.23, None)
    assert telemetry.pose(frame(5)) == FramePose(yaw_deg=1.0)
    assert telemetry.pose(frame(6, source="y.jpg")) is None


def test_between_two_times_the_pose_is_interpolated_the_short_way_round(tmp_path):
    text = "time,lon,lat,yaw_deg,alt_m\n10,179.9,1,350,100\n12,-179.9,2,30,200\n"
    telemetry = read(tmp_path, text)
    pose = telemetry.pose(frame(time_s=11.5))
    assert pose.lon_lat_deg == pytest.approx((-179.95, 1.75))
    assert pose.yaw_deg == pytest.approx(20.0)
    assert (pose.alt_m, pose.sigma_m) == (175.0, None)
    assert telemetry.pose(frame(time_s=12.9)).yaw_deg == 30.0  # held for a second
    assert telemetry.pose(frame(time_s=9.1)).yaw_deg == 350.0
    assert telemetry.pose(frame(time_s=13.1)) is None
    assert telemetry.pose(frame(time_s=8.9)) is None


def test_a_frame_without_a_line_is_interpolated_between_lines_that_say_when(tmp_path):
    """Times of any clock: that of a picture, one a second, is not theirs."""
    text = (
        "frame,time_s,lon,lat,yaw_deg\n"
        "0,100,7,47,350\n4,104,7.4,47,30\n20,111,8,47,40\n22,110,8,47,50\n"
    )
    telemetry = read(tmp_path, text)
    pose = telemetry.pose(frame(1, time_s=1.0, source="1.jpg"))
    assert pose.lon_lat_deg == pytest.approx((7.1, 47.0)) and pose.yaw_deg == pytest.approx(0.0)
    assert telemetry.pose(frame(4, source="4.jpg")).yaw_deg == 30.0
    assert telemetry.pose(frame(6, source="6.jpg")).yaw_deg == 30.0, "held for 0.9 of 7 seconds"
    assert telemetry.pose(frame(10, source="10.jpg")) is None, "over a long gap nothing is invented"
    assert telemetry.pose(frame(18, source="18.jpg")).yaw_deg == 40.0
    assert telemetry.pose(frame(21, source="21.jpg")) is None, "a clock that was set back"
    assert telemetry.pose(frame(23, source="23.jpg")) is None, "a clock that was set back"
    paced = read(tmp_path, "frame,time_s,yaw_deg\n10,0,1\n20,5,2\n")
    held = {index: paced.pose(frame(index, source=f"{index}.jpg")) for index in (7, 8, 22, 23)}
    assert held[8].yaw_deg == 1.0 and held[22].yaw_deg == 2.0, "a second beyond the ends"
    assert held[7] is None and held[23] is None
    mixed = read(tmp_path, "frame,time_s,yaw_deg\n0,0,0\n40,4,40\n,1,90\n")
    assert mixed.pose(frame(10, 1.0, source="10.jpg")).yaw_deg == 90.0, "a line of that very time"
    stopped = read(tmp_path, "frame,time_s,yaw_deg\n0,0,1\n4,0,2\n")
    for index in (2, 5, 500):
        assert stopped.pose(frame(index, source="x.jpg")) is None, (
            "a clock that stands says nothing"
        )
    untimed = read(tmp_path, "frame,lon,lat\n0,7,47\n2,8,47\n")
    assert untimed.pose(frame(1, source="1.jpg")) is None, "nobody says how far apart they are"


def test_over_a_long_gap_nothing_is_invented(tmp_path):
    telemetry = read(tmp_path, "time,yaw_deg\n0,0\n100,90\n")
    assert telemetry.pose(frame(time_s=50)) is None
    assert telemetry.pose(frame(time_s=99.5)).yaw_deg == 90.0
    assert telemetry.pose(frame(time_s=0.5)).yaw_deg == 0.0


@given(st.floats(0, 2), st.floats(-180, 180), st.floats(-30, 30))
def test_interpolation_stays_between_its_ends(share, yaw, turn):
    from edge.telemetry import _between  # the seam of the file: times are tested above

    a, b = FramePose(yaw_deg=yaw % 360), FramePose(yaw_deg=(yaw + turn) % 360)
    found = _between(a, b, share / 2)
    away = (found.yaw_deg - yaw + 180) % 360 - 180
    assert min(0, turn) - 1e-6 <= away <= max(0, turn) + 1e-6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frame,lon,lat,sigma\n", ["unknown column `sigma`", "write `sigma_m`"]),
        ("frame,lon,lat\n0,7,\n", ["line 2", "only one of lon and lat"]),
        ("frame,lon,lat\n0,47,107\n", ["line 2", "lat 107"]),
        ("frame,sigma_m\n0,-1\n", ["sigma_m -1"]),
        ("frame,gsd_m\n0,0\n", ["gsd_m 0"]),
        ("frame,gsd_m\n0,15.34\n", ["gsd_m 15.34", "at most 10", "metres, of a pixel as well"]),
        ("frame,sigma_m\n0,1e9\n", ["sigma_m 1e+09"]),
        ("frame,yaw_deg\n0,north\n", ["`yaw_deg` is not a number", "'north'"]),
        ("frame,yaw_deg\n0,1\n0,2\n", ["line 3", "the frame 0 is there twice"]),
        ("frame,yaw_deg\n,1\n", ["a pose of no frame"]),
        ("", ["is empty"]),
    ],
)
def test_broken_telemetry(tmp_path, text, words):
    with pytest.raises(TelemetryError) as caught:
        read(tmp_path, text)
    for word in ["telemetry.csv", *words]:
        assert word in str(caught.value)
    assert caught.value.exit_code == 13


def test_a_position_of_the_command_line():
    assert parse_position("16.9252,52.4064") == FramePose((16.9252, 52.4064))
    assert parse_position("-70.5,-33,20") == FramePose((-70.5, -33.0), 20.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("16.9", ["cannot be read", "LON,LAT,sigma_m", "'16.9'"]),
        ("a,b", ["cannot be read"]),
        ("1,2,3,4", ["cannot be read"]),
        ("nan,2", ["cannot be read"]),
        ("52.4,106.9", ["not on the Earth", "longitude comes first"]),
        ("181,0", ["not on the Earth"]),
        ("1,2,-5", ["bad sigma", "sigma_m 0 to 1e+07"]),
        ("1,2,1e9", ["bad sigma", "sigma_m 0 to 1e+07"]),
    ],
)
def test_a_position_that_cannot_be(text, words):
    with pytest.raises(UsageError) as caught:
        parse_position(text)
    for word in words:
        assert word in str(caught.value)
