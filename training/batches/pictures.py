"""The pictures of rendered samples for training the whole network: decoded, held or read anew."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.batches.device import place_of
from training.datasets.pair_folder import PairFolder

VIEWS = ("frame", "window")


@dataclass(frozen=True, slots=True)
class Pictures:
    """Frames and windows of one folder; key 1 of a batch, as a stride, is the picture itself."""

    folder: PairFolder
    held: dict[str, Tensor] | None = None  # [count, H, W, 3] uint8 per view, where preloaded

    @staticmethod
    def open(folder: PairFolder, preload: bool = False) -> Pictures:
        """Read pictures as they are asked for, or all at once.

        Args:
            folder: of rendered samples with one size of frames and one of windows.
            preload: hold them decoded, 2 MB for a 512 px frame with a 640 px window: in the memory
                of the GPU that trains, if they take at most half of what is free there, and batches
                are then put together there too; else in the computer's.
        """
        if not preload:
            return Pictures(folder)
        first = folder.read(0)
        shapes = {view: (len(folder), *getattr(first, view).shape) for view in VIEWS}
        device = place_of(sum(math.prod(shape) for shape in shapes.values()))
        held = {
            view: torch.empty(shape, dtype=torch.uint8, device=device)
            for view, shape in shapes.items()
        }

        def decode(index: int) -> None:
            sample = folder.read(index)
            for view in VIEWS:
                held[view][index] = torch.from_numpy(getattr(sample, view))

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes outside Python's lock
            for _ in pool.map(decode, range(len(folder))):
                pass
        return Pictures(folder, held)

    def batch(self, view: str, indices: list[int]) -> dict[int, Tensor]:
        """{1: [B, 3, H, W] uint8} of some samples; `view` is "frame" or "window"."""
        if self.held is not None:
            # by slices: a list of indices would have to be copied to the device first
            rows = [self.held[view][i : i + 1] for i in indices]
            images = rows[0] if len(rows) == 1 else torch.cat(rows)
        else:
            read = [getattr(self.folder.read(i), view) for i in indices]
            images = torch.from_numpy(np.stack(read))
        return {1: images.permute(0, 3, 1, 2)}
