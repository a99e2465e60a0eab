"""From samples to batches of clicks: order, negatives and priors, all drawn from seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from training.datasets.feature_cache import FeatureCache, image_tensor
from training.datasets.pair_folder import PairFolder

PRIOR_SIGMA_PX = (2.0, 24.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """B pairs with M clicks; `frame` and `window` hold features by stride, or images under 1."""

    frame: dict[int, Tensor]
    window: dict[int, Tensor]
    click_xy_px: Tensor  # [M, 2]
    frame_of_click: Tensor  # [M]
    window_of_click: Tensor  # [M]
    box_xyxy_px: Tensor  # [M, 4]
    present: Tensor  # [M] bool
    prior_xy_px: Tensor  # [M, 2]
    prior_inv_var: Tensor  # [M], 0 where no prior is given

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; channels-last, which a CPU reads twice as fast."""
        moved = {
            name: {
                k: v.to(device).contiguous(memory_format=torch.channels_last)
                for k, v in value.items()
            }
            if isinstance(value, dict)
            else value.to(device)
            for name in self.__slots__
            for value in (getattr(self, name),)
        }
        return Batch(**moved)


class Views(Protocol):
    """Where a batch's pictures come from: cached features or decoded images."""

    def batch(self, view: str, indices: list[int]) -> dict[int, Tensor]:
        """`view` is "frame" or "window"."""
        ...


@dataclass(frozen=True, slots=True)
class Images:
    """Decode the pictures: for training the whole network. Key 1 of the result: [B, 3, H, W]."""

    folder: PairFolder

    def batch(self, view: str, indices: list[int]) -> dict[int, Tensor]:
        """Stack the decoded pictures."""
        samples = (self.folder.read(i) for i in indices)
        return {1: torch.cat([image_tensor(getattr(s, view)) for s in samples])}


@dataclass(frozen=True, slots=True)
class Collection:
    """One or more rendered folders with the same picture sizes, as one numbered list."""

    folders: tuple[PairFolder, ...]
    views: tuple[Views, ...]

    @staticmethod
    def open(folders: list[PairFolder], cached: bool) -> Collection:
        """Cached features (backbone frozen) or images (backbone trained)."""
        views = tuple(FeatureCache.open(f) if cached else Images(f) for f in folders)
        return Collection(tuple(folders), views)

    def __len__(self) -> int:
        return sum(len(f) for f in self.folders)

    def locate(self, index: int) -> tuple[int, int]:
        """(folder, index inside it) of a sample."""
        for number, folder in enumerate(self.folders):
            if index < len(folder):
                return number, index
            index -= len(folder)
        raise IndexError(index)

    def order(self, seed: int, epoch: int) -> list[int]:
        """All samples in the order of one epoch; the same for the same seed."""
        return np.random.default_rng((seed, epoch)).permutation(len(self)).tolist()

    def batch(
        self,
        indices: list[int],
        rng: np.random.Generator,
        *,
        window_px: int,
        prior_share: float,
        swap_share: float,
        prior_sigma_px: tuple[float, float] = PRIOR_SIGMA_PX,
    ) -> Batch:
        """Assemble one batch.

        Args:
            indices: samples.
            rng: draws priors and swapped windows.
            window_px: side of the windows, for priors of objects that are not there.
            prior_share: share of clicks that get a prior: the expected place, off by its own sigma.
            prior_sigma_px: range of that sigma.
            swap_share: share of clicks looked for in another sample's window of another source.
        """
        placed = [self.locate(i) for i in indices]
        frame, window = (self._gather(view, placed) for view in ("frame", "window"))
        click, frame_of, window_of, box, present, prior, inv_var = [], [], [], [], [], [], []
        lines = [self.folders[f].lines[i] for f, i in placed]
        for k, line in enumerate(lines):
            other = (k + 1) % len(lines)
            differs = lines[other].source != line.source
            for xy, b, there, expected in zip(
                line.click_xy_px, line.box_xyxy_px, line.present, line.expected_xy_px, strict=True
            ):
                swapped = differs and rng.random() < swap_share
                there = there and not swapped
                sigma = float(np.exp(rng.uniform(*np.log(prior_sigma_px))))
                anywhere = rng.uniform(0, window_px, 2)
                centre = anywhere if swapped or expected is None else np.array(expected)
                centre = centre + rng.normal(0, sigma, 2)
                given = rng.random() < prior_share
                click.append(xy)
                frame_of.append(k)
                window_of.append(other if swapped else k)
                box.append(b if there else (0.0, 0.0, 8.0, 8.0))
                present.append(there)
                prior.append(centre)
                inv_var.append(sigma**-2 if given else 0.0)
        return Batch(
            frame,
            window,
            torch.tensor(click, dtype=torch.float32),
            torch.tensor(frame_of),
            torch.tensor(window_of),
            torch.tensor(box, dtype=torch.float32),
            torch.tensor(present),
            torch.tensor(np.array(prior), dtype=torch.float32),
            torch.tensor(inv_var, dtype=torch.float32),
        )

    def _gather(self, view: str, placed: list[tuple[int, int]]) -> dict[int, Tensor]:
        parts = [self.views[f].batch(view, [i]) for f, i in placed]
        return {key: torch.cat([p[key] for p in parts]) for key in parts[0]}
