"""TROGeo's mask terms (commit 289602a; ICCV 2025).

TROGeo adds 2 (0.2 BCE + 0.8 Dice) to the losses of the anchor head. The true mask is max-pooled to
the grid of the mask head, 16 window pixels a cell. Where a data set has no masks, an object's
oriented outline or its box is filled instead.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import DataError
from training.losses.positives import Positives
from training.losses.term import LossTerm, Truth, mean_where
from training.models.contract import HeadMaps


def pool_mask(mask: Tensor, grid_hw: tuple[int, int]) -> Tensor:
    """Maximum over the pixels of each cell. [M, H, W] bool -> [M, *grid_hw] bool.

    Raises:
        DataError: the mask's sides are no multiples of the grid's.
    """
    m, height, width = mask.shape
    rows, columns = grid_hw
    if height % rows or width % columns:
        raise DataError(
            "a mask does not fit the grid of the mask head",
            expected=f"sides that are multiples of {rows} x {columns}",
            found=f"{height} x {width} pixels",
            do="give masks of the size of the window",
        )
    split = mask.reshape(m, rows, height // rows, columns, width // columns)
    return split.any(4).any(2)


def box_cells(box_xyxy_px: Tensor, grid_hw: tuple[int, int], stride_px: int) -> Tensor:
    """Cells that boxes overlap: their filled masks, pooled. [M, 4] -> [M, *grid_hw] bool."""
    device = box_xyxy_px.device
    low_y = torch.arange(grid_hw[0], device=device) * stride_px
    low_x = torch.arange(grid_hw[1], device=device) * stride_px
    x1, y1, x2, y2 = (side.unsqueeze(1) for side in box_xyxy_px.unbind(1))  # each [M, 1]
    across = (low_x < x2) & (low_x + stride_px > x1)  # [M, Wg]
    down = (low_y < y2) & (low_y + stride_px > y1)  # [M, Hg]
    return down.unsqueeze(2) & across.unsqueeze(1)


def _wanted(maps: HeadMaps, truth: Truth) -> tuple[Tensor, Tensor]:
    """Mask logits and wanted cells of all clicks, both [M, Hm, Wm]; nothing where not present."""
    logit = maps.mask_logit
    if logit is None:
        raise DataError(
            "the recipe asks for a loss on masks",
            expected="a model with a mask head: trogeo",
            found="a model that draws no masks",
            do="remove mask_bce and mask_dice from the recipe, or train trogeo",
        )
    grid = (logit.shape[1], logit.shape[2])
    if truth.mask is not None:
        cells = pool_mask(truth.mask, grid)
    else:
        cells = box_cells(truth.box_xyxy_px, grid, truth.window_px // grid[0])
    return logit, (cells & truth.present.view(-1, 1, 1)).to(logit.dtype)


class MaskBce(LossTerm, frozen=True, tag="mask_bce"):
    """Binary cross-entropy of the mask over all cells, the inside weighted (TROGeo: 15)."""

    positive_weight: float = 15.0

    def value(self, maps: HeadMaps, truth: Truth, positives: Positives) -> Tensor:
        """See `LossTerm.value`."""
        logit, wanted = _wanted(maps, truth)
        each = functional.binary_cross_entropy_with_logits(
            logit,
            wanted,
            pos_weight=logit.new_tensor(self.positive_weight),
            reduction="none",
        )
        return mean_where(each.mean((1, 2)), truth.present)


class MaskDice(LossTerm, frozen=True, tag="mask_dice"):
    """1 - (2 sum(p g) + e) / (sum(p^2) + sum(g^2) + e), sums over the whole batch (as coded).

    p is the sigmoid of the mask, g the truth, e the smoothing.
    """

    smooth: float = 1e-5

    def value(self, maps: HeadMaps, truth: Truth, positives: Positives) -> Tensor:
        """See `LossTerm.value`."""
        logit, wanted = _wanted(maps, truth)
        said = logit.sigmoid() * truth.present.view(-1, 1, 1)
        shared = (said * wanted).sum()
        both = said.square().sum() + wanted.square().sum()
        return 1 - (2 * shared + self.smooth) / (both + self.smooth)
