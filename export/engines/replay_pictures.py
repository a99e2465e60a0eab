"""What engines and float32 graphs are shown: the pictures that a bundle carries, or a selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.bundle import Bundle
from edge.engine_manifest import CALIBRATION, REPLAY_INDEX
from edge.errors import ExecutorError, UsageError
from edge.types import Prior
from export.engines.targets import Target
from export.verification.cases import Case


@dataclass(frozen=True, slots=True)
class Pictures:
    """Frames in windows."""

    cases: tuple[Case, ...]
    sha256: str  # tells them from others
    origin: str  # HELD_OUT or CALIBRATION
    part_of_sha256: str = ""  # of the whole selection, if these are a part of one


def own_pictures(bundle: Bundle, target: Target, graphs: int) -> Pictures | str:
    """Read the pictures that a bundle carries, or say in words why they cannot be replayed.

    Args:
        bundle: whose engines are built.
        target: of the build.
        graphs: how many are built.

    Raises:
        CalibrationError: pictures of another schema, or such that OpenCV reads otherwise here.
    """
    from calibration.replay_index import carries_pictures, read_index, read_picture

    if graphs < 2:
        return "one graph alone finds no boxes; leave --graph out"
    if not target.present:
        return f"this machine has no GPU of {target.names}; give the same command on the device"
    if not carries_pictures(bundle):
        return (
            "the bundle carries no pictures; add --replay FOLDER, `selection` in the work folder "
            "of its calibration, or calibrate it again"
        )
    index = read_index(bundle)
    frames = {each.file: read_picture(bundle, each) for each in index.frames}
    cases = []
    for place in index.windows:
        pixels = read_picture(bundle, place)
        cases += [
            Case(
                name=frame.file,
                window_name=place.file,
                window=pixels,
                frame=frames[frame.file],
                frame_affine=np.array(frame.frame_affine, np.float32).reshape(2, 3),
                click_xy_px=np.array(frame.click_xy_px, np.float32),
                prior=Prior.none(len(frame.click_xy_px)),
            )
            for frame in index.frames
            if place.file in frame.windows
        ]
    sha256 = bundle.manifest.files[REPLAY_INDEX]
    whole = index.selection_sha256 if index.pictures == CALIBRATION else ""
    return Pictures(tuple(cases), sha256, index.pictures, whole)


def open_pictures(folder: Path, bundle: Bundle, target: Target, graphs: int) -> Pictures:
    """Read the frames of a selection, each in the windows that the judge looks for it in.

    Args:
        folder: `selection` in the work folder of `tilefix calibrate`.
        bundle: whose engines are built.
        target: of the build.
        graphs: how many are built.

    Raises:
        UsageError: one graph alone; a selection of other sizes, or without pictures.
        ExecutorError: no GPU of the target here.
        CalibrationError: no selection there, or an altered one.
    """
    from calibration.judging.agreement import meetings
    from calibration.ranges.inputs import CLICKS, seeded_clicks
    from calibration.selection.record import SelectionFolder

    if not target.present:
        raise ExecutorError(
            "--replay needs the device that the engines are for",
            expected=f"a GPU of {target.names} in this machine",
            found="none",
            do="build without --replay here, and with it on the device",
        )
    if graphs < 2:
        raise _unfit(folder, "both graphs", "--graph with one", "leave --graph out")
    opened = SelectionFolder.open(folder)
    manifest = bundle.manifest
    sides = [(each.width_px, each.height_px) for each in (manifest.frame, manifest.window)]
    found = [tuple(opened.selection.frame_px), tuple(opened.selection.window_px)]
    if found != sides:
        again = "give the selection that this bundle was calibrated with"
        raise _unfit(folder, _sizes(sides), _sizes(found), again)
    cases = []
    for place, frames in meetings(opened):
        pixels = opened.read(place)
        cases += [
            Case(
                name=frame.file,
                window_name=place.file,
                window=pixels,
                frame=opened.read(frame),
                frame_affine=np.array(frame.frame_affine, np.float32).reshape(2, 3),
                click_xy_px=seeded_clicks(frame, opened.selection.frame_px, seed=0),
                prior=Prior.none(CLICKS),
            )
            for frame in frames
        ]
    if not cases:
        raise _unfit(folder, "frames and windows", "none of one kind", "select again")
    return Pictures(tuple(cases), opened.selection.digest(), CALIBRATION)


def _sizes(sides: Sequence[tuple[int, ...]]) -> str:
    frame, window = (f"{wide} x {high} px" for wide, high in sides)
    return f"frames of {frame} and windows of {window}"


def _unfit(folder: Path, expected: str, found: str, do: str) -> UsageError:
    what = f"the selection {folder} cannot be replayed"
    return UsageError(what, expected=expected, found=found, do=do)
