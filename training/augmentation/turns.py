"""Quarter turns and mirroring of a sample, the eight symmetries of a square map window.

Frame and window turn independently, as the drone's heading is anything; they are mirrored together
or not at all, since a mirrored town is not the same town seen from another side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Turn:
    """Mirror left and right first if `mirrored`, then turn counterclockwise."""

    quarters: int = 0  # 0 to 3
    mirrored: bool = False

    def picture(self, image: Tensor) -> Tensor:
        """[3, S, S] -> [3, S, S]."""
        if self.mirrored:
            image = image.flip(2)
        return torch.rot90(image, self.quarters, (1, 2))

    def point(self, xy: tuple[float, float], side_px: float) -> tuple[float, float]:
        """Where a point of the picture goes; pixel corners at integers."""
        x, y = xy
        if self.mirrored:
            x = side_px - x
        for _ in range(self.quarters):
            x, y = y, side_px - x
        return x, y

    def box(
        self, xyxy: tuple[float, float, float, float], side_px: float
    ) -> tuple[float, float, float, float]:
        """Where a box of the picture goes, corners in order again."""
        a, b = self.point(xyxy[:2], side_px), self.point(xyxy[2:], side_px)
        return min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])


def draw_turns(rng: np.random.Generator) -> tuple[Turn, Turn]:
    """Turns of a frame and of its window."""
    mirrored = bool(rng.random() < 0.5)
    frame, window = (Turn(int(k), mirrored) for k in rng.integers(0, 4, 2))
    return frame, window
