"""What an open loop answered, frame by frame, in memory that was taken before it began.

Results themselves hold pictures and features; of ten minutes of them nothing would be left of the
machine. Boxes are kept in pixels of the map's grid, whichever window they were found in.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.frame_result import FrameResult
from edge.types import Float64, Verdict

NO_ANSWER = (math.nan,) * 4 + (0.0,)


class FlightLog:
    """Boxes and verdicts of every frame that the camera gives."""

    def __init__(self, shown: Sequence[int], clicks: int) -> None:
        """Take the memory.

        Args:
            shown: which shot each scheduled frame shows.
            clicks: in each frame.
        """
        self.shown = tuple(shown)
        self.answered = np.zeros(len(shown), np.bool_)
        self.aligned = np.zeros(len(shown), np.bool_)  # had a place on the map in time
        self._answers = np.full((len(shown), clicks, len(NO_ANSWER)), NO_ANSWER, np.float64)
        self._row = struct.Struct(f"={clicks * len(NO_ANSWER)}d")

    def add(self, number: int, result: FrameResult) -> None:
        """Keep the fixes of one frame."""
        self.answered[number] = True
        self.aligned[number] = result.placed is not None
        row: list[float] = []
        for fix in result.fixes:
            box, place = fix.box_xyxy_px, result.places.get(fix.window_id or "")
            if box is None or place is None:
                row += NO_ANSWER
                continue
            left, top = place.left_px, place.top_px
            row += (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
            row.append(fix.verdict is Verdict.ACCEPTED)
        self._row.pack_into(self._answers, number * self._row.size, *row)

    def frames(self, scheduled: int) -> NDArray[np.int64]:
        """Numbers of the answered ones among so many frames."""
        return np.flatnonzero(self.answered[:scheduled]).astype(np.int64)

    def boxes_px(self, scheduled: int) -> Float64:
        """In pixels of the map's grid, NaN without an answer. [scheduled, clicks, 4]"""
        return self._answers[:scheduled, :, :4]

    def accepted(self, scheduled: int) -> NDArray[np.bool_]:
        """Of so many frames. [scheduled, clicks]"""
        return self._answers[:scheduled, :, 4] > 0
