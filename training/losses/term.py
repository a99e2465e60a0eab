"""What every term of a loss takes: the head's maps, the truth, and where the positives lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
from torch import Tensor

from training.losses.positives import Positives
from training.models.contract import HeadMaps


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of M clicks."""

    box_xyxy_px: Tensor  # [M, 4] pixels of the window; not read where not present
    window: Tensor  # [M] int64, the window that each click is looked for in
    present: Tensor  # [M] bool; False: the window does not show the object
    window_px: int = 1024  # side of the window
    mask: Tensor | None = None  # [M, H, W] bool, window pixels; None: the area of the box


class LossTerm(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name"
):
    """Base of all terms: immutable options, chosen in a recipe by `name`."""

    weight: float = 1.0

    def value(self, maps: HeadMaps, truth: Truth, positives: Positives) -> Tensor:
        """The term without its weight, a scalar; 0 where it applies to no click.

        Args:
            maps: of M clicks.
            truth: of the same.
            positives: of the same; meaningless where not present.
        """
        raise NotImplementedError


Reduction = Literal["mean", "sum"]  # of a term over the clicks that it applies to


def reduce_where(values: Tensor, chosen: Tensor, reduction: Reduction) -> Tensor:
    """Mean or sum of `values` [M] where `chosen` [M]; 0, with a gradient of 0, where none is."""
    if reduction == "sum":
        return values.where(chosen, values.new_zeros(())).sum()
    return mean_where(values, chosen)


def mean_where(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of `values` [M] where `chosen` [M]; 0, with a gradient of 0, where none is."""
    kept = values.where(chosen, values.new_zeros(()))
    return kept.sum() / chosen.sum().clamp_min(1)
