"""When and how high a picture was taken: EXIF of a JPEG, or the date in a name.

Only what the balance of a selection needs is read: DateTimeOriginal (else DateTime) and the GPS
altitude. A block of EXIF that makes no sense says nothing; the picture itself is unharmed by it.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

QUARTERS = ("Dec-Feb", "Mar-May", "Jun-Aug", "Sep-Nov")
_HEAD_BYTES = 256 << 10  # EXIF lies in the first segments, each at most 64 KiB
_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d{3,5}(?!\d))"
)
_EXIF_DATE = re.compile(r"(\d{4}):(\d\d):\d\d")
_DATE_TIME, _ORIGINAL, _EXIF, _GPS = 0x0132, 0x9003, 0x8769, 0x8825
_ALTITUDE_REF, _ALTITUDE = 5, 6
_ASCII, _BYTE, _RATIONAL = 2, 1, 5
_LEAST_YEAR = 1990  # a camera without a clock says 0000 or 1970


@dataclass(frozen=True, slots=True)
class Shot:
    """What is known of the moment; None: unknown."""

    month: int | None = None
    altitude_m: float | None = None  # above sea level, as EXIF has it

    @property
    def season(self) -> str | None:
        """The quarter of the year; which season that is depends on the hemisphere."""
        return None if self.month is None else QUARTERS[self.month % 12 // 3]


def shot_of(path: Path) -> Shot:
    """What a file's EXIF says; without a date in it, what the names say."""
    found = Shot()
    if path.suffix.lower() in (".jpg", ".jpeg"):
        with path.open("rb") as stream:
            found = read_exif(stream.read(_HEAD_BYTES))
    return Shot(found.month or month_in_path(path), found.altitude_m)


def month_in_path(path: Path) -> int | None:
    """The month of a date in the name of a file, else in that of its folder."""
    return month_in_name(path.name) or month_in_name(path.absolute().parent.name)


def month_in_name(name: str) -> int | None:
    """The month of a date such as 20240511, 2024-05-11 or 2024_05_11 in a name."""
    match = _DATE.search(name)
    return int(match[3]) if match else None


def read_exif(head: bytes) -> Shot:
    """What the start of a JPEG says; nothing where it has no EXIF, or a broken one."""
    at = 2 if head[:2] == b"\xff\xd8" else len(head)
    while at + 4 <= len(head) and head[at] == 0xFF and head[at + 1] != 0xDA:
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if head[at + 1] == 0xE1 and head[at + 4 : at + 10] == b"Exif\0\0":
            try:
                return _read_tiff(head[at + 10 : at + 2 + length])
            except (struct.error, ValueError, IndexError):
                return Shot()
        at += 2 + max(length, 2)
    return Shot()


def _read_tiff(block: bytes) -> Shot:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return Shot()
    first = _directory(block, order, struct.unpack_from(order + "I", block, 4)[0])
    inner, gps = (
        _directory(block, order, at) if isinstance(at, int) else {}
        for at in (first.get(_EXIF), first.get(_GPS))
    )
    date = inner.get(_ORIGINAL) or first.get(_DATE_TIME)
    match = _EXIF_DATE.match(date) if isinstance(date, str) else None
    month = int(match[2]) if match and int(match[1]) >= _LEAST_YEAR else None
    height = gps.get(_ALTITUDE)
    if isinstance(height, float) and gps.get(_ALTITUDE_REF) == 1:
        height = -height
    return Shot(
        month if month is not None and 1 <= month <= 12 else None,
        round(height, 2) if isinstance(height, float) else None,
    )


def _directory(block: bytes, order: str, at: int) -> dict[int, int | float | str]:
    """The numbers, rationals and texts of one directory of a TIFF block."""
    found: dict[int, int | float | str] = {}
    for n in range(struct.unpack_from(order + "H", block, at)[0]):
        tag, kind, count = struct.unpack_from(order + "HHI", block, at + 2 + 12 * n)
        place = at + 2 + 12 * n + 8
        if kind == _ASCII:
            start = struct.unpack_from(order + "I", block, place)[0] if count > 4 else place
            found[tag] = block[start : start + count].split(b"\0")[0].decode("latin-1")
        elif kind == _RATIONAL:
            above, below = struct.unpack_from(
                order + "II", block, struct.unpack_from(order + "I", block, place)[0]
            )
            if below:
                found[tag] = above / below
        elif kind == _BYTE:
            found[tag] = block[place]
        else:
            found[tag] = struct.unpack_from(order + "I", block, place)[0]
    return found
