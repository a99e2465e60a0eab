"""A published model's contract in a few thousand parameters, and samples that it can learn."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from training.datasets.sample import PairSample
from training.models.anchor_head import decode_maps
from training.models.contract import (
    Clicks,
    CrossViewModel,
    CrossViewOptions,
    HeadMaps,
    Localizations,
)
from training.models.peaks import peaks
from training.recipes.reading import parse_recipe

RECIPE = """
schema = "tilefix-recipe/1"
name = "tiny"
about = "a test"
[model]
name = "tiny"
options = {}
[data]
set = "squares"
[optimizer]
name = "adam"
learning_rate = 3e-3
[schedule]
[run]
epochs = 2
batch = 4
save_every_s = 0.0
workers = 1
[[loss]]
name = "softmax_confidence"
[[loss]]
name = "box_mse"
"""


def tiny_recipe(**changes: str):
    """The recipe above with lines changed: `epochs="epochs = 3"`."""
    lines = [
        next((new for key, new in changes.items() if line.startswith(f"{key} =")), line)
        for line in RECIPE.splitlines()
    ]
    return parse_recipe("\n".join(lines), "tiny.toml")


@dataclass(frozen=True, slots=True)
class TinyOptions(CrossViewOptions):
    anchors_wh_px: tuple[tuple[float, float], ...] = ((24.0, 30.0), (12.0, 12.0))
    window_px: int = 128
    frame_hw_px: tuple[int, int] = (64, 64)


class TinyModel(CrossViewModel):
    """Both views through two convolutions; the frame at the click gates the window."""

    name: ClassVar[str] = "tiny"

    def __init__(self, dropout: float = 0.2, **options) -> None:
        super().__init__()
        known = [f.name for f in fields(TinyOptions)]
        kept = {k: v for k, v in options.items() if k in known}
        self.options = msgspec.convert(kept, TinyOptions)
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 4, 4), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 4, 4)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(16, 10, 1)
        anchors = torch.tensor(self.options.anchors_wh_px)
        self.register_buffer("anchors_wh_px", anchors, persistent=False)

    def encode_reference(self, image: Tensor) -> dict[str, Tensor]:
        return {"v": self.body(image / 255 - 0.5)}

    def forward(self, frame: Tensor, window: Tensor, clicks: Clicks) -> HeadMaps:
        return self.fuse(frame, self.encode_reference(window)["v"], clicks)

    def fuse(self, frame: Tensor, reference: Tensor, clicks: Clicks) -> HeadMaps:
        queries = self.body(frame / 255 - 0.5)
        at = (clicks.xy_px / 16).long().clamp(0, queries.shape[3] - 1)
        q = self.dropout(queries[clicks.frame, :, at[:, 1], at[:, 0]])  # [M, 16]
        v = reference[clicks.window]
        boxes = self.head(q[:, :, None, None] * v).unflatten(1, (2, 5))
        similarity = (q[:, :, None, None] * v).sum(1)
        return HeadMaps(boxes, similarity, similarity)

    def localize(self, frame: Tensor, click_xy_px: Tensor, features) -> Localizations:
        only = torch.zeros(len(click_xy_px), dtype=torch.long)
        clicks = Clicks(click_xy_px, only, only)
        maps = self.fuse(frame.unsqueeze(0), features["v"].unsqueeze(0), clicks)
        box, logit = decode_maps(maps.boxes, self.anchors_wh_px, self.options.stride_px)
        peak, second = peaks(maps.similarity, lowest=-1e4)
        return Localizations(box, logit, peak, second, maps.attention)


def tiny_build(name: str, **options) -> TinyModel:
    """Stands in for `training.models.build`: whatever the name, options it lacks are ignored."""
    return TinyModel(**options)


class Squares:
    """A coloured square in each view; every sample of number `bad` has a black hole for a box."""

    name = "squares/train"

    def __init__(self, count: int, bad: int | None = None) -> None:
        self.count = count
        self.bad = bad

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> PairSample:
        rng = np.random.default_rng(index)
        frame = rng.integers(90, 130, (64, 64, 3), dtype=np.uint8)
        window = rng.integers(90, 130, (128, 128, 3), dtype=np.uint8)
        colour = rng.integers(0, 255, 3)
        at = rng.integers(12, 52, 2)
        frame[at[1] - 8 : at[1] + 8, at[0] - 8 : at[0] + 8] = colour
        x, y = rng.integers(4, 90, 2)
        window[y : y + 30, x : x + 24] = colour
        box = (np.nan,) * 4 if index == self.bad else (x, y, x + 24, y + 30)
        return PairSample(
            frame,
            window,
            np.array([at], np.float32),
            np.array([box], np.float32),
            np.array([True]),
            np.full((1, 2), np.nan, np.float32),
            self.name,
            class_names=("square",),
        )
