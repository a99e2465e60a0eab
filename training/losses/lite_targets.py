"""Which cells and anchors answer for a box.

The published models take one positive per click: the centre's cell and the anchor of best shape
(DetGeo, section III-D). `lite` spreads it over the 3 x 3 cells around the centre and all anchors,
by the IoU that a candidate could reach: with a prior that is a few pixels off, a neighbouring cell
may win, and its box must be right too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

REACH_CELLS = 1
SHARPNESS = 6.0
FRACTION_LIMIT = 0.03  # a sigmoid reaches its ends only at infinity


@dataclass(frozen=True, slots=True)
class Targets:
    """Candidates of M boxes; K = (2 reach + 1)^2 cells each."""

    cell: Tensor  # [M, K] flat index row * W + column; clamped, see `valid`
    valid: Tensor  # [M, K] False where the cell lies outside the grid
    weight: Tensor  # [M, A, K] sums to 1 over anchors and cells
    fraction: Tensor  # [M, K, 2] wanted sigmoid outputs
    log_size: Tensor  # [M, A, 2] wanted log(size / anchor)


def assign(
    box_xyxy_px: Tensor, anchors_wh_px: Tensor, grid_hw: tuple[int, int], stride_px: int
) -> Targets:
    """Targets of boxes.

    Args:
        box_xyxy_px: [M, 4] pixels of the window.
        anchors_wh_px: [A, 2].
        grid_hw: rows and columns of the grid.
        stride_px: window pixels per cell.
    """
    height, width = grid_hw
    centre = (box_xyxy_px[:, :2] + box_xyxy_px[:, 2:]) / 2 / stride_px  # [M, 2] in cells
    size = (box_xyxy_px[:, 2:] - box_xyxy_px[:, :2]).clamp_min(1.0)
    steps = torch.arange(-REACH_CELLS, REACH_CELLS + 1, device=centre.device)
    dy, dx = (g.reshape(-1) for g in torch.meshgrid(steps, steps, indexing="ij"))
    column = centre[:, :1].floor() + dx
    row = centre[:, 1:].floor() + dy  # [M, K]
    valid = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    fraction = torch.stack([centre[:, :1] - column, centre[:, 1:] - row], 2)
    fraction = fraction.clamp(FRACTION_LIMIT, 1 - FRACTION_LIMIT)
    reached = (torch.stack([column, row], 2) + fraction) * stride_px  # [M, K, 2] nearest centre
    off = (reached - centre.unsqueeze(1) * stride_px).abs()
    # IoU of the anchor's box at the nearest reachable centre with the true box
    half = (size.view(-1, 1, 1, 2) + anchors_wh_px.view(1, -1, 1, 2)) / 2
    least = torch.minimum(size.view(-1, 1, 1, 2), anchors_wh_px.view(1, -1, 1, 2))
    overlap = torch.minimum(half - off.unsqueeze(1), least).clamp_min(0).prod(3)  # [M, A, K]
    union = size.prod(1).view(-1, 1, 1) + anchors_wh_px.prod(1).view(1, -1, 1) - overlap
    weight = (overlap / union).clamp_min(1e-4) ** SHARPNESS * valid.unsqueeze(1)
    weight = weight / weight.sum((1, 2), keepdim=True).clamp_min(1e-30)
    cell = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).long()
    log_size = (size.unsqueeze(1) / anchors_wh_px.unsqueeze(0)).log()
    return Targets(cell, valid, weight, fraction, log_size)
