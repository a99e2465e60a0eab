"""Pictures of data sets, read whole or refused.

OpenCV decodes a JPEG that is cut off and fills the rest with grey, with no more than a warning of
the JPEG library. A network would learn from the grey, so the end of the file is looked for first.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets.faults import Fault, FaultKind

_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG", b"IEND"


def look_at(
    path: Path, what: str, size_wh_px: tuple[int, int] | None, *, grey: bool = False
) -> NDArray[np.uint8] | Fault:
    """Decode a picture, or say what is wrong with it.

    Args:
        path: the picture.
        what: its part in the data set, for people: "the frame of record 7".
        size_wh_px: width and height that it must have; None accepts any.
        grey: one channel instead of RGB.

    Returns:
        [H, W, 3] RGB, or [H, W] grey; or the fault.
    """
    where = f"{path} ({what})"
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        return Fault(FaultKind.MISSING_IMAGE, where, "a picture", reason)
    decoded = None if _is_cut_off(content) or not content else _decode(content, grey)
    if decoded is None:
        reason = "cut off" if _is_cut_off(content) else "not a picture that OpenCV reads"
        found = f"{len(content)} bytes, {reason}"
        return Fault(FaultKind.UNREADABLE_IMAGE, where, "a whole JPEG or PNG file", found)
    height, width = decoded.shape[:2]
    if size_wh_px is not None and (width, height) != size_wh_px:
        expected = f"{size_wh_px[0]} x {size_wh_px[1]} px (width x height)"
        return Fault(FaultKind.WRONG_SIZE, where, expected, f"{width} x {height} px")
    return decoded


def read_picture(
    path: Path, what: str, size_wh_px: tuple[int, int] | None, *, grey: bool = False
) -> NDArray[np.uint8]:
    """Decode a picture; arguments and result as for `look_at`.

    Raises:
        DataError: missing, not a whole picture, or of another size.
    """
    seen = look_at(path, what, size_wh_px, grey=grey)
    if isinstance(seen, Fault):
        raise seen.as_error()
    return seen


class PictureCheck:
    """Looks at each picture once, however many records share it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[Path, tuple[int, int] | None], tuple[int, int] | Fault] = {}

    def size(
        self, path: Path, what: str, size_wh_px: tuple[int, int] | None
    ) -> tuple[int, int] | Fault:
        """Width and height of a picture, or what is wrong with it."""
        key = path, size_wh_px
        if key not in self._seen:
            seen = look_at(path, what, size_wh_px)
            wrong = isinstance(seen, Fault)
            self._seen[key] = seen if wrong else (seen.shape[1], seen.shape[0])
        return self._seen[key]


def _decode(content: bytes, grey: bool) -> NDArray[np.uint8] | None:
    raw = np.frombuffer(content, np.uint8)
    try:
        decoded = cv2.imdecode(raw, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    if decoded is None or grey:
        return decoded
    return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8)


def _is_cut_off(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; a thumbnail's end lies before the picture's scan."""
    if content.startswith(_JPEG):
        return content.rfind(_JPEG_END) <= content.rfind(_JPEG_SCAN)
    return content.startswith(_PNG) and _PNG_END not in content


def describe_folder(path: Path) -> str:
    """What is in a folder, for the `found` of an error."""
    if not path.is_dir():
        return "no such folder" if not path.exists() else "a file, not a folder"
    names = sorted(entry.name for entry in path.iterdir())
    rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + rest if names else "an empty folder"
