"""Training-time metrics on tensors; the scores that are published come from `edge.scoring`."""

from __future__ import annotations

import torch
from torch import Tensor


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of paired boxes. a, b [M, 4] xyxy -> [M]; 0 for an empty union."""
    low = torch.maximum(a[:, :2], b[:, :2])
    high = torch.minimum(a[:, 2:], b[:, 2:])
    overlap = (high - low).clamp_min(0).prod(1)
    area_a = (a[:, 2:] - a[:, :2]).clamp_min(0).prod(1)
    area_b = (b[:, 2:] - b[:, :2]).clamp_min(0).prod(1)
    return overlap / (area_a + area_b - overlap).clamp_min(1e-9)


def separation(score: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve of `score` for `positive` [M] bool; NaN if one class is empty."""
    p, n = int(positive.sum()), int((~positive).sum())
    if p == 0 or n == 0:
        return float("nan")
    rank = torch.empty(len(score), dtype=torch.float64)
    rank[score.argsort()] = torch.arange(1, len(score) + 1, dtype=torch.float64)
    return float((rank[positive].sum() - p * (p + 1) / 2) / (p * n))
