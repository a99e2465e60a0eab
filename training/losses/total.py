"""The loss of a recipe: terms chosen by name, each with its weight and options.

softmax_confidence   -log softmax over all anchors and cells (the official code)
binary_confidence    binary cross-entropy over the same positions (the papers' text)
box_mse              x, y as sigmoids, w, h raw, at the positive
object_similarity    MOGeo: attention maps of different objects should differ
mask_bce, mask_dice  TROGeo's mask head
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import torch
from torch import Tensor

from training.losses.anchor import BinaryConfidence, BoxMse, SoftmaxConfidence
from training.losses.mask import MaskBce, MaskDice
from training.losses.object_similarity import ObjectSimilarity
from training.losses.positives import assign_positives
from training.losses.term import LossTerm, Truth
from training.models.contract import HeadMaps

AnyTerm = (
    SoftmaxConfidence | BinaryConfidence | BoxMse | ObjectSimilarity | MaskBce | MaskDice
)  # a tagged union: what `msgspec.convert` makes of a table with a `name`
TERMS: dict[str, type[LossTerm]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (SoftmaxConfidence, BinaryConfidence, BoxMse, ObjectSimilarity, MaskBce, MaskDice)
}


def term(name: str, **options: object) -> LossTerm:
    """A term by its name.

    Raises:
        ValueError: an unknown name or option.
    """
    if name not in TERMS:
        raise ValueError(f"unknown loss {name!r}; known: {', '.join(TERMS)}")
    try:
        return msgspec.convert(options, TERMS[name])
    except msgspec.ValidationError as error:
        raise ValueError(f"loss {name!r}: {error}") from error


def total_loss(
    terms: Sequence[LossTerm],
    maps: HeadMaps,
    truth: Truth,
    anchors_wh_px: Tensor,
    stride_px: int,
) -> dict[str, Tensor]:
    """Value of each term by name, and their weighted sum under "loss", all scalars.

    Args:
        terms: at least one.
        maps: of M clicks.
        truth: of the same.
        anchors_wh_px: [A, 2] in their used order.
        stride_px: window pixels per cell of the detection grid.
    """
    grid_hw = (maps.boxes.shape[3], maps.boxes.shape[4])
    positives = assign_positives(truth.box_xyxy_px, anchors_wh_px, grid_hw, stride_px)
    values = {str(each.__struct_config__.tag): each.value(maps, truth, positives) for each in terms}
    weighted = torch.stack(
        [each.weight * value for each, value in zip(terms, values.values(), strict=True)]
    )
    return {"loss": weighted.sum(), **values}
