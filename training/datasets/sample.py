"""One training sample: a frame, a window, and clicks with their boxes; and what samples come from.

Coordinates have pixel corners at integers, as everywhere in this project: the centre of the first
pixel is (0.5, 0.5). Data sets that click on a pixel by its index are read as that pixel's centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.types import ReferenceWindow, WindowGeometry


@dataclass(frozen=True, slots=True)
class PairSample:
    """A drone view and a reference window with N clicked objects.

    An object that the window does not show has `present` False; its box is then all zeros and must
    not be read.
    """

    frame: NDArray[np.uint8]  # [h, w, 3] RGB
    window: NDArray[np.uint8]  # [H, W, 3] RGB, north up unless augmented
    click_xy_px: NDArray[np.float32]  # [N, 2] pixels of the frame
    box_xyxy_px: NDArray[np.float32]  # [N, 4] pixels of the window
    present: NDArray[np.bool_]  # [N]
    # Where the flat-ground geometry puts each click, window pixels; NaN where the window shows
    # another place, or the data set does not know. A roof leans away from it: it is what alignment
    # would say, without its noise.
    expected_xy_px: NDArray[np.float32]  # [N, 2]
    source: str  # data set and scene or site, for splits and for people
    # What only some data sets know.
    class_names: tuple[str, ...] = ()  # [N], or empty: not known
    polygon_xy_px: NDArray[np.float32] | None = None  # [N, 4, 2] corners of the oriented boxes
    mask: NDArray[np.bool_] | None = None  # [N, H, W] the pixels of each object
    geometry: WindowGeometry | None = None  # where the window's pixels are on the Earth

    def reference_window(self) -> ReferenceWindow:
        """The window as an encoder takes it: all of it valid, its place on the Earth not told."""
        valid = np.ones(self.window.shape[:2], bool)
        return ReferenceWindow(self.window, valid, None, self.source, "rendered samples")


class SampleSource(Protocol):
    """A numbered list of samples that are decoded one at a time; every reader here is one."""

    @property
    def name(self) -> str:
        """Data set and split, for people: `cvogl_drone/train`."""
        ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def read(self, index: int) -> PairSample:
        """Decode one sample; the same index always gives the same sample.

        Raises:
            DataError: an image is missing, cannot be read, or is of another size.
        """
        ...


def unknown_places(count: int) -> NDArray[np.float32]:
    """`expected_xy_px` of a data set without that knowledge: NaN, [count, 2]."""
    return np.full((count, 2), np.nan, np.float32)
