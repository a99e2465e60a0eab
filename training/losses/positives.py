"""The one positive anchor and cell of each box, as the published models assign it.

DetGeo (TGRS 2023, section III-D) and all that build on its code: the centre's cell and the anchor
whose shape fits best answer for a box, every other position is a negative, and there is no band of
positions that are ignored. `training.losses.lite_targets` is what `lite` does instead.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SHAPE_EPSILON = 1e-16  # in the IoU's denominator and in the logarithm, as coded


@dataclass(frozen=True, slots=True)
class Positives:
    """Where M boxes are answered for, and what the head should say there."""

    anchor: Tensor  # [M] int64
    row: Tensor  # [M] int64
    column: Tensor  # [M] int64
    fraction: Tensor  # [M, 2] of the cell, wanted sigmoid outputs for (tx, ty)
    log_size: Tensor  # [M, 2] wanted (tw, th)

    def flat(self, grid_hw: tuple[int, int]) -> Tensor:
        """[M] index among anchors x rows x columns."""
        return (self.anchor * grid_hw[0] + self.row) * grid_hw[1] + self.column


def shape_iou(size_wh: Tensor, anchors_wh: Tensor) -> Tensor:
    """IoU of boxes laid at one corner. size_wh [M, 2], anchors_wh [A, 2] -> [M, A]."""
    overlap = torch.minimum(size_wh.unsqueeze(1), anchors_wh).prod(2)
    union = size_wh.prod(1, keepdim=True) + anchors_wh.prod(1) - overlap
    return overlap / (union + SHAPE_EPSILON)


def assign_positives(
    box_xyxy_px: Tensor, anchors_wh_px: Tensor, grid_hw: tuple[int, int], stride_px: int
) -> Positives:
    """Positives of boxes.

    A box is first clamped to the pixels 0 .. side - 1 of the window, as coded: its centre then
    always lies in a cell.

    Args:
        box_xyxy_px: [M, 4] pixels of the window.
        anchors_wh_px: [A, 2].
        grid_hw: rows and columns of the grid.
        stride_px: window pixels per cell.
    """
    height, width = grid_hw
    last = box_xyxy_px.new_tensor([width, height, width, height]) * stride_px - 1
    box = torch.minimum(box_xyxy_px.clamp_min(0), last)
    centre = (box[:, :2] + box[:, 2:]) / 2 / stride_px  # [M, 2] in cells
    size = box[:, 2:] - box[:, :2]  # [M, 2]
    anchor = shape_iou(size, anchors_wh_px).argmax(1)
    cell = centre.floor()
    log_size = (size / anchors_wh_px[anchor] + SHAPE_EPSILON).log()
    # a box that is no number has a loss that is none, which the trainer reports: not a bad index
    column, row = cell.nan_to_num(0.0).long().unbind(1)
    return Positives(anchor, row, column, centre - cell, log_size)
