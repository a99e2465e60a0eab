"""Where fixes go: JSON lines while flying, GeoJSON at the end.

JSON lines are flushed after every frame, so that a kill keeps what was done. The GeoJSON is made
from them in one go, under a temporary name and renamed: it is whole, or not there.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from edge.errors import OutputError
from edge.types import Fix


class FixLines:
    """A file of JSON lines, one fix each."""

    def __init__(self, path: Path) -> None:
        """Begin a new file.

        Raises:
            OutputError: it cannot be made.
        """
        self.path = path
        self.count = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = path.open("w", encoding="utf-8")
        except OSError as error:
            raise not_written(path, error) from error

    @staticmethod
    def after(path: Path, beside: Sequence[str] = ()) -> FixLines:
        """Begin a new file; an earlier one of that name is kept as NAME-1.jsonl, and so on.

        `beside` names files of the same folder that belong to it, and are renamed with it.

        Raises:
            OutputError: it cannot be made.
        """
        try:
            if path.exists() and path.stat().st_size:
                together = [path, *map(path.with_name, beside)]
                number = 1
                while any(_numbered(each, number).exists() for each in together):
                    number += 1
                for each in together:
                    if each.exists():
                        each.rename(_numbered(each, number))
        except OSError as error:
            raise not_written(path, error) from error
        return FixLines(path)

    def write(self, fixes: Iterable[Fix]) -> None:
        """Append the fixes of a frame, and hand them to the system.

        Raises:
            OutputError: the disk is full, or the like; the lines before it are kept.
        """
        lines = [json.dumps(fix_record(fix), allow_nan=False) + "\n" for fix in fixes]
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except OSError as error:
            raise not_written(self.path, error) from error
        self.count += len(lines)

    def close(self) -> None:
        """Close the file."""
        try:
            self._stream.close()
        except OSError as error:
            raise not_written(self.path, error) from error


def fix_record(fix: Fix) -> dict[str, Any]:
    """A fix as plain values for JSON, under its own names; what is not finite becomes null."""
    record: dict[str, Any] = _plain(asdict(fix))
    return record


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file of fixes; a last line that a kill cut off is left out."""
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                yield json.loads(line)


def write_geojson(lines: Path, target: Path) -> int:
    """Turn JSON lines into a GeoJSON FeatureCollection, streaming; returns the number of fixes.

    A fix with a position is a Point; its box, if it has one, is a Polygon beside it. Their property
    `shape` says which is which. A fix without a position has the geometry null.

    Raises:
        OutputError: it cannot be written.
    """
    part = target.with_name(target.name + ".part")
    count = 0
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write('{"type": "FeatureCollection", "features": [')
            between = "\n"
            for record in read_lines(lines):
                count += 1
                for feature in _features(record):
                    stream.write(between + json.dumps(feature, allow_nan=False))
                    between = ",\n"
            stream.write("\n]}\n")
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(target)
    except OSError as error:
        _discard(part)
        raise not_written(target, error) from error
    return count


def write_whole(target: Path, data: bytes, option: str = "--out") -> None:
    """Write a file under a temporary name and rename it: it is whole, or as it was.

    `option` of the command says where, for the advice.

    Raises:
        OutputError: it cannot be written.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(target)
    except OSError as error:
        _discard(part)
        raise not_written(target, error, option) from error


def not_written(path: Path, error: OSError, option: str = "--out") -> OutputError:
    """The error for a result that could not be written."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return OutputError(
            f"{path} cannot be written",
            expected="a folder to write it into",
            found=f"{path.parent} is no folder, or a file is in its way",
            do=f"choose another folder with {option}",
        )
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    first = "free some space, or choose" if full else "choose"
    return OutputError(
        f"{path} cannot be written",
        expected="a folder that may be written to, with room",
        found=f"{type(error).__name__}: {error.strerror or error}",
        do=f"{first} another folder with {option}; what was written before is kept",
    )


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.stem}-{number}{path.suffix}")


def _discard(part: Path) -> None:
    with contextlib.suppress(OSError):  # the first error is the one to tell
        part.unlink()


def _features(record: dict[str, Any]) -> list[dict[str, Any]]:
    position = record["lon_lat_deg"]
    corners = record["corners_lon_lat_deg"]
    about = {key: value for key, value in record.items() if key not in _GEOMETRY_KEYS}
    if position is None:
        return [{"type": "Feature", "geometry": None, "properties": {"shape": None, **about}}]
    point = {"type": "Point", "coordinates": position}
    found = [{"type": "Feature", "geometry": point, "properties": {"shape": "centre", **about}}]
    if corners:
        ring = [corners[index] for index in (0, 3, 2, 1, 0)]  # counter-clockwise, RFC 7946
        polygon = {"type": "Polygon", "coordinates": [ring]}
        properties = {"shape": "box", **about}
        found.append({"type": "Feature", "geometry": polygon, "properties": properties})
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


_GEOMETRY_KEYS = ("lon_lat_deg", "corners_lon_lat_deg")
