"""One training sample: a frame, a window, and clicks with their boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PairSample:
    """A drone view and a reference window with N clicked objects.

    An object that the window does not show has `present` False; its box is then all zeros and must
    not be read.
    """

    frame: NDArray[np.uint8]  # [h, w, 3] RGB
    window: NDArray[np.uint8]  # [H, W, 3] RGB, north up
    click_xy_px: NDArray[np.float32]  # [N, 2] pixels of the frame
    box_xyxy_px: NDArray[np.float32]  # [N, 4] pixels of the window
    present: NDArray[np.bool_]  # [N]
    # Where the flat-ground geometry puts each click, window pixels; NaN where the window shows
    # another place. A roof leans away from it: it is what alignment would say, without its noise.
    expected_xy_px: NDArray[np.float32]  # [N, 2]
    source: str  # data set and scene or site, for splits and for people
