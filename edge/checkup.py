"""What `tilefix doctor` looks at, each check on its own, so that one failure hides no other."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge import __version__
from edge.errors import TilefixError
from edge.machine import available_memory_bytes, cameras, free_disk_bytes, usable_cores

NEEDED = ("numpy", "opencv-python-headless", "msgspec", "click", "rich", "onnxruntime")
# module -> (distribution, what it is for)
OPTIONAL = {
    "rasterio": ("rasterio", "GeoTIFF maps, extra 'geo'"),
    "pmtiles": ("pmtiles", "PMTiles maps, extra 'geo'"),
    "torch": ("torch", "training, extra 'train'"),
    "onnx": ("onnx", "export, extra 'export'"),
}
LOCATE_BYTES, ENCODE_BYTES, DISK_BYTES = 400 << 20, 900 << 20, 1 << 30
ANY_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python")


class State(str, Enum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # works, with less
    FAILED = "failed"  # tilefix does not run like this


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(folder: Path) -> list[Finding]:
    """All checks; `folder` is where results would be written."""
    checks: list[Callable[[], list[Finding]]] = [
        _python,
        _libraries,
        _executors,
        _bundle,
        _flight,
        _video,
        lambda: _memory(available_memory_bytes()),
        lambda: _disk(folder, free_disk_bytes(folder)),
        _cores,
        _cameras,
    ]
    return [finding for check in checks for finding in check()]


def _python() -> list[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    state = State.OK if sys.version_info >= (3, 10) else State.FAILED
    return [
        Finding("tilefix", State.OK, __version__),
        Finding(
            "Python", state, version, "" if state is State.OK else "install Python 3.10 or newer"
        ),
    ]


def _libraries() -> list[Finding]:
    found = []
    for name in NEEDED:
        version = next((v for each in _names(name) if (v := _version(each))), None)
        if version is None:
            advice = f"pip install {name}"
            found.append(Finding(name, State.FAILED, "not installed", advice))
        else:
            found.append(Finding(name, State.OK, version))
    for module, (name, purpose) in OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        text = _version(name) or "installed" if there else f"not installed ({purpose})"
        found.append(Finding(name, State.OK if there else State.NOTE, text))
    return found


def _executors() -> list[Finding]:
    from edge.executors.base import EXECUTORS

    return [_executor(name) for name in EXECUTORS]


def _executor(name: str) -> Finding:
    if name != "onnxruntime":
        return Finding(f"executor {name}", State.OK, "available")
    try:
        import onnxruntime
    except ImportError as error:
        return Finding(f"executor {name}", State.FAILED, str(error), "pip install onnxruntime")
    providers = ", ".join(onnxruntime.get_available_providers())
    return Finding(f"executor {name}", State.OK, f"available: {providers}")


def _bundle() -> list[Finding]:
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


def _flight() -> list[Finding]:
    import importlib.resources

    folder = Path(str(importlib.resources.files("edge"))) / "demo_data" / "flight"
    if (folder / "truth.json").is_file():
        return [Finding("demo flight", State.OK, "there")]
    advice = "install tilefix from its wheel"
    return [Finding("demo flight", State.NOTE, "not in this installation", advice)]


def _video() -> list[Finding]:
    try:
        import cv2
    except ImportError as error:
        return [Finding("video", State.FAILED, str(error), "pip install opencv-python-headless")]
    backends = [
        cv2.videoio_registry.getBackendName(each) for each in cv2.videoio_registry.getBackends()
    ]
    text = ", ".join(dict.fromkeys(backends)) or "none"
    if "FFMPEG" in backends or "GSTREAMER" in backends:
        return [Finding("video", State.OK, text)]
    advice = "videos and RTSP need an OpenCV with FFmpeg: pip install opencv-python-headless"
    return [Finding("video", State.NOTE, text, advice)]


def _memory(available_bytes: int | None) -> list[Finding]:
    if available_bytes is None:
        return [Finding("memory", State.NOTE, "this system does not say")]
    text = f"{available_bytes / 2**20:.0f} MB available"
    if available_bytes < LOCATE_BYTES:
        advice = f"locating takes {LOCATE_BYTES >> 20} MB: end other programs"
        return [Finding("memory", State.FAILED, text, advice)]
    if available_bytes < ENCODE_BYTES:
        advice = f"encoding windows takes {ENCODE_BYTES >> 20} MB: encode elsewhere, use --store"
        return [Finding("memory", State.NOTE, text, advice)]
    return [Finding("memory", State.OK, text)]


def _disk(folder: Path, free_bytes: int | None) -> list[Finding]:
    if free_bytes is None:
        return [Finding("disk", State.NOTE, f"unknown for {folder}")]
    text = f"{free_bytes / 2**30:.1f} GB free in {folder}"
    if free_bytes < DISK_BYTES:
        return [Finding("disk", State.NOTE, text, "a store of a large map needs gigabytes")]
    return [Finding("disk", State.OK, text)]


def _cores() -> list[Finding]:
    count = usable_cores()
    if count < 2:
        return [Finding("cores", State.NOTE, "1", "alignment and locating share one core")]
    return [Finding("cores", State.OK, str(count))]


def _cameras() -> list[Finding]:
    found = cameras()
    text = ", ".join(found) if found else "none; videos, folders and RTSP URLs still work"
    return [Finding("cameras", State.OK if found else State.NOTE, text)]


def _names(name: str) -> tuple[str, ...]:
    """OpenCV comes under several names; any of them will do."""
    return ANY_OPENCV if name in ANY_OPENCV else (name,)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
