"""Python, the libraries, the executors, the shipped bundle and flight."""

from __future__ import annotations

import importlib.resources
import importlib.util
import sys
from pathlib import Path

from edge import __version__
from edge.checkups.finding import Finding, State, distribution_version
from edge.errors import TilefixError

NEEDED = ("numpy", "opencv-python-headless", "msgspec", "click", "rich", "onnxruntime")
# module -> (distribution, what it is for)
OPTIONAL = {
    "rasterio": ("rasterio", "GeoTIFF maps, extra 'geo'"),
    "pmtiles": ("pmtiles", "PMTiles maps, extra 'geo'"),
    "torch": ("torch", "training, extra 'train'"),
    "onnx": ("onnx", "export, extra 'export'"),
}
ANY_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python")
# Executors that need something beside the core libraries; `edge.checkups.tensorrt` looks at it.
LOOKED_AT_ELSEWHERE = ("tensorrt", "tensorrt-rtx")


def examine_python() -> list[Finding]:
    """Versions of tilefix and Python."""
    version = ".".join(map(str, sys.version_info[:3]))
    state = State.OK if sys.version_info >= (3, 10) else State.FAILED
    return [
        Finding("tilefix", State.OK, __version__),
        Finding(
            "Python", state, version, "" if state is State.OK else "install Python 3.10 or newer"
        ),
    ]


def examine_libraries() -> list[Finding]:
    """What must be installed, and what may be."""
    found = []
    for name in NEEDED:
        version = next((v for each in _names(name) if (v := distribution_version(each))), None)
        if version is None:
            command = f"pip install {name}"
            found.append(Finding(name, State.FAILED, "not installed", commands=(command,)))
        else:
            found.append(Finding(name, State.OK, version))
    for module, (name, purpose) in OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        text = distribution_version(name) or "installed"
        if not there:
            text = f"not installed ({purpose})"
        found.append(Finding(name, State.OK if there else State.NOTE, text))
    return found


def examine_executors() -> list[Finding]:
    """The executors that run on every machine."""
    from edge.executors.base import EXECUTORS

    return [_executor(name) for name in EXECUTORS if name not in LOOKED_AT_ELSEWHERE]


def _executor(name: str) -> Finding:
    if name != "onnxruntime":
        return Finding(f"executor {name}", State.OK, "available")
    try:
        import onnxruntime
    except ImportError as error:
        command = "pip install onnxruntime"
        return Finding(f"executor {name}", State.FAILED, str(error), commands=(command,))
    providers = ", ".join(onnxruntime.get_available_providers())
    return Finding(f"executor {name}", State.OK, f"available: {providers}")


def examine_bundle() -> list[Finding]:
    """The shipped bundle: whole, and its graphs load."""
    from edge.bundle import Bundle, shipped_bundle_path
    from edge.localizer import Localizer

    try:
        bundle = Bundle.open(shipped_bundle_path())
        Localizer.open(bundle)
    except TilefixError as error:
        return [Finding("shipped bundle", State.FAILED, f"{error.what}: {error.found}", error.do)]
    manifest = bundle.manifest
    count = len(manifest.files)
    text = f"{manifest.name} {manifest.version}, {count} files verified, graphs load"
    return [Finding("shipped bundle", State.OK, text)]


def examine_flight() -> list[Finding]:
    """The flight of `tilefix demo`."""
    folder = Path(str(importlib.resources.files("edge"))) / "demo_data" / "flight"
    if (folder / "truth.json").is_file():
        return [Finding("demo flight", State.OK, "there")]
    advice = "install tilefix from its wheel"
    return [Finding("demo flight", State.NOTE, "not in this installation", advice)]


def video_backends() -> tuple[str, ...]:
    """What the installed OpenCV reads videos with; empty without OpenCV."""
    try:
        import cv2
    except ImportError:
        return ()
    registry = cv2.videoio_registry
    # the registry also lists plugins that are not there
    there = filter(registry.hasBackend, registry.getBackends())
    return tuple(dict.fromkeys(map(registry.getBackendName, there)))


def examine_video(backends: tuple[str, ...]) -> list[Finding]:
    """Whether videos and streams can be read."""
    text = ", ".join(backends) or "none"
    if "FFMPEG" in backends or "GSTREAMER" in backends:
        return [Finding("video", State.OK, text)]
    advice = "videos and RTSP need an OpenCV with FFmpeg"
    commands = ("pip install opencv-python-headless",)
    return [Finding("video", State.NOTE, text, advice, commands)]


def _names(name: str) -> tuple[str, ...]:
    """OpenCV comes under several names; any of them will do."""
    return ANY_OPENCV if name in ANY_OPENCV else (name,)
