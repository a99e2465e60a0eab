"""The pictures of rendered samples for training the whole network: decoded, held or read anew."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.datasets.pair_folder import PairFolder

Uint8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Frames and windows of one folder; key 1 of a batch, as a stride, is the picture itself."""

    folder: PairFolder
    held: dict[str, Uint8] | None = None  # [count, H, W, 3] per view, where preloaded

    @staticmethod
    def open(folder: PairFolder, preload: bool = False) -> Pictures:
        """Read pictures as they are asked for, or all at once into memory.

        Args:
            folder: of rendered samples with one size of frames and one of windows.
            preload: hold them decoded, 2 MB for a 512 px frame with a 640 px window.
        """
        if not preload:
            return Pictures(folder)
        first = folder.read(0)
        held = {
            view: np.empty((len(folder), *getattr(first, view).shape), np.uint8)
            for view in ("frame", "window")
        }

        def decode(index: int) -> None:
            sample = folder.read(index)
            held["frame"][index], held["window"][index] = sample.frame, sample.window

        with ThreadPoolExecutor(os.cpu_count()) as pool:  # OpenCV decodes outside Python's lock
            for _ in pool.map(decode, range(len(folder))):
                pass
        return Pictures(folder, held)

    def batch(self, view: str, indices: list[int]) -> dict[int, Tensor]:
        """{1: [B, 3, H, W] uint8} of some samples; `view` is "frame" or "window"."""
        if self.held is None:
            images = np.stack([getattr(self.folder.read(i), view) for i in indices])
        else:
            images = self.held[view][indices]
        return {1: torch.from_numpy(images).permute(0, 3, 1, 2)}
