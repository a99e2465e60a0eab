"""The JSON of a pairs file as typed values, checked in full; `edge.pairs` documents the format."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec
import numpy as np

from edge.errors import PairsError
from edge.geodesy import AffineGeometry

SCHEMA = "tilefix-pairs/1"
GSD_FACTOR = 2.5  # gsd_m and geotransform may differ so much: some state metres of the projection
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")
_AT = re.compile(r" - at `(?P<place>[^`]*)`$")
_TILE_SUFFIXES = (".mbtiles", ".pmtiles")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all parts of the file: immutable, no unknown keys."""


class MapEntry(Entry, frozen=True, kw_only=True):
    """`map`."""

    file: str
    width: int
    height: int
    gsd_m: float
    epsg: int | None = None
    geotransform: tuple[float, float, float, float, float, float] | None = None
    nodata_rgb: tuple[int, int, int] | None = None


class ObjectEntry(Entry, frozen=True, kw_only=True, rename={"class_": "class"}):
    """One of `objects`."""

    id: str
    box_xyxy_px: tuple[float, float, float, float]
    class_: str = ""
    desc: str = ""
    lon_lat_deg: tuple[float, float] | None = None  # of its centre, for people


class ClickEntry(Entry, frozen=True, kw_only=True, rename={"class_": "class"}):
    """One of the `clicks` of a frame."""

    object_id: str | None
    x: float
    y: float
    visible: Literal["full", "partial"] = "full"
    desc: str = ""
    click_id: str | None = None  # the same for an object in all its frames
    class_: str = ""
    lon_lat_deg: tuple[float, float] | None = None  # of what was clicked, on the map or not


class FrameEntry(Entry, frozen=True, kw_only=True):
    """One of `frames`."""

    file: str
    width: int
    height: int
    clicks: tuple[ClickEntry, ...]
    lon_lat_deg: tuple[float, float] | None = None
    alt_m: float | None = None
    yaw_deg: float | None = None
    capture_time: str | float | None = None
    time_s: float | None = None
    tilt_deg: float | None = None
    gsd_m: float | None = None


class FileEntry(Entry, frozen=True, kw_only=True):
    """The whole file."""

    schema: str
    map: MapEntry
    objects: tuple[ObjectEntry, ...]
    frames: tuple[FrameEntry, ...]
    notes: str | tuple[str, ...] = ()
    # How a rendered flight was made, for people; nothing is computed from these.
    made_by: str = ""
    licence: str = ""
    telemetry_noise: dict[str, float] | None = None
    sha256: dict[str, str] | None = None


class _SchemaOnly(msgspec.Struct):
    schema: Any = None


def has_tiles(file: str) -> bool:
    """Whether a map is a tile map, which brings its own georeference, and no picture."""
    return file.lower().endswith(_TILE_SUFFIXES) or "." not in PurePosixPath(file).name


def decode(content: bytes, where: str) -> FileEntry:
    """Decode and check the content of a pairs file; `where` names it in errors.

    Raises:
        PairsError: see `edge.pairs.read_pairs`.
        GeoreferenceError: an EPSG code that is not supported, or a singular geotransform.
    """
    try:
        schema = msgspec.json.decode(content, type=_SchemaOnly).schema
        if schema != SCHEMA:
            raise PairsError(
                f"{where} has another schema",
                expected=f'"schema": "{SCHEMA}"',
                found=f'"schema": {msgspec.json.encode(schema).decode()}',
                do="convert the file, or use the version of tilefix that wrote it",
            )
        entry = msgspec.json.decode(content, type=FileEntry)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), where) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PairsError(
            f"{where} is not JSON",
            expected=f"a JSON file of schema {SCHEMA}",
            found=str(error),
            do="correct the file, or make it again",
        ) from error
    _check_map(entry.map, where)
    _check_objects(entry, where)
    _check_frames(entry, where)
    return entry


