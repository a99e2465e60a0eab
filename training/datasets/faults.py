"""What can be wrong with a data set on disk: readers raise the first, the check lists all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from edge.errors import DataError, TilefixError

TOLERANCE_PX = 1.0  # the published loaders truncate to whole pixels and clamp to 0 .. side - 1


class FaultKind(str, Enum):
    """Kinds of faults, in the words of the check's table."""

    MISSING_SPLIT = "missing split"
    BROKEN_LIST = "broken list"
    BROKEN_RECORD = "broken record"
    MISSING_IMAGE = "missing image"
    UNREADABLE_IMAGE = "unreadable image"
    WRONG_SIZE = "wrong size"
    REFUSED_IMAGE = "image refused"
    EMPTY_BOX = "empty box"
    BOX_OUTSIDE = "box outside"
    CLICK_OUTSIDE = "click outside"
    EMPTY_MASK = "empty mask"
    # Notes: said and counted, but training does as the papers did in spite of them.
    UNEQUAL_COUNTS = "unequal counts"
    NO_GEOREFERENCE = "no georeference"
    POLYGON_APART = "polygon apart from box"
    OTHER_COUNT = "other number of samples"


NOTES = frozenset(
    {
        FaultKind.UNEQUAL_COUNTS,
        FaultKind.NO_GEOREFERENCE,
        FaultKind.POLYGON_APART,
        FaultKind.OTHER_COUNT,
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    kind: FaultKind
    where: str  # file, and the record or line in it
    expected: str
    found: str

    @staticmethod
    def of_error(kind: FaultKind, error: TilefixError) -> Fault:
        """What a reader raised, for the check's list."""
        return Fault(kind, error.what, error.expected, error.found)

    @property
    def is_note(self) -> bool:
        """Whether the data set is usable in spite of it."""
        return self.kind in NOTES

    def as_error(self) -> DataError:
        """The same as an error, for readers."""
        return DataError(
            f"{self.kind.value}: {self.where}",
            expected=self.expected,
            found=self.found,
            do="tilefix datasets check ROOT lists all that is wrong with the data set",
        )


def box_faults(where: str, box_xyxy_px: ArrayLike, size_wh_px: tuple[int, int]) -> list[Fault]:
    """Empty box, or one that leaves its picture by more than a pixel.

    Args:
        where: for people.
        box_xyxy_px: [4].
        size_wh_px: of the picture.
    """
    x1, y1, x2, y2 = np.asarray(box_xyxy_px, np.float64).tolist()
    width, height = size_wh_px
    found = f"({x1:g}, {y1:g}, {x2:g}, {y2:g})"
    if not (x1 < x2 and y1 < y2):  # also refuses NaN
        return [Fault(FaultKind.EMPTY_BOX, where, "x1 < x2 and y1 < y2", found)]
    least, slack = -TOLERANCE_PX, TOLERANCE_PX
    if min(x1, y1) < least or x2 > width + slack or y2 > height + slack:
        inside = f"a box inside {width} x {height} px"
        return [Fault(FaultKind.BOX_OUTSIDE, where, inside, found)]
    return []


def click_faults(where: str, click_xy_px: ArrayLike, size_wh_px: tuple[int, int]) -> list[Fault]:
    """A click outside its picture.

    Args:
        where: for people.
        click_xy_px: [2].
        size_wh_px: of the picture.
    """
    x, y = np.asarray(click_xy_px, np.float64).tolist()
    width, height = size_wh_px
    if 0 <= x < width and 0 <= y < height:
        return []
    inside = f"a click inside {width} x {height} px"
    return [Fault(FaultKind.CLICK_OUTSIDE, where, inside, f"({x:g}, {y:g})")]
