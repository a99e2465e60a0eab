"""What a selection folder holds: `selection.json` as typed values, and its pictures checked.

    selection.json       what was chosen from where, with the sha256 of every picture's pixels
    frames/0007.png      frames letterboxed to the size of the model, lossless
    windows/0003.png     windows of the map, lossless
    contact_sheet.jpg    all of them at a glance
    request.json         what was asked for; selections of earlier versions have none

Ranges, judge and the replay on a device read this folder only, never the flights again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import msgspec
import numpy as np

from edge.errors import CalibrationError
from edge.types import Uint8

SCHEMA = "tilefix-selection/1"
RECORD_NAME = "selection.json"
SHEET_NAME = "contact_sheet.jpg"
FRAME, WINDOW = "frame", "window"
FOLDERS = {FRAME: "frames", WINDOW: "windows"}
AGAIN = "select again: tilefix calibrate BUNDLE --frames FOLDER --tiles MAP --out FOLDER"
_OWN_HASH = "selection_sha256"


class ChosenImage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One picture of the selection, as it enters a graph."""

    kind: str  # "frame" or "window"
    file: str  # inside the folder, with forward slashes
    sha256: str  # of the pixels: uint8 RGB, rows first
    source: str  # name of the picture, video or map
    place: str  # "frame 17", or the id of a window
    brightness: float  # mean luma, 0 to 255, of what is no border
    contrast: float  # standard deviation of the luma
    sharpness: float  # variance of the Laplacian of the luma
    site: str
    season: str | None = None
    altitude_m: float | None = None
    frame_affine: tuple[float, ...] = ()  # of frames: from pixels of the camera, see edge.letterbox


class SourceSummary(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one source or map gave."""

    kind: str
    site: str
    path: str  # its last part
    found: int  # pictures or places that there are
    looked_at: int
    usable: int  # of these
    chosen: int
    sizes_px: tuple[tuple[int, int], ...] = ()  # width, height of all that were looked at


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of selection.json."""

    seed: int
    frame_px: tuple[int, int]  # width, height
    window_px: tuple[int, int]
    gsd_m: float
    images: tuple[ChosenImage, ...]  # frames first, each kind in the order of its file names
    left_out: dict[str, int]  # reason, see `calibration.selection.reasons` -> pictures
    sources: tuple[SourceSummary, ...] = ()
    notes: tuple[str, ...] = ()  # for people
    request_sha256: str = ""  # of what was asked for, and of the sources' names and identities
    schema: str = SCHEMA

    def digest(self) -> str:
        """Sha256 of all that a range depends on: the pixels, their order, sizes and affines."""
        matters = {
            "schema": self.schema,
            "frame_px": self.frame_px,
            "window_px": self.window_px,
            "gsd_m": float(self.gsd_m),
            "images": [[x.kind, x.file, x.sha256, x.frame_affine] for x in self.images],
        }
        return _sha256_of(matters)


@dataclass(frozen=True, slots=True)
class SelectionFolder:
    """An opened selection. Pictures are checked whenever they are read."""

    path: Path
    selection: Selection

    @staticmethod
    def open(path: str | Path) -> SelectionFolder:
        """Open a folder that `calibration.selection.selector.select` made.

        Raises:
            CalibrationError: none there, altered, of another schema, or a picture is missing.
        """
        folder = Path(path)
        selection = read_record(folder)
        missing = [x.file for x in selection.images if not (folder / x.file).is_file()]
        if missing:
            raise CalibrationError(
                f"the selection {folder} is not complete",
                expected=f"{len(selection.images)} pictures",
                found=f"{len(missing)} are missing, among them {missing[0]}",
                do=f"copy the folder again, or {AGAIN}",
            )
        return SelectionFolder(folder, selection)

    @property
    def frames(self) -> tuple[ChosenImage, ...]:
        """The chosen frames."""
        return tuple(x for x in self.selection.images if x.kind == FRAME)

    @property
    def windows(self) -> tuple[ChosenImage, ...]:
        """The chosen windows of the map."""
        return tuple(x for x in self.selection.images if x.kind == WINDOW)

    def read(self, image: ChosenImage) -> Uint8:
        """The pixels of a picture, [height_px, width_px, 3] uint8 RGB.

        Raises:
            CalibrationError: it cannot be read, or is not the picture that was chosen.
        """
        path = self.path / image.file
        pixels = decode_png(path)
        if pixels is None:
            raise _altered(path, f"sha256 {image.sha256}", "no picture that can be decoded")
        wanted = self.selection.frame_px if image.kind == FRAME else self.selection.window_px
        size = (pixels.shape[1], pixels.shape[0])
        if size != tuple(wanted):
            found = f"{size[0]} x {size[1]} px"
            raise _altered(path, f"{wanted[0]} x {wanted[1]} px", found)
        found = pixels_sha256(pixels)
        if found != image.sha256:
            raise _altered(path, f"pixels of sha256 {image.sha256}", f"sha256 {found}")
        return pixels


def read_record(folder: Path) -> Selection:
    """Read and check selection.json alone.

    Raises:
        CalibrationError: none there, altered, of another schema, or a file outside the folder.
    """
    path = folder / RECORD_NAME
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CalibrationError(
            f"there is no readable selection at {folder}",
            expected=f"a folder with {RECORD_NAME}",
            found=f"{type(error).__name__}: {error}",
            do=AGAIN,
        ) from error
    schema = values.get("schema") if isinstance(values, dict) else None
    if schema != SCHEMA:
        raise _altered(path, SCHEMA, f"schema {schema!r}")
    stated, found = values.pop(_OWN_HASH, None), _sha256_of(values)
    if stated != found:
        raise _altered(path, f"content of sha256 {stated}", f"sha256 {found}")
    try:
        selection = msgspec.convert(values, Selection)
    except msgspec.ValidationError as error:
        raise _altered(path, f"the keys of {SCHEMA}", str(error)) from error
    for image in selection.images:
        parts = PurePosixPath(image.file).parts
        if image.kind not in FOLDERS or len(parts) != 2 or parts[0] != FOLDERS[image.kind]:
            raise _altered(path, "pictures in frames/ and windows/", f"{image.kind} {image.file!r}")
    return selection


def record_bytes(selection: Selection) -> bytes:
    """The bytes of selection.json, with the sha256 of its own content."""
    values = msgspec.to_builtins(selection)
    values[_OWN_HASH] = _sha256_of(values)
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


def pixels_sha256(pixels: Uint8) -> str:
    """Sha256 of the pixels of an RGB picture, rows first."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest()


def decode_png(path: Path) -> Uint8 | None:
    """A picture of the folder as RGB, [H, W, 3] uint8; None where it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    return None if image is None else np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def encode_png(pixels: Uint8) -> bytes:
    """An RGB picture as PNG: the same pixels give the same bytes."""
    _, data = cv2.imencode(".png", pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return bytes(data)


def _sha256_of(values: Any) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _altered(path: Path, expected: str, found: str) -> CalibrationError:
    return CalibrationError(
        f"{path} was altered, or is of another version of tilefix",
        expected=expected,
        found=found,
        do=f"copy the folder again, or {AGAIN}",
    )
