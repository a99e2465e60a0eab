"""The pictures that an INT8 bundle carries for its engines: what is in them, and how to read them.

    calibration/replay/index.json         frames with clicks, affines and windows; sha256 of pixels
    calibration/replay/frames/0007.webp   frames letterboxed to the size of the model, lossless
    calibration/replay/windows/0003.webp  windows of the map, lossless

The float32 graphs and an engine are shown the same pictures, on the device, where there is neither
the flight nor the work folder. Nothing says where or when a picture was taken.
"""

from __future__ import annotations

import json

import cv2
import msgspec
import numpy as np

from calibration.selection.record import decode_png, pixels_sha256
from edge.bundle import Bundle
from edge.engine_manifest import CALIBRATION, HELD_OUT, REPLAY_INDEX
from edge.errors import CalibrationError
from edge.types import Uint8

SCHEMA = "tilefix-replay/1"
FOLDER = REPLAY_INDEX.rpartition("/")[0]
LOSSLESS = 101  # OpenCV's quality beyond 100
ANOTHER = "give `tilefix build` the selection with --replay, or calibrate again with this version"


class ReplayWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A window of the map."""

    file: str  # in FOLDER, with forward slashes
    sha256: str  # of the pixels: uint8 RGB, rows first


class ReplayFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A frame as it enters the localizer."""

    file: str
    sha256: str
    frame_affine: tuple[float, ...]  # six numbers, from pixels of the camera; see edge.letterbox
    click_xy_px: tuple[tuple[float, float], ...]  # pixels of the camera
    windows: tuple[str, ...]  # files of those that it is looked for in


class ReplayIndex(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of index.json."""

    schema: str
    pictures: str  # what they are: HELD_OUT, each frame in its window; or CALIBRATION
    selection_sha256: str  # digest of the selection that the graphs were calibrated on
    frame_px: tuple[int, int]  # width, height
    window_px: tuple[int, int]
    frames: tuple[ReplayFrame, ...]
    windows: tuple[ReplayWindow, ...]


def name_of(file: str) -> str:
    """A picture's name in the bundle."""
    return f"{FOLDER}/{file}"


def carries_pictures(bundle: Bundle) -> bool:
    """Whether a bundle has pictures to replay; one of an earlier version has none."""
    return REPLAY_INDEX in bundle.manifest.files


def read_index(bundle: Bundle) -> ReplayIndex:
    """Read the index of a bundle's pictures.

    Raises:
        BundleError: the bundle carries none.
        CalibrationError: of another schema, of other sizes, or it names what is not there.
    """
    path = bundle.file(REPLAY_INDEX)
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unread(bundle, SCHEMA, f"{type(error).__name__}: {error}") from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise _unread(bundle, SCHEMA, f"schema {schema!r}")
    try:
        index = msgspec.convert(values, ReplayIndex)
    except msgspec.ValidationError as error:
        raise _unread(bundle, f"the keys of {SCHEMA}", str(error)) from error
    spec = bundle.manifest
    sizes = [(each.width_px, each.height_px) for each in (spec.frame, spec.window)]
    if [index.frame_px, index.window_px] != sizes:
        found = f"{index.frame_px} and {index.window_px} px"
        raise _unread(bundle, f"frames and windows of {sizes[0]} and {sizes[1]} px", found)
    windows = {each.file for each in index.windows}
    needed = {file for frame in index.frames for file in frame.windows}
    if not needed or not needed <= windows:
        raise _unread(bundle, "frames, each with windows that are listed", sorted(needed - windows))
    if index.pictures not in (HELD_OUT, CALIBRATION):
        raise _unread(bundle, f"{HELD_OUT} or {CALIBRATION}", repr(index.pictures))
    odd = [x.file for x in index.frames if len(x.frame_affine) != 6 or not x.click_xy_px]
    if odd:
        raise _unread(bundle, "six numbers of an affine and clicks of every frame", odd)
    return index


def read_picture(bundle: Bundle, picture: ReplayFrame | ReplayWindow) -> Uint8:
    """The pixels of a picture, [height_px, width_px, 3] uint8 RGB.

    Raises:
        BundleError: the bundle has no such file.
        CalibrationError: it is decoded to other pixels than were shown to the float graphs.
    """
    pixels = decode_png(bundle.file(name_of(picture.file)))
    found = "no picture that OpenCV can decode" if pixels is None else pixels_sha256(pixels)
    if pixels is None or found != picture.sha256:
        raise _unread(bundle, f"{picture.file} with pixels of sha256 {picture.sha256}", found)
    return pixels


def encode_webp(pixels: Uint8) -> bytes:
    """An RGB picture as lossless WebP, a third smaller than PNG: equal pixels give equal bytes."""
    picture = np.ascontiguousarray(pixels[:, :, ::-1])
    _, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, LOSSLESS])
    return bytes(data)


def index_bytes(index: ReplayIndex) -> bytes:
    """The bytes of index.json."""
    values = msgspec.to_builtins(index)
    return json.dumps(values, indent=1, sort_keys=True).encode() + b"\n"


def _unread(bundle: Bundle, expected: str, found: object) -> CalibrationError:
    return CalibrationError(
        f"the pictures in {bundle.path / FOLDER} cannot be replayed",
        expected=expected,
        found=str(found),
        do=ANOTHER,
    )
