"""How the picture moved from frame to frame, so that an alignment of an earlier frame still serves.

Corners are followed by Lucas-Kanade flow on a small grey picture and joined by a homography: a few
milliseconds, which every live frame pays. So they are looked for anew only once too few of them are
left. The chain breaks where the picture changes too much; then nothing is carried over it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edge.types import Array, Float64, Frame, Uint8

SIDE_PX = 400
CORNERS = 160  # more are followed no more exactly: 0.3 px after 11 steps with 220 as with 160
RENEWED_BELOW = 110  # corners that are left
LEAST_FOLLOWED = 24
LEAST_SHARE = 0.45  # of the followed corners that the homography must explain
REACH_PX = 1.5  # of the small picture
# Larger windows and more rounds are no more exact, follow fewer corners over a cut of a second, and
# take twice the time (the bundled flight; 0.04 px at the corners of a picture that moved by 4).
FLOW: dict[str, Any] = {
    "winSize": (13, 13),
    "maxLevel": 4,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03),
}
# The way back only asks whether the corner is met again. So it begins there, and on the finest
# picture alone: a wrong match drives it away. Both ways take 40 % less time than with a search back
# over all sizes, homographies are as exact, and of 235 pairs of different places none is joined.
FLOW_BACK: dict[str, Any] = FLOW | {"maxLevel": 0, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
LONGEST_CHAIN = 90


@dataclass(frozen=True, slots=True)
class _Step:
    """A frame, and the way from its pixels to those of the frame before; None: unknown."""

    index: int
    to_previous: Float64 | None


class FrameMotion:
    """The last frames as a chain of homographies. One thread at a time."""

    def __init__(self) -> None:
        self._chain: deque[_Step] = deque(maxlen=LONGEST_CHAIN)
        self._grey: Uint8 | None = None
        self._zoom = 1.0
        self._corners: Array | None = None  # [N, 1, 2] of the last picture

    def add(self, frame: Frame) -> None:
        """Take note of the next frame."""
        high, wide = frame.image.shape[:2]
        zoom = min(1.0, SIDE_PX / max(high, wide))
        size = max(1, round(wide * zoom)), max(1, round(high * zoom))
        # Grey first: one channel to shrink in place of three.
        full = cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY)
        way = cv2.INTER_LINEAR if zoom > 0.5 else cv2.INTER_AREA  # which is four times dearer
        grey = np.asarray(cv2.resize(full, size, interpolation=way), np.uint8)
        moved, followed = None, None
        if self._grey is not None and self._grey.shape == grey.shape and zoom == self._zoom:
            moved, followed = _follow(self._grey, grey, self._corners)
        if followed is None or len(followed) < RENEWED_BELOW:
            followed = cv2.goodFeaturesToTrack(grey, CORNERS, 0.01, 7)
        if moved is not None:
            scale = np.diag([zoom, zoom, 1.0])
            moved = np.linalg.inv(scale) @ moved @ scale
        self._chain.append(_Step(frame.index, moved))
        self._grey, self._zoom, self._corners = grey, zoom, followed

    def since(self, index: int) -> tuple[Float64, int] | None:
        """The way from pixels of the newest frame to those of frame `index`, and its steps.

        None: that frame is not among the last ones, or the chain is broken.
        """
        way = np.eye(3)
        for steps, step in enumerate(reversed(self._chain)):
            if step.index == index:
                return way / way[2, 2], steps
            if step.to_previous is None:
                return None
            way = step.to_previous @ way
        return None


def _follow(old: Uint8, new: Uint8, corners: Array | None) -> tuple[Float64 | None, Array | None]:
    """The way from pixels of `new` to those of `old`, and where the old one's corners are now.

    None for the way: the picture changed too much. The corners are then looked for anew.
    """
    if corners is None or len(corners) < LEAST_FOLLOWED:
        return None, None
    follow: Any = cv2.calcOpticalFlowPyrLK  # its stub forbids the None that its manual asks for
    there, found, _ = follow(old, new, corners, None, **FLOW)
    back, again, _ = follow(new, old, there, corners.copy(), **FLOW_BACK)  # written into
    drift = np.linalg.norm((back - corners).reshape(-1, 2), axis=1)
    good = (found.ravel() > 0) & (again.ravel() > 0) & (drift < 1.0)
    if good.sum() < LEAST_FOLLOWED:
        return None, None
    source, target = there.reshape(-1, 2)[good], corners.reshape(-1, 2)[good]
    matrix, inside = cv2.findHomography(source, target, cv2.USAC_MAGSAC, REACH_PX)
    if matrix is None or inside is None or inside.mean() < LEAST_SHARE:
        return None, None
    kept = good.nonzero()[0][inside.ravel() > 0]
    return np.asarray(matrix, np.float64), np.asarray(there[kept])
