"""Click files: which objects to locate in which frame.

CSV or JSON lines with `id, x, y` and one of `frame` or `time` (seconds of the source; `time_s` is
the same). `frame` is the index in the source, from 0, or the name of a picture. Without either, the
clicks count for every frame: a cross-hair, or a source of one picture.

Times of files start at 0 with the first frame; pictures count as one a second. Live sources have no
first frame that anyone could know beforehand: their times are Unix time, seconds since 1970 in UTC
by the clock of this machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ClickError
from edge.table import Row, Schema, read_table
from edge.types import Click, Frame

SCHEMA = Schema(
    kind="click file",
    columns=("frame", "time", "time_s", "id", "x", "y"),
    required=("id", "x", "y"),
    error=ClickError,
    example="frame,id,x,y / 0,house-1,412.5,300",
)
SHOWN_FRAMES = 3
MOST_DIGITS = 18  # of an index: no source has more frames
OLDEST_S = 1.0  # a click by time is for the first frame after it, if that comes within this time


@dataclass(frozen=True, slots=True)
class PlacedClick:
    """A click with the frame it is on: an index, a file name, a time, or None for every frame."""

    click: Click
    frame: int | str | float | None  # float: a time in seconds
    where: str  # file and line


class ClickSchedule:
    """Hands each frame its clicks. Frames come in order of time; not every frame need come."""

    def __init__(self, clicks: tuple[PlacedClick, ...]) -> None:
        self._always = tuple(item for item in clicks if item.frame is None)
        self._by_frame: dict[int | str, list[PlacedClick]] = {}
        timed: list[tuple[float, PlacedClick]] = []
        for item in clicks:
            if isinstance(item.frame, float):
                timed.append((item.frame, item))
            elif item.frame is not None:
                self._by_frame.setdefault(item.frame, []).append(item)
        self._timed = sorted(timed, key=lambda pair: pair[0])
        self._next_timed = 0
        self._count = len(clicks)
        self._used: set[str] = set()

    @staticmethod
    def read(path: str | os.PathLike[str]) -> ClickSchedule:
        """Read a click file.

        Raises:
            ClickError: see `read_clicks`.
        """
        return ClickSchedule(read_clicks(path))

    def __len__(self) -> int:
        return self._count

    def take(self, frame: Frame, refused: list[ClickError] | None = None) -> tuple[Click, ...]:
        """The clicks of a frame; () if it has none.

        Args:
            frame: the frame.
            refused: where given, clicks outside the frame are left out and their errors put here:
                one of them must not end a flight.

        Raises:
            ClickError: one of them lies outside the frame; names file and line.
        """
        found = list(self._always)
        found += self._by_frame.get(frame.index, [])
        found += self._by_frame.get(Path(frame.source).name, [])
        latest: dict[str, PlacedClick] = {}  # of several clicks by time on one object, the last
        while self._next_timed < len(self._timed):
            time_s, item = self._timed[self._next_timed]
            if time_s > frame.time_s:
                break
            self._next_timed += 1
            if frame.time_s - time_s <= OLDEST_S:
                self._used.add(item.where)
                latest[item.click.click_id] = item
        found += latest.values()
        self._used.update(item.where for item in found)
        taken = []
        for item in found:
            error = _outside(item, frame)
            if error is None:
                taken.append(item.click)
            elif refused is None:
                raise error
            else:
                refused.append(error)
        return tuple(taken)

    @property
    def unused(self) -> int:
        """How many clicks no frame has taken so far."""
        return self._count - len(self._used)

    @property
    def unused_frames(self) -> tuple[str, ...]:
        """The frames, or times, whose clicks no frame has taken so far; of many three and "..."."""
        waiting = [item for items in self._by_frame.values() for item in items]
        waiting += [item for _, item in self._timed]
        names = [
            f"{item.frame:g} s" if isinstance(item.frame, float) else str(item.frame)
            for item in waiting
            if item.where not in self._used
        ]
        apart = tuple(dict.fromkeys(names))
        return apart if len(apart) <= SHOWN_FRAMES else (*apart[:SHOWN_FRAMES], "...")


def read_clicks(path: str | os.PathLike[str]) -> tuple[PlacedClick, ...]:
    """Read a click file, in the order of its lines.

    Raises:
        ClickError: an unreadable or empty file, an unknown or missing column, both `frame` and
            `time`, a value that is not a finite number, two clicks of one id in one frame, or
            clicks in shares of the frame's sides.
    """
    found: list[PlacedClick] = []
    seen: dict[tuple[object, str], str] = {}
    for row in read_table(path, SCHEMA):
        name = row.values.get("id")
        if name is None:
            raise ClickError(
                f"{row.where}: the click has no id",
                expected="a name in `id`, so that its fix can be told from the others",
                found="nothing",
                do="name each object; the same object keeps its id from frame to frame",
            )
        frame = _frame_of(row)
        key = frame, name
        if key in seen:
            raise ClickError(
                f"{row.where}: the id {name!r} is there twice in one frame",
                expected="each object once in a frame",
                found=f"also in {seen[key]}",
                do="give each object of a frame its own id, or take one of the lines out",
            )
        seen[key] = row.where
        click = Click(name, SCHEMA.needed(row, "x"), SCHEMA.needed(row, "y"))
        found.append(PlacedClick(click, frame, row.where))
    _check_pixels(path, found)
    homeless = next((item for item in found if item.frame is None), None)
    if homeless is not None and any(item.frame is not None for item in found):
        raise ClickError(
            f"{homeless.where}: a click of no frame, amid clicks that have one",
            expected="a value in `frame` or `time` on every line, or on none",
            found=f"click {homeless.click.click_id!r} without either",
            do="fill it in, or take that line out",
        )
    return tuple(found)


def _check_pixels(path: str | os.PathLike[str], clicks: list[PlacedClick]) -> None:
    """Shares of the frame's sides, 0 to 1, would be taken for its first pixel, and be located."""
    values = [value for item in clicks for value in (item.click.x_px, item.click.y_px)]
    if all(0 <= value <= 1 for value in values) and any(value % 1 for value in values):
        raise ClickError(
            f"the clicks of {os.fspath(path)} are not in pixels",
            expected="x and y in pixels of the frame as it is, before any resizing",
            found=f"none above 1: the first is x {values[0]:g}, y {values[1]:g}",
            do="multiply x by the width and y by the height of the frame",
        )


