"""The camera stack: devices of V4L2, GStreamer, and on a Jetson the daemon of CSI cameras."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edge.checkups.finding import Finding, State, read_text
from edge.checkups.jetson import read_jetson

ROOT = Path("/")
CSI_DRIVERS = ("vi-output", "tegra-video", "nvcsi")
ARGUS = (  # file, what its absence means, what mends it; in the order in which they are needed
    ("usr/sbin/nvargus-daemon", "no nvargus-daemon", "sudo apt install nvidia-l4t-camera"),
    (
        "tmp/argus_socket",
        "nvargus-daemon not running",
        "sudo systemctl restart nvargus-daemon",
    ),
    (
        "usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so",
        "no nvarguscamerasrc",
        "sudo apt install nvidia-l4t-gstreamer",
    ),
)
GST_LAUNCH = "usr/bin/gst-launch-1.0"


def cameras(root: Path = ROOT) -> dict[Path, str]:
    """Video devices with their names; they are not opened."""
    found = {}
    for device in sorted((root / "dev").glob("video[0-9]*")):
        name = read_text(root / "sys/class/video4linux" / device.name / "name")
        found[device] = (name or "unnamed").strip()
    return found


def examine_cameras(
    root: Path = ROOT,
    opencv_backends: tuple[str, ...] = (),
    readable: Callable[[Path], bool] | None = None,
) -> list[Finding]:
    """V4L2, GStreamer and Argus.

    Args:
        root: of the system.
        opencv_backends: what the installed OpenCV can read videos with.
        readable: whether this user may open a device; asks the system when not given.
    """
    found = [_v4l2(root, readable or (lambda path: os.access(path, os.R_OK | os.W_OK)))]
    if read_jetson(root) is not None:
        found += [_gstreamer(root, opencv_backends), _argus(root)]
    return found


def _v4l2(root: Path, readable: Callable[[Path], bool]) -> Finding:
    devices = cameras(root)
    if not devices:
        text = "none; videos, folders and RTSP URLs still work"
        return Finding("cameras", State.NOTE, text)
    text = ", ".join(f"/dev/{device.name} ({name})" for device, name in devices.items())
    closed = [device for device in devices if not readable(device)]
    if closed:
        commands = ("sudo usermod -aG video $USER",)
        found = f"{text}; this user may not open them"
        return Finding("cameras", State.NOTE, found, "and log in again", commands)
    return Finding("cameras", State.OK, text)


def _gstreamer(root: Path, opencv_backends: tuple[str, ...]) -> Finding:
    if not (root / GST_LAUNCH).exists():
        commands = ("sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-good",)
        return Finding("GStreamer", State.NOTE, "not installed", commands=commands)
    if "GSTREAMER" in opencv_backends:
        return Finding("GStreamer", State.OK, "installed, and OpenCV uses it")
    text = "installed, but this OpenCV was built without it"
    advice = "USB cameras, RTSP and videos do not need it; offer a CSI camera as an RTSP stream"
    return Finding("GStreamer", State.NOTE, text, advice)


def _argus(root: Path) -> Finding:
    """CSI cameras speak raw Bayer through V4L2; pictures come from Argus."""
    csi = [name for name in cameras(root).values() if name.startswith(CSI_DRIVERS)]
    sensors = f"{len(csi)} CSI sensor{'s' if len(csi) != 1 else ''}"
    for file, missing, command in ARGUS:
        if not (root / file).exists():
            text = f"{sensors}, {missing}"
            return Finding("CSI cameras", State.NOTE, text, commands=(command,))
    return Finding("CSI cameras", State.OK, f"{sensors}, nvargus-daemon running")
