"""What `tilefix doctor` looks at, in the order of its report; the subjects are in `checkups`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.checkups.cameras import examine_cameras
from edge.checkups.finding import Finding, Interpreter, State
from edge.checkups.gpu import examine_gpu, has_gpu
from edge.checkups.jetson import examine_jetson, read_jetson
from edge.checkups.memory import examine_memory
from edge.checkups.software import (
    examine_bundle,
    examine_executors,
    examine_flight,
    examine_libraries,
    examine_python,
    examine_video,
    video_backends,
)
from edge.checkups.tensorrt import examine_tensorrt
from edge.machine import free_disk_bytes, usable_cores

ROOT = Path("/")
DISK_BYTES = 1 << 30


def examine(
    folder: Path, root: Path | None = None, interpreter: Interpreter | None = None
) -> list[Finding]:
    """All checks, each on its own, so that one failure hides no other.

    Args:
        folder: where results would be written.
        root: of the system; for a recorded tree another one than /.
        interpreter: the Python that would run; this one when not given.
    """
    root = root or ROOT
    backends = video_backends()
    python = interpreter or Interpreter.this()
    has_device = has_gpu(root) or read_jetson(root) is not None
    can_build = has_device or python.version_of("tensorrt_rtx") is not None
    checks: list[Callable[[], list[Finding]]] = [
        examine_python,
        examine_libraries,
        examine_executors,
        examine_bundle,
        examine_flight,
        lambda: examine_jetson(root),
        lambda: examine_gpu(root),
        lambda: examine_tensorrt(root, python, *(_engines() if can_build else (None, None))),
        lambda: examine_memory(root, builds=can_build),
        lambda: _disk(folder, free_disk_bytes(folder)),
        _cores,
        lambda: examine_video(backends),
        lambda: examine_cameras(root, backends),
    ]
    return [finding for check in checks for finding in check()]


def _engines() -> tuple[Path | None, Path | None]:
    """Engines of the shipped bundle, and the bundle; None: it does not open, and that is said."""
    from edge.bundle import Bundle, shipped_bundle_path
    from edge.engine_manifest import engines_folder
    from edge.errors import BundleError

    try:
        bundle = Bundle.open(shipped_bundle_path())
    except BundleError:  # `examine_bundle` reports it
        return None, None
    return engines_folder(bundle), bundle.path


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
