"""Rendered held-out samples (`tilefix datasets render --window-px 1024`), by what is in them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import CalibrationError
from edge.types import Float32

Folder = Any  # training.datasets.pair_folder.PairFolder, which brings torch
Sample = Any  # training.datasets.sample.PairSample


@dataclass(frozen=True, slots=True)
class HeldOutSample:
    """A frame, a window and labelled clicks, not yet decoded."""

    folder: Folder
    index: int
    sha256: str  # of both pictures and the labels

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which clicks are on the map, [N]."""
        return np.array(self.folder.lines[self.index].present, bool)

    @property
    def truth_xyxy_px(self) -> Float32:
        """True boxes, float32 [N, 4] pixels of the window; zeros of absent clicks."""
        return np.array(self.folder.lines[self.index].box_xyxy_px, np.float32).reshape(-1, 4)

    def read(self) -> Sample:
        """Decode it."""
        return self.folder.read(self.index)

    def random(self) -> np.random.Generator:
        """Random numbers of this sample alone: the same in every order and after every kill."""
        return np.random.default_rng(int(self.sha256[:16], 16))


def open_held_out(folders: Sequence[Path], every: int = 1) -> tuple[HeldOutSample, ...]:
    """Samples with at least one click that is on the map.

    Args:
        folders: as `tilefix datasets render` made them.
        every: take one of so many samples of each folder.

    Raises:
        DataError: no such folder, or one that is damaged.
        CalibrationError: no sample of them has a click on the map.
    """
    from training.datasets.pair_folder import PairFolder

    samples = []
    for folder in map(PairFolder.open, folders):
        for index in range(0, len(folder), every):
            line = folder.lines[index]
            if any(line.present):
                digest = hashlib.sha256(msgspec.json.encode(line))
                for kind in ("frame", "window"):
                    path = folder.path / f"{line.id}_{kind}.jpg"
                    digest.update(path.read_bytes() if path.exists() else b"")  # `read` complains
                samples.append(HeldOutSample(folder, index, digest.hexdigest()))
    if folders and not samples:
        raise CalibrationError(
            "the held-out samples show nothing that was clicked",
            expected="samples with clicks on the map",
            found=f"none in {', '.join(str(path) for path in folders)}",
            do="tilefix datasets render --kind scenes --window-px 1024 --count 330 --out FOLDER",
        )
    return tuple(samples)
