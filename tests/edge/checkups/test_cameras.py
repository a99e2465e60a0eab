"""The camera stack out of recorded trees."""

from __future__ import annotations

import pytest
from system_trees import desktop, orin_jetpack_6, put

from edge.checkups.cameras import examine_cameras
from edge.checkups.finding import State


def by_name(root, backends=("FFMPEG", "GSTREAMER"), readable=lambda path: True):
    return {each.name: each for each in examine_cameras(root, backends, readable)}


def test_an_orin_with_a_usb_and_a_csi_camera(tmp_path):
    found = by_name(orin_jetpack_6(tmp_path))
    assert found["cameras"].found == (
        "/dev/video0 (vi-output, imx219 9-0010), /dev/video1 (HD Pro Webcam C920)"
    )
    assert found["CSI cameras"].found == "1 CSI sensor, nvargus-daemon running"
    assert {each.state for each in found.values()} == {State.OK}


def test_a_user_outside_the_group_video(tmp_path):
    root = orin_jetpack_6(tmp_path)
    found = by_name(root, readable=lambda path: path.name != "video1")["cameras"]
    assert found.state is State.NOTE
    assert found.commands == ("sudo usermod -aG video $USER",)


@pytest.mark.parametrize(
    ("gone", "name", "advice"),
    [
        ("usr/bin/gst-launch-1.0", "GStreamer", "sudo apt install gstreamer1.0-tools"),
        ("usr/sbin/nvargus-daemon", "CSI cameras", "sudo apt install nvidia-l4t-camera"),
        ("tmp/argus_socket", "CSI cameras", "sudo systemctl restart nvargus-daemon"),
        (
            "usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so",
            "CSI cameras",
            "sudo apt install nvidia-l4t-gstreamer",
        ),
    ],
)
def test_what_is_missing_names_its_command(tmp_path, gone, name, advice):
    root = orin_jetpack_6(tmp_path)
    (root / gone).unlink()
    found = by_name(root)[name]
    assert found.state is State.NOTE and found.commands[0].startswith(advice)


def test_an_opencv_without_gstreamer(tmp_path):
    found = by_name(orin_jetpack_6(tmp_path), backends=("FFMPEG",))["GStreamer"]
    assert found.state is State.NOTE and "RTSP" in found.advice


def test_other_machines_are_asked_for_v4l2_alone(tmp_path):
    found = by_name(desktop(tmp_path))
    assert list(found) == ["cameras"]
    assert found["cameras"].state is State.NOTE and "RTSP" in found["cameras"].found
    put(tmp_path, {"dev/video0": "", "dev/video9x": "", "dev/null": ""})
    assert by_name(tmp_path)["cameras"].found.startswith("/dev/video0 (unnamed)")
