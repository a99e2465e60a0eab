"""The 8-tuples of CVOGL's lists as typed records; `training.datasets.cvogl` has the fields."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from training.checkpoints.safe_pickle import load_plain
from training.datasets.faults import Fault, FaultKind

FIELDS = "id, query file, satellite file, click, click, box (4), polygon (8), class"


@dataclass(frozen=True, slots=True)
class CvoglRecord:
    """One object seen from two sides."""

    record_id: int
    frame_file: str
    window_file: str
    click_xy_px: tuple[float, float]  # of the query; the centre of the clicked pixel
    box_xyxy_px: tuple[float, float, float, float]  # of the satellite picture
    polygon_xy_px: tuple[float, ...]  # eight: x, y of the four corners, satellite pixels
    class_name: str


def read_records(path: Path) -> tuple[list[CvoglRecord], list[Fault]]:
    """All records of a list, and what is wrong with those that are not among them.

    Raises:
        DataError: the file cannot be read, is not plain data, or does not hold a list.
    """
    entries = load_plain(path)
    if not isinstance(entries, (list, tuple)):
        raise Fault(
            FaultKind.BROKEN_LIST,
            str(path),
            f"a list of tuples: {FIELDS}",
            f"a value of type {type(entries).__name__}",
        ).as_error()
    records, faults = [], []
    for number, entry in enumerate(entries):
        where = f"{path.name} record {number}"
        try:
            records.append(_record(entry))
        except ValueError as error:
            faults.append(Fault(FaultKind.BROKEN_RECORD, where, FIELDS, str(error)))
    return records, faults


def _record(entry: Any) -> CvoglRecord:
    if not isinstance(entry, (list, tuple)) or len(entry) != 8:
        size = f" of {len(entry)}" if isinstance(entry, Sequence) else ""
        raise ValueError(f"a {type(entry).__name__}{size}, not a tuple of 8")
    number, frame, window, _, click, box, polygon, class_name = entry
    if not isinstance(class_name, str):
        raise ValueError(f"class {class_name!r}")
    record_id = _numbers(number, 1, "id")[0]
    x, y = (_pixel_centre(value) for value in _numbers(click, 2, "click"))
    x1, y1, x2, y2 = _numbers(box, 4, "box")
    return CvoglRecord(
        record_id=int(record_id),
        frame_file=_file_name(frame, "query file"),
        window_file=_file_name(window, "satellite file"),
        click_xy_px=(x, y),
        box_xyxy_px=(x1, y1, x2, y2),
        polygon_xy_px=_numbers(polygon, 8, "polygon"),
        class_name=class_name,
    )


def _pixel_centre(value: float) -> float:
    """A whole number is the index of a pixel, which the models recover by truncation."""
    return value + 0.5 if value == math.floor(value) else value


def _numbers(value: Any, count: int, what: str) -> tuple[float, ...]:
    try:
        flat = np.asarray(value, np.float64).reshape(-1)
    except (ValueError, TypeError):
        flat = np.empty(0)
    if flat.size != count or not np.isfinite(flat).all():
        raise ValueError(f"{what} {value!r}"[:120])
    return tuple(float(number) for number in flat)


def _file_name(value: Any, what: str) -> str:
    """A plain name: a list must not lead out of its folder."""
    if not isinstance(value, str) or not value or PurePosixPath(value).name != value:
        raise ValueError(f"{what} {value!r}"[:120])
    return value
