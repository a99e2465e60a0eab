"""From samples to batches of clicks: order, negatives and priors, all drawn from seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from training.augmentation.turns import Turn, draw_turns
from training.batches.pictures import VIEWS, Pictures
from training.datasets.feature_cache import FeatureCache
from training.datasets.pair_folder import PairFolder

PRIOR_SIGMA_PX = (2.0, 24.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """B pairs with M clicks; `frame`, `window` hold features by stride, or uint8 images under 1."""

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
class Collection:
    """One or more rendered folders with the same picture sizes, as one numbered list."""

    folders: tuple[PairFolder, ...]
    views: tuple[Views, ...]

    @staticmethod
    def open(
        folders: list[PairFolder], frozen: nn.Module | None = None, preload: bool = False
    ) -> Collection:
        """Open folders for a training.

        Args:
            folders: rendered samples.
            frozen: the backbone whose cached features are read; None: pictures, for all to train.
            preload: see `Pictures.open`.

        Raises:
            DataError: see `FeatureCache.open`.
        """
        views = tuple(
            Pictures.open(f, preload) if frozen is None else FeatureCache.open(f, frozen)
            for f in folders
        )
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

    def look(self, index: int) -> None:
        """Read both views of a sample, for nothing but its errors.

        Raises:
            DataError: a picture that cannot be read.
        """
        folder, inside = self.locate(index)
        for view in VIEWS:
            self.views[folder].batch(view, [inside])

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
        frame_px: int = 0,
        prior_sigma_px: tuple[float, float] = PRIOR_SIGMA_PX,
    ) -> Batch:
        """Assemble one batch.

        Args:
            indices: samples.
            rng: draws priors and swapped windows.
            window_px: side of the windows, for priors of objects that are not there.
            frame_px: side of the frames where both views are to be turned and mirrored at random,
                which needs pictures; 0 leaves them as they are.
            prior_share: share of clicks that get a prior: the expected place, off by its own sigma.
            prior_sigma_px: range of that sigma.
            swap_share: share of clicks looked for in another sample's window of another source.
        """
        placed = [self.locate(i) for i in indices]
        turns = [draw_turns(rng) if frame_px else (Turn(), Turn()) for _ in placed]
        frame = self._gather("frame", placed, [t[0] for t in turns])
        window = self._gather("window", placed, [t[1] for t in turns])
        click, frame_of, window_of, box, present, prior, inv_var = [], [], [], [], [], [], []
        lines = [self.folders[f].lines[i] for f, i in placed]
        for k, line in enumerate(lines):
            other = (k + 1) % len(lines)
            differs = lines[other].source != line.source
            turn_frame, turn_window = turns[k]
            for xy, b, there, expected in zip(
                line.click_xy_px, line.box_xyxy_px, line.present, line.expected_xy_px, strict=True
            ):
                swapped = differs and rng.random() < swap_share
                there = there and not swapped
                sigma = float(np.exp(rng.uniform(*np.log(prior_sigma_px))))
                centre = rng.uniform(0, window_px, 2)
                if expected is not None and not swapped:
                    centre = np.array(turn_window.point(expected, window_px))
                centre = centre + rng.normal(0, sigma, 2)
                given = rng.random() < prior_share
                click.append(turn_frame.point(xy, frame_px))
                frame_of.append(k)
                window_of.append(other if swapped else k)
                box.append(turn_window.box(b, window_px) if there else (0.0, 0.0, 8.0, 8.0))
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

    def _gather(
        self, view: str, placed: list[tuple[int, int]], turns: list[Turn]
    ) -> dict[int, Tensor]:
        parts = [self.views[f].batch(view, [i]) for f, i in placed]
        if any(turn != Turn() for turn in turns):
            parts = [
                {1: turn.picture(p[1][0]).unsqueeze(0)}
                for p, turn in zip(parts, turns, strict=True)
            ]
        return {key: torch.cat([p[key] for p in parts]) for key in parts[0]}
