"""Confidence and geometry of the anchor head, as the official code and as the papers have them.

DetGeo's text (section III-D), OCGNet's and AttenGeo's (equation 10) call the confidence loss a
binary cross-entropy. The official code of DetGeo, OCGNet and TROGeo is a softmax cross-entropy over
all anchors and cells with the positive as the class: both are here, by name.

Where a frame has many objects (MOGeo), the paper does not say whether a term is their mean or their
sum: `reduction` of each term, over all objects of the batch. One object a frame, as DetGeo, OCGNet
and TROGeo have it, is a mean in their code.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.positives import Positives
from training.losses.term import LossTerm, Reduction, Truth, reduce_where
from training.models.contract import HeadMaps

CONFIDENCE = 4  # its place among tx, ty, tw, th, confidence


class SoftmaxConfidence(LossTerm, frozen=True, tag="softmax_confidence"):
    """L = mean over clicks of -log softmax(confidence)[positive], over anchors x cells (as coded).

    A fresh head starts near ln(9 x 64 x 64) = 10.515. A click whose object is not in the window has
    no class here and is left out. `reduction`: "mean" over the clicks, or their "sum".
    """

    reduction: Reduction = "mean"

    def value(self, maps: HeadMaps, truth: Truth, positives: Positives) -> Tensor:
        """See `LossTerm.value`."""
        logits = maps.boxes[:, :, CONFIDENCE]  # [M, A, Hg, Wg]
        flat = logits.flatten(1)
        at = positives.flat((logits.shape[2], logits.shape[3])).where(truth.present, 0)
        each = functional.cross_entropy(flat, at, reduction="none")
        return reduce_where(each, truth.present, self.reduction)


class BinaryConfidence(LossTerm, frozen=True, tag="binary_confidence"):
    """L = -[log s(positive) + sum over all other positions of log(1 - s)], s the sigmoid.

    The text of the papers. Whether they average over positions is not said: `average` "positions"
    divides by anchors x cells (PyTorch's default, suggested), "clicks" only by the number of
    clicks. A click whose object is not in the window has negatives alone. `reduction` "sum" adds up
    the clicks' values instead of averaging them.
    """

    average: Literal["positions", "clicks"] = "positions"
    positive_weight: float = 1.0  # on the positive's logarithm
    reduction: Reduction = "mean"

    def value(self, maps: HeadMaps, truth: Truth, positives: Positives) -> Tensor:
        """See `LossTerm.value`."""
        logits = maps.boxes[:, :, CONFIDENCE]
        flat = logits.flatten(1)  # [M, A * Hg * Wg]
        at = positives.flat((logits.shape[2], logits.shape[3])).where(truth.present, 0)
        wanted = torch.zeros_like(flat)
        wanted.scatter_(1, at.unsqueeze(1), truth.present.to(flat.dtype).unsqueeze(1))
        each = functional.binary_cross_entropy_with_logits(
            flat,
            wanted,
            pos_weight=flat.new_tensor(self.positive_weight),
            reduction="none",
        )
        per_click = each.mean(1) if self.average == "positions" else each.sum(1)
        return reduce_where(per_click, torch.ones_like(truth.present), self.reduction)


class BoxMse(LossTerm, frozen=True, tag="box_mse"):
    """L = MSE_x + MSE_y + MSE_w + MSE_h at the positive, each averaged over the clicks (as coded).

    x and y are compared as sigmoids with the fractions of the cell; w and h raw, with the logarithm
    of box over anchor. `reduction` "sum" adds up the clicks instead of averaging them.
    """

    reduction: Reduction = "mean"

    def value(self, maps: HeadMaps, truth: Truth, positives: Positives) -> Tensor:
        """See `LossTerm.value`."""
        m = torch.arange(len(maps.boxes), device=maps.boxes.device)
        anchor, row, column = (
            index.where(truth.present, 0)
            for index in (positives.anchor, positives.row, positives.column)
        )
        t = maps.boxes[m, anchor, :CONFIDENCE, row, column]  # [M, 4]
        said = torch.cat([t[:, :2].sigmoid(), t[:, 2:]], 1)
        wanted = torch.cat([positives.fraction, positives.log_size], 1)
        return reduce_where((said - wanted).square().sum(1), truth.present, self.reduction)
