"""First and second peak of a similarity map: the evidence that min-max gating would erase."""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURHOOD_CELLS = 2  # Chebyshev radius around the first peak that the second must lie outside


def peaks(similarity: Tensor, lowest: float = -1.0) -> tuple[Tensor, Tensor]:
    """Raw maximum, and the maximum outside the first peak's 5 x 5 neighbourhood.

    Args:
        similarity: [N, H, W] cosines, or logits with a `lowest` below all of them.
        lowest: the smallest value that a map can have.

    Returns:
        ([N], [N]); the second is `lowest` where no cell lies outside the neighbourhood.
    """
    n, height, width = similarity.shape
    flat = similarity.reshape(n, height * width)
    first, index = flat.max(1)
    row = torch.arange(height, device=similarity.device)
    column = torch.arange(width, device=similarity.device)
    far_row = (row - (index // width).unsqueeze(1)).abs() > NEIGHBOURHOOD_CELLS  # [N, H]
    far_column = (column - (index % width).unsqueeze(1)).abs() > NEIGHBOURHOOD_CELLS  # [N, W]
    outside = far_row.unsqueeze(2) | far_column.unsqueeze(1)  # [N, H, W]
    second = torch.where(outside, similarity, torch.full_like(similarity, lowest))
    return first, second.reshape(n, height * width).max(1).values
