"""Batches for the published models, from any source of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.errors import DataError
from training.datasets.sample import PairSample, SampleSource
from training.losses.term import Truth
from training.models.contract import Clicks

Augment = Callable[[PairSample, np.random.Generator], PairSample]


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """B pairs with M clicks."""

    frame: Tensor  # [B, 3, h, w] uint8
    window: Tensor  # [B, 3, H, W] uint8
    click_xy_px: Tensor  # [M, 2] pixels of the frames
    pair_of_click: Tensor  # [M] int64
    box_xyxy_px: Tensor  # [M, 4] pixels of the windows
    present: Tensor  # [M] bool
    mask: Tensor | None = None  # [M, H, W] bool

    def to(self, device: torch.device) -> SampleBatch:
        """The same batch on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return SampleBatch(**{k: v if v is None else v.to(device) for k, v in moved.items()})

    def clicks(self) -> Clicks:
        """Clicks as a model takes them; each is looked for in the window of its own pair."""
        return Clicks(self.click_xy_px, self.pair_of_click, self.pair_of_click)

    def truth(self) -> Truth:
        """Truth as the losses take it."""
        return Truth(
            self.box_xyxy_px, self.pair_of_click, self.present, self.window.shape[3], self.mask
        )


@dataclass(frozen=True, slots=True)
class SampleReader:
    """Reads samples of one size, changes them, and puts them together.

    Args:
        source: of samples.
        frame_hw_px: that every frame must have.
        window_px: side that every window must have.
        augment: changes a sample; None: as it is.
        whole_pixel_boxes: as the official code does, truncate boxes before anything else, and clamp
            them to the pixels 0 .. window_px - 1 in the end: what is trained towards and what
            answers are scored against are then one box.
        masks: give the mask of every object: the data set's, its outline filled, or its box.
        workers: threads that read.
    """

    source: SampleSource
    frame_hw_px: tuple[int, int]
    window_px: int
    augment: Augment | None = None
    whole_pixel_boxes: bool = False
    masks: bool = False
    workers: int = 1

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, rng: np.random.Generator) -> PairSample:
        """One sample, changed.

        Raises:
            DataError: see `SampleSource.read`; or pictures of another size than the recipe's.
        """
        sample = self.source.read(index)
        self._check(sample, index)
        if self.whole_pixel_boxes:
            sample = replace(sample, box_xyxy_px=np.trunc(sample.box_xyxy_px))
        if self.augment is not None:
            sample = self.augment(sample, rng)
        if self.whole_pixel_boxes:
            inside = np.clip(sample.box_xyxy_px, 0, self.window_px - 1)
            sample = replace(sample, box_xyxy_px=inside)
        return sample

    def batch(self, indices: list[int], rng: np.random.Generator) -> SampleBatch:
        """Samples put together; the same for the same `rng`, however many threads read."""
        return collate(self.samples(indices, rng), masks=self.masks)

    def samples(self, indices: list[int], rng: np.random.Generator) -> list[PairSample]:
        """Samples, each changed by chance of its own."""
        drawn = rng.spawn(len(indices))
        if self.workers == 1:
            return [self.read(i, r) for i, r in zip(indices, drawn, strict=True)]
        with ThreadPoolExecutor(self.workers) as pool:  # decoding runs outside Python's lock
            return list(pool.map(self.read, indices, drawn))

    def _check(self, sample: PairSample, index: int) -> None:
        wanted = (self.frame_hw_px, (self.window_px, self.window_px))
        found = (sample.frame.shape[:2], sample.window.shape[:2])
        if found != wanted:
            raise DataError(
                f"sample {index} of {self.source.name} has pictures of another size",
                expected=f"frame {wanted[0]}, window {wanted[1]} px (height, width)",
                found=f"frame {found[0]}, window {found[1]}",
                do="give data of that size; or, before a training, set the options frame_hw_px and "
                "window_px of its model",
            )


def collate(samples: list[PairSample], *, masks: bool = False) -> SampleBatch:
    """Put samples of one size together."""
    counts = [len(s.click_xy_px) for s in samples]
    mask = np.concatenate([sample_masks(s) for s in samples]) if masks else None
    return SampleBatch(
        frame=_stack([s.frame for s in samples]),
        window=_stack([s.window for s in samples]),
        click_xy_px=torch.from_numpy(np.concatenate([s.click_xy_px for s in samples])).float(),
        pair_of_click=torch.from_numpy(np.repeat(np.arange(len(samples)), counts)),
        box_xyxy_px=torch.from_numpy(np.concatenate([s.box_xyxy_px for s in samples])).float(),
        present=torch.from_numpy(np.concatenate([s.present for s in samples])),
        mask=None if mask is None else torch.from_numpy(mask),
    )


def sample_masks(sample: PairSample) -> NDArray[np.bool_]:
    """Masks of a sample's objects, [N, H, W]: its own, its outlines filled, or its boxes."""
    if sample.mask is not None:
        return sample.mask
    height, width = sample.window.shape[:2]
    if sample.polygon_xy_px is not None:
        return fill_outlines(list(sample.polygon_xy_px), (height, width))
    masks = np.zeros((len(sample.box_xyxy_px), height, width), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, sample.box_xyxy_px, strict=True):
        low_x, low_y = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
        mask[low_y : int(np.ceil(y2)), low_x : int(np.ceil(x2))] = True
    return masks


def fill_outlines(
    outlines_xy_px: Sequence[NDArray[np.float32]], size_hw_px: tuple[int, int]
) -> NDArray[np.bool_]:
    """Masks of outlines, corners rounded to pixels. M of [K, 2] -> [M, H, W]."""
    masks = np.zeros((len(outlines_xy_px), *size_hw_px), np.uint8)
    for mask, outline in zip(masks, outlines_xy_px, strict=True):
        cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
    return masks.astype(bool)


def _stack(images: list[NDArray[np.uint8]]) -> Tensor:
    """[B, 3, H, W] uint8."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
