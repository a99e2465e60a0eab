"""Whether two runs find the same boxes for the same clicks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.scoring import iou
from edge.types import Bool, Float32, Float64
from export.verification.tolerances import Tolerance

NEAR_IOU = 0.99


@dataclass(frozen=True, slots=True)
class BoxAgreement:
    """The boxes of one candidate against the reference's."""

    clicks: int
    iou_median: float
    iou_min: float
    iou_share: float  # of clicks with IoU >= NEAR_IOU
    same_cell: float | None  # share of the clicks without a prior; None: there were none
    free_clicks: int  # those without a prior

    def faults(self, limit: Tolerance) -> list[str]:
        """Why these boxes do not pass; empty where they do."""
        found = []
        if not self.iou_median >= limit.iou_median_min:
            found.append(f"median IoU {self.iou_median:.4f}, at least {limit.iou_median_min:g}")
        near = f"of the boxes with IoU >= {NEAR_IOU}"
        found += _share_fault(self.iou_share, limit.iou_share_min, self.clicks, near)
        if self.same_cell is not None:
            cells = "of the winning cells equal"
            found += _share_fault(self.same_cell, limit.same_cell_min, self.free_clicks, cells)
        return found


class BoxTally:
    """Collects boxes, input after input."""

    def __init__(self, stride_px: int) -> None:
        self._stride_px = stride_px
        self._ious: list[float] = []
        self._same: list[bool] = []

    def add(self, reference_xyxy: Float32, candidate_xyxy: Float32, free: Bool) -> None:
        """Compare the boxes of one input.

        Args:
            reference_xyxy: [N, 4] pixels of the window.
            candidate_xyxy: [N, 4] pixels of the window.
            free: [N], True where no prior pulls the centre out of the cell that won.
        """
        for ours, theirs in zip(reference_xyxy.tolist(), candidate_xyxy.tolist(), strict=True):
            same = np.isfinite([*ours, *theirs]).all()
            self._ious.append(iou(tuple(ours), tuple(theirs)) if same else 0.0)
        cells = [_cells(x[free], self._stride_px) for x in (reference_xyxy, candidate_xyxy)]
        self._same += (cells[0] == cells[1]).all(1).tolist()

    def share_at(self, least: float) -> float:
        """Share of the clicks whose boxes overlap by at least that IoU; NaN without any."""
        return float((np.array(self._ious) >= least).mean()) if self._ious else math.nan

    def agreement(self) -> BoxAgreement:
        """What was collected so far."""
        ious = np.array(self._ious or [np.nan])
        return BoxAgreement(
            clicks=len(self._ious),
            iou_median=float(np.median(ious)),
            iou_min=float(ious.min()),
            iou_share=float((ious >= NEAR_IOU).mean()),
            same_cell=float(np.mean(self._same)) if self._same else None,
            free_clicks=len(self._same),
        )


def _share_fault(share: float, least: float, clicks: int, what: str) -> list[str]:
    """Of few clicks one may differ, whatever the limit: two cells nearly tie now and then."""
    if not clicks:
        return []
    may_differ = math.floor((1 - least) * clicks + 1e-9)
    if least < 1:
        may_differ = max(1, may_differ)
    if round((1 - share) * clicks) <= may_differ:
        return []
    return [f"{share:.1%} {what}, at least {1 - may_differ / clicks:.1%}"]


def _cells(box_xyxy_px: Float32, stride_px: int) -> Float64:
    """The cell that a box was decoded at, [N, 2]: heads place the centre inside their cell."""
    centre = (box_xyxy_px[:, :2].astype(np.float64) + box_xyxy_px[:, 2:]) / 2
    with np.errstate(invalid="ignore"):
        cells: Float64 = np.floor(centre / stride_px)
    return cells