def _outside(item: PlacedClick, frame: Frame) -> ClickError | None:
    high, wide = frame.image.shape[:2]
    if 0 <= item.click.x_px <= wide and 0 <= item.click.y_px <= high:
        return None
    return ClickError(
        f"{item.where}: the click {item.click.click_id!r} lies outside the frame",
        expected=f"x from 0 to {wide}, y from 0 to {high}",
        found=f"x {item.click.x_px:g}, y {item.click.y_px:g} in {frame.source}",
        do="give clicks in pixels of the frame as it is, before any resizing",
    )


def frame_key(row: Row, schema: Schema) -> int | str | None:
    """The `frame` of a row: an index if it is a number, else a file name; None if it has none.

    Raises:
        TilefixError: of the schema's kind; a number that is no index.
    """
    text = row.values.get("frame")
    if text is None:
        return None
    if text.isdecimal() and len(text) <= MOST_DIGITS:
        return int(text)
    try:
        float(text)
    except ValueError:
        return text
    raise schema.fail(
        f"{row.where}: `frame` is not an index",
        "a whole number from 0, or the file name of a picture",
        repr(text[:40]),
        "count frames from 0; for seconds use the column `time`",
    )


def _frame_of(row: Row) -> int | str | float | None:
    named = [name for name in ("frame", "time", "time_s") if name in row.values]
    if len(named) > 1:
        raise ClickError(
            f"{row.where}: a click has more than one of frame, time and time_s",
            expected="one of them",
            found=", ".join(f"{name} {row.values[name]}" for name in named),
            do="take one of the columns out",
        )
    if not named:
        return None
    if named[0] == "frame":
        return frame_key(row, SCHEMA)
    return SCHEMA.needed(row, named[0])
