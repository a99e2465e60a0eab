"""Fixes against truth: which are right, which are wrong, and by how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

import numpy as np

from edge.frame_result import FrameResult
from edge.geodesy import distance_m
from edge.pairs import Pairs, PairsClick
from edge.scoring import RIGHT_IOU, iou
from edge.types import Click, Fix, Float64, Frame, ReferenceFeature, Verdict

Box = tuple[float, float, float, float]
# Pixels of the labelled map [N, 2] -> pixels of the window that a result is shown in.
ToWindow = Callable[[Float64, FrameResult], Float64]
SAME_CLICK_PX = 1.5


class Outcome(str, Enum):
    """What a fix is worth, seen from the truth."""

    RIGHT = "right"  # accepted, and the box overlaps the object
    WRONG = "wrong"  # accepted, and it is elsewhere or not on the map at all
    MISSED = "missed"  # rejected, though it is on the map
    DECLINED = "declined"  # rejected, and rightly: it is not on the map


@dataclass(frozen=True, slots=True)
class JudgedFix:
    """A fix beside the truth."""

    fix: Fix
    object_id: str | None  # None: what was clicked is not on the map
    object_class: str
    outcome: Outcome
    iou: float | None  # None: nothing to compare
    error_m: float | None
    truth_box_px: Box | None  # in the window that the frame is shown in


class Truth:
    """The labels of a pairs file, found again by the frame's name and the click's place."""

    def __init__(self, pairs: Pairs, to_window: ToWindow, gsd_m: float) -> None:
        """Join labels and the way from their map to a window.

        Args:
            pairs: the labels.
            to_window: pixels of their map -> pixels of the window that a result is shown in.
            gsd_m: ground size of a window pixel, for maps without a position.
        """
        self._gsd_m = gsd_m
        self._pairs = pairs
        self._to_window = to_window
        self._frames = {PurePath(frame.file).name: frame for frame in pairs.frames}

    def judge(self, result: FrameResult) -> list[JudgedFix]:
        """Every fix of a frame that has a label, beside it."""
        judged = []
        for click, fix in zip(result.clicks, result.fixes, strict=True):
            label = self._label(result.frame, click)
            if label is not None:
                judged.append(self._judge(result, fix, label))
        return judged

    def _label(self, frame: Frame, click: Click) -> PairsClick | None:
        labels = self._frames.get(PurePath(frame.source).name)
        if labels is None:
            return None
        high, wide = frame.image.shape[:2]
        near = [
            (
                abs(each.x_px * wide / labels.width_px - click.x_px)
                + abs(each.y_px * high / labels.height_px - click.y_px),
                n,
            )
            for n, each in enumerate(labels.clicks)
        ]
        if not near or min(near)[0] > SAME_CLICK_PX:
            return None
        return labels.clicks[min(near)[1]]

    def _judge(self, result: FrameResult, fix: Fix, label: PairsClick) -> JudgedFix:
        accepted = fix.verdict is Verdict.ACCEPTED
        if label.object_id is None:
            outcome = Outcome.WRONG if accepted else Outcome.DECLINED
            return JudgedFix(fix, None, label.desc, outcome, None, None, None)
        item = self._pairs.objects[label.object_id]
        truth, overlap, error_m = None, None, None
        if result.place is not None:
            corners = np.reshape(item.box_xyxy_px, (2, 2))
            (x1, y1), (x2, y2) = self._to_window(corners, result).tolist()
            truth = (x1, y1, x2, y2)
            box = result.box_shown(fix)
            if box is not None:
                overlap = iou(box, truth)
                error_m = self._error_m(box, truth, result.feature)
        right = overlap is not None and overlap > RIGHT_IOU
        outcome = (Outcome.RIGHT if right else Outcome.WRONG) if accepted else Outcome.MISSED
        return JudgedFix(fix, item.object_id, item.object_class, outcome, overlap, error_m, truth)

    def _error_m(self, box: Box, truth: Box, feature: ReferenceFeature | None) -> float:
        """Metres between the centres; by the stated ground size where the map has no position."""
        centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (box, truth)]
        if feature is not None and feature.geometry is not None:
            found, true = feature.geometry.lon_lat_deg(np.array(centres, np.float64))
            return float(distance_m(found, true))
        (x1, y1), (x2, y2) = centres
        return math.hypot(x1 - x2, y1 - y2) * self._gsd_m


def by_geometry(pairs: Pairs) -> ToWindow:
    """Through WGS84: for a labelled map and windows that both have a position."""
    geometry = pairs.map.geometry
    if geometry is None:
        raise ValueError("the labelled map has no position")

    def to_window(xy_px: Float64, result: FrameResult) -> Float64:
        if result.feature is None or result.feature.geometry is None:
            raise ValueError("the window has no position")
        return result.feature.geometry.xy_px(geometry.lon_lat_deg(xy_px))

    return to_window


def median(values: Sequence[float | None]) -> float | None:
    """The median of those that are known."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
