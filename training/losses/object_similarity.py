"""MOGeo's inter-object similarity loss: the attention maps of different objects should differ."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.positives import Positives
from training.losses.term import LossTerm, Truth
from training.models.contract import HeadMaps

LEAST_SQUARE = 1e-12  # a distance of 0 has no gradient; below this it gets none


def map_distances(attention: Tensor) -> Tensor:
    """Euclidean distance of every two attention maps. [M, H, W] -> [M, M]; 0 on the diagonal."""
    flat = attention.flatten(1)
    square = (flat.unsqueeze(1) - flat.unsqueeze(0)).square().sum(2)
    return square.clamp_min(LEAST_SQUARE).sqrt() - LEAST_SQUARE**0.5


class ObjectSimilarity(LossTerm, frozen=True, tag="object_similarity"):
    """L_s over objects k of log(1 + exp(d_pos - d_neg)), d distances of attention maps.

    MOGeo, arXiv 2603.13843. d_pos is the distance of a map to itself, so 0. d_neg is
    to the other objects, of the same and of other images. Three choices are not published:

    * `negatives`: "mean" distance to the others (suggested), the "nearest" other, or "pairs", one
      logarithm for each other object.
    * `reduction`: "mean" over the objects (suggested: the other terms are means) or "sum", which
      the formula reads as.
    * `others`: "batch", all objects (as the text says), or "image", those of the same window only.

    A lone object has no other and contributes 0.

    The batch is what one forward sees: with several processes, or with a batch in parts
    (run.accumulate), objects of the others are no negatives, so L_s is that of smaller batches. And
    where clicks are shared out unequally, every term of a loss is the mean of each part's mean over
    its own clicks, not the mean over all. The paper trains on one GPU.
    """

    negatives: Literal["mean", "nearest", "pairs"] = "mean"
    reduction: Literal["mean", "sum"] = "mean"
    others: Literal["batch", "image"] = "batch"

    def value(self, maps: HeadMaps, truth: Truth, positives: Positives) -> Tensor:
        """See `LossTerm.value`; objects that are absent from their window count as others too."""
        distance = map_distances(maps.attention)  # [M, M]
        m = len(distance)
        if m == 0:
            return distance.sum()
        other = ~torch.eye(m, dtype=torch.bool, device=distance.device)
        if self.others == "image":
            other &= truth.window.unsqueeze(1) == truth.window.unsqueeze(0)
        count = other.sum(1)  # [M]
        if self.negatives == "pairs":
            each = functional.softplus(-distance).where(other, distance.new_zeros(()))
            per_object = each.sum(1)
        else:
            if self.negatives == "mean":
                sums = distance.where(other, distance.new_zeros(())).sum(1)
                negative = sums / count.clamp_min(1)
            else:
                negative = distance.where(other, distance.new_full((), torch.inf)).amin(1)
            alone = count == 0
            safe = negative.where(~alone, distance.new_zeros(()))
            per_object = functional.softplus(-safe).where(~alone, distance.new_zeros(()))
        total = per_object.sum()
        return total / m if self.reduction == "mean" else total