def _check_map(stated: MapEntry, where: str) -> None:
    if stated.width < 1 or stated.height < 1:
        size = f"{stated.width} x {stated.height} px"
        raise _broken(where, "map has no area", "width and height of 1 px or more", size)
    if not (math.isfinite(stated.gsd_m) and stated.gsd_m > 0):
        raise _broken(where, "map.gsd_m is no length", "metres per pixel", str(stated.gsd_m))
    if stated.nodata_rgb is not None and not all(0 <= v <= 255 for v in stated.nodata_rgb):
        found = str(list(stated.nodata_rgb))
        raise _broken(where, "map.nodata_rgb is no colour", "three values of 0 to 255", found)
    if stated.epsg is None or (stated.geotransform is None and has_tiles(stated.file)):
        return
    if stated.geotransform is None:
        raise _broken(
            where,
            "the map has an EPSG code and no geotransform",
            '"geotransform": [x0, dx_col, dx_row, y0, dy_col, dy_row], or "epsg": null',
            f'"epsg": {stated.epsg} alone',
        )
    geometry = AffineGeometry(stated.geotransform, stated.epsg)
    across, down = _metres_per_px(geometry, stated.width / 2, stated.height / 2)
    low, high = stated.gsd_m / GSD_FACTOR, stated.gsd_m * GSD_FACTOR
    if not (low < across < high and low < down < high):
        raise _broken(
            where,
            "map.geotransform and map.gsd_m disagree",
            f"about {stated.gsd_m} m per pixel, in GDAL's order x0, dx_col, dx_row, y0, dy_col, "
            "dy_row",
            f"{across:.4g} m across and {down:.4g} m down a pixel in {list(stated.geotransform)}",
        )


def _metres_per_px(geometry: AffineGeometry, x_px: float, y_px: float) -> tuple[float, float]:
    """Across and down a pixel; NaN far outside the projection."""
    with np.errstate(all="ignore"):
        across, down = geometry.metres_per_px(np.array([[x_px, y_px]], np.float64))[0].tolist()
    return across, down


def _check_objects(entry: FileEntry, where: str) -> None:
    _refuse_duplicates((o.id for o in entry.objects), "object id", where)
    width, height = entry.map.width, entry.map.height
    for item in entry.objects:
        if not item.id:
            raise _broken(where, "an object has no name", "an id of one letter or more", '""')
        x1, y1, x2, y2 = item.box_xyxy_px
        found = f"box_xyxy_px {list(item.box_xyxy_px)}"
        if not (x1 < x2 and y1 < y2):
            raise _broken(
                where, f"the box of object {item.id!r} has no area", "x1 < x2 and y1 < y2", found
            )
        if not (x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height):
            raise _broken(
                where,
                f"the box of object {item.id!r} lies outside the map",
                f"0 to {width} across and 0 to {height} down",
                found,
            )


def _check_frames(entry: FileEntry, where: str) -> None:
    if not any(frame.clicks for frame in entry.frames):
        found = f"{len(entry.frames)} frames without any"
        raise _broken(where, "there are no clicks in the file", "a frame with a click", found)
    _refuse_duplicates((f.file for f in entry.frames), "frame", where)
    known = {item.id for item in entry.objects}
    for frame in entry.frames:
        if frame.width < 1 or frame.height < 1:
            size = f"{frame.width} x {frame.height} px"
            problem = f"frame {frame.file} has no area"
            raise _broken(where, problem, "width and height of 1 px or more", size)
        for click in frame.clicks:
            if not (0 <= click.x <= frame.width and 0 <= click.y <= frame.height):
                raise _broken(
                    where,
                    f"a click on {click.object_id!r} lies outside the frame {frame.file}",
                    f"x from 0 to {frame.width} and y from 0 to {frame.height}",
                    f"x {click.x}, y {click.y}",
                )
            if click.object_id is not None and click.object_id not in known:
                raise _broken(
                    where,
                    f"a click in frame {frame.file} names an unknown object_id",
                    f"one of the ids of `objects`, or null{_nearest(click.object_id, known)}",
                    repr(click.object_id),
                )


def _refuse_duplicates(names: Iterable[str], kind: str, where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _broken(where, f"two entries have one {kind}", f"each {kind} once", repr(name))
        seen.add(name)


def _refusal(message: str, where: str) -> PairsError:
    """The four parts of what msgspec says, with the nearest key for an unknown one."""
    at = _AT.search(message)
    place = at["place"] if at else "$"
    unknown = _UNKNOWN.search(message)
    if unknown is None:
        expected = "the keys and types of tilefix-pairs/1"
        return _broken(where, f"a value at {place} is wrong", expected, _AT.sub("", message))
    kind: type[Entry] = FileEntry
    for part, entry in (("map", MapEntry), ("objects", ObjectEntry), ("frames", FrameEntry)):
        if place.startswith(f"$.{part}"):
            kind = ClickEntry if ".clicks" in place else entry
    keys = [field.encode_name for field in msgspec.structs.fields(kind)]
    hint = _nearest(unknown["key"], keys)
    expected = f"{', '.join(keys)}{hint}"
    return _broken(where, f"an unknown key at {place}", expected, repr(unknown["key"]))


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _broken(where: str, problem: str, expected: str, found: str) -> PairsError:
    return PairsError(
        f"{where}: {problem}",
        expected=expected,
        found=found,
        do="correct the file; `python -m pydoc edge.pairs` shows its format",
    )
