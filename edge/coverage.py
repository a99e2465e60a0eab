"""Where inside a window the map has imagery: a box on nothing must not be called a find."""

from __future__ import annotations

import cv2
import numpy as np

from edge.types import Bool, Float32, ReferenceFeature, Uint8

TENSOR = "valid_cells"  # its name among the tensors of a ReferenceFeature
FULL = 255


def cell_coverage(valid: Bool, stride_px: int) -> Uint8:
    """Share of each cell that has imagery, 0 to 255. valid [H, W] -> [H / stride, W / stride]."""
    rows, columns = valid.shape[0] // stride_px, valid.shape[1] // stride_px
    share = cv2.resize(valid.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return np.round(share * FULL).astype(np.uint8)


def coverage_at(feature: ReferenceFeature, box_xyxy_px: Float32, stride_px: int) -> Float32:
    """Share of imagery in the cell of each box's centre; 0 outside the window.

    A feature that was stored without the tensor is taken to be covered wherever it is.

    Args:
        feature: of the window.
        box_xyxy_px: [N, 4] window pixels.
        stride_px: of the cells.

    Returns:
        [N], 0 to 1.
    """
    cells = feature.tensors.get(TENSOR)
    if cells is None:
        return np.ones(len(box_xyxy_px), np.float32)
    centre = (box_xyxy_px[:, :2] + box_xyxy_px[:, 2:]) / 2
    column, row = np.floor(centre / stride_px).astype(np.int64).T
    inside = (column >= 0) & (row >= 0) & (column < cells.shape[1]) & (row < cells.shape[0])
    share = np.zeros(len(centre), np.float32)
    share[inside] = cells[row[inside], column[inside]] / np.float32(FULL)
    return share
