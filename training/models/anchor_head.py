"""The anchor head of the published models, its decoding, and its folded form.

Channel 5 a + k of the map holds, for anchor a, k = 0..3: tx, ty, tw, th and k = 4: confidence. One
box per click: the argmax of the raw confidence logits over anchors and cells, the first on ties.

    centre = (sigmoid(tx, ty) + (column, row)) stride        size = exp(tw, th) anchor

Folding: the first 1x1 convolution has no bias and sees a gate times a vector, so
conv(g v) = g conv(v). With u = conv(v) cached, a click costs a scale, a norm and the last 1x1
(`folded_head`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.models.conv_block import PUBLISHED_BN_MOMENTUM, BlockActivation, ConvBlock

FIELDS = 5  # tx, ty, tw, th, confidence


@dataclass(frozen=True, slots=True)
class Winners:
    """The winning anchor and cell of each of N clicks."""

    confidence_logit: Tensor  # [N]
    anchor: Tensor  # [N] int64
    row: Tensor  # [N] int64
    column: Tensor  # [N] int64


def winners(confidence: Tensor) -> Winners:
    """Argmax over anchors and cells, the first on ties. confidence [N, A, Hg, Wg]."""
    n, _, height, width = confidence.shape
    flat = confidence.reshape(n, -1)
    index = flat.argmax(1)
    logit = flat.gather(1, index.unsqueeze(1)).squeeze(1)
    anchor, cell = index // (height * width), index % (height * width)
    return Winners(logit, anchor, cell // width, cell % width)


def decode(offsets: Tensor, won: Winners, anchors_wh_px: Tensor, stride_px: int) -> Tensor:
    """Boxes of winners; not clipped to the window, as published.

    Args:
        offsets: [N, 4] tx, ty, tw, th of each winner.
        won: their anchors and cells.
        anchors_wh_px: [A, 2].
        stride_px: window pixels per cell.

    Returns:
        [N, 4] x1, y1, x2, y2 in window pixels.
    """
    cell = torch.stack([won.column, won.row], 1)
    centre = (offsets[:, :2].sigmoid() + cell) * stride_px
    half = offsets[:, 2:].exp() * anchors_wh_px[won.anchor] / 2
    return torch.cat([centre - half, centre + half], 1)


def decode_maps(boxes: Tensor, anchors_wh_px: Tensor, stride_px: int) -> tuple[Tensor, Tensor]:
    """One box per click from whole maps.

    Args:
        boxes: [N, A, 5, Hg, Wg].
        anchors_wh_px: [A, 2].
        stride_px: window pixels per cell.

    Returns:
        boxes [N, 4] in window pixels and confidence logits [N].
    """
    won = winners(boxes[:, :, 4])
    rows = torch.arange(len(boxes), device=boxes.device)
    offsets = boxes[rows, won.anchor, :4, won.row, won.column]  # [N, 4]
    return decode(offsets, won, anchors_wh_px, stride_px), won.confidence_logit


class AnchorHead(nn.Sequential):
    """CBL 1x1, then a 1x1 convolution with bias to 5 channels per anchor (`fcn_out` there).

    Args:
        c_in: channels in.
        hidden: channels between.
        anchors: number of anchors.
        bn_momentum: of the block's running statistics.
        activation: of the block; a folded head is leaky (`folded_head`).
    """

    def __init__(
        self,
        c_in: int = 512,
        hidden: int = 256,
        anchors: int = 9,
        bn_momentum: float = PUBLISHED_BN_MOMENTUM,
        activation: BlockActivation = BlockActivation.LEAKY_RELU,
    ) -> None:
        super().__init__(
            ConvBlock(c_in, hidden, bn_momentum=bn_momentum, activation=activation),
            nn.Conv2d(hidden, anchors * FIELDS, 1),
        )
        self.anchors = anchors

    @property
    def block(self) -> ConvBlock:
        """The first of the two layers."""
        first = self[0]
        if not isinstance(first, ConvBlock):
            raise TypeError(f"the head's first layer is a ConvBlock, not {type(first).__name__}")
        return first

    def maps(self, context: Tensor) -> Tensor:
        """[M, c_in, Hg, Wg] -> [M, A, 5, Hg, Wg]."""
        out: Tensor = self(context)
        return out.unflatten(1, (self.anchors, FIELDS))

    def fold(self, v: Tensor) -> Tensor:
        """u = conv(v), what is cached: [B, c_in, Hg, Wg] -> [B, hidden, Hg, Wg]."""
        u: Tensor = self.block.conv(v)
        return u
