"""A placer of frames that answers what a test tells it to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.tiles.lattice import WindowPlace
from edge.types import Prior, PriorSource


@dataclass
class FakePlaced:
    """Puts the frame's pixel (x, y) at map pixel (x + dx, y + dy) with a known spread."""

    place: WindowPlace
    offset_px: tuple[float, float]  # of the frame in that window
    inliers: int = 77
    unknown: tuple[int, ...] = ()

    def prior(self, clicks):
        xy = np.asarray(clicks, np.float64) + self.offset_px
        inv_var = np.full(len(xy), 0.25)
        inv_var[list(self.unknown)] = 0.0
        source = PriorSource.ALIGNMENT
        return Prior(xy.astype(np.float32), inv_var.astype(np.float32), source, self.inliers)


class FakePlacer:
    """Returns what it is told to."""

    note = ""

    def __init__(self, answer=None):
        self.answer = answer

    def place(self, frame, pose, windows):
        return self.answer

    def close(self):
        pass
