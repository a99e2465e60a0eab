"""Anchor clustering: k-means on box sizes under 1 - IoU (YOLOv2, arXiv 1612.08242, section 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shape_iou(a_wh: NDArray[np.float64], b_wh: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of boxes that share a centre. a [N, 2], b [K, 2] -> [N, K]."""
    overlap = np.minimum(a_wh[:, None], b_wh[None]).prod(2)
    return overlap / (a_wh.prod(1)[:, None] + b_wh.prod(1)[None] - overlap)


def cluster(
    sizes_wh_px: NDArray[np.float64], count: int, seed: int = 0
) -> tuple[NDArray[np.float64], float]:
    """Cluster box sizes.

    Args:
        sizes_wh_px: [N, 2] widths and heights.
        count: number of anchors.
        seed: of the initial choice.

    Returns:
        (anchors [count, 2] by falling area, mean IoU of each box with its best anchor).
    """
    rng = np.random.default_rng(seed)
    anchors = sizes_wh_px[rng.choice(len(sizes_wh_px), count, replace=False)].astype(float)
    for _ in range(200):
        nearest = shape_iou(sizes_wh_px, anchors).argmax(1)
        moved = np.array(
            [
                np.median(sizes_wh_px[nearest == k], axis=0) if (nearest == k).any() else anchors[k]
                for k in range(count)
            ]
        )
        if np.allclose(moved, anchors):
            break
        anchors = moved
    anchors = anchors[np.argsort(-anchors.prod(1))]
    return anchors, float(shape_iou(sizes_wh_px, anchors).max(1).mean())
