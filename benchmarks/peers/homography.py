"""Clicks through a homography between frame and window, whatever found the matches.

Like `edge.baselines.SiftPredictor`, with the same numbers: the frame at 800 px, the keypoints of a
window found once, plain RANSAC, at least 15 inliers, and the median labelled box around the place.
Learned descriptors, unlike SIFT's, bear little rotation: frames are turned north up first, as far
as they know their yaw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from edge.baselines import (
    FRAME_SIDE_PX,
    KEPT_WINDOWS,
    LEAST_INLIERS,
    REPROJECTION_PX,
    answers,
)
from edge.pairs_images import MapWindow
from edge.predictors import Prediction
from edge.types import Bool, Float64, Frame, Uint8


@dataclass(frozen=True, slots=True)
class Keypoints:
    """What a describer finds in a picture."""

    xy_px: Float64  # [N, 2], pixel corners on integers
    descriptor: Any  # [N, D], as the matcher wants it
    size_wh_px: tuple[int, int]

    def kept(self, keep: Bool) -> Keypoints:
        """Some of them."""
        import torch

        chosen = torch.from_numpy(np.flatnonzero(keep))
        return Keypoints(self.xy_px[keep], self.descriptor[chosen], self.size_wh_px)


class Matching(Protocol):
    """Finds keypoints, and which of two pictures belong together."""

    def describe(self, image: Uint8, most: int) -> Keypoints:
        """At most `most` keypoints of an RGB picture [H, W, 3]."""
        ...

    def match(self, frame: Keypoints, window: Keypoints) -> tuple[Any, Any]:
        """Rows of the frame and of the window that belong together."""
        ...


class HomographyPredictor:
    """See the module's text; an `edge.predictors.Predictor`."""

    def __init__(
        self,
        name: str,
        matching: Matching,
        box_wh_m: tuple[float, float],
        most_frame: int,
        most_window: int,
    ) -> None:
        self._name = name
        self._matching = matching
        self._box_wh_m = box_wh_m
        self._most = most_frame, most_window
        self._windows: dict[tuple[str, str], Keypoints] = {}

    @property
    def name(self) -> str:
        """Row of the table."""
        return self._name

    def predict(
        self, frame: Frame, click_xy_px: Float64, windows: Sequence[MapWindow]
    ) -> list[Prediction]:
        """See `edge.predictors.Predictor.predict`."""
        shrink = min(1.0, FRAME_SIDE_PX / max(frame.image.shape[:2]))
        small = cv2.resize(frame.image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        image, turned = north_up(np.asarray(small, np.uint8), frame.pose.yaw_deg)
        grown = np.diag([*(np.array(frame.image.shape[1::-1]) / small.shape[1::-1]), 1])
        back = grown @ np.linalg.inv(turned)
        of_frame = self._matching.describe(image, self._most[0])
        best: tuple[int, Float64, MapWindow] | None = None
        for each in windows:
            found = self._homography(of_frame, self._of_window(each), back)
            if found is not None and (best is None or found[0] > best[0]):
                best = *found, each
        return answers(click_xy_px, best, self._box_wh_m)

    def _of_window(self, each: MapWindow) -> Keypoints:
        key = each.window.map_id, each.window.window_id
        if key not in self._windows:
            while len(self._windows) >= KEPT_WINDOWS:
                del self._windows[next(iter(self._windows))]
            found = self._matching.describe(each.window.image, self._most[1])
            # keypoints on the edge of the imagery describe the padding
            inside = cv2.erode(each.window.valid.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            column, row = np.floor(found.xy_px).astype(int).T
            high, wide = inside.shape
            keep = np.asarray(inside)[np.clip(row, 0, high - 1), np.clip(column, 0, wide - 1)]
            self._windows[key] = found.kept(np.asarray(keep, np.bool_))
        return self._windows[key]

    def _homography(
        self, frame: Keypoints, window: Keypoints, back: Float64
    ) -> tuple[int, Float64] | None:
        """Inliers and homography from the frame as it came to the window."""
        if min(len(frame.xy_px), len(window.xy_px)) < LEAST_INLIERS:
            return None
        rows, others = self._matching.match(frame, window)
        if len(rows) < LEAST_INLIERS:
            return None
        source = frame.xy_px[rows] @ back[:2, :2].T + back[:2, 2]
        target = window.xy_px[others]
        cv2.setRNGSeed(0)
        homography, mask = cv2.findHomography(source, target, cv2.RANSAC, REPROJECTION_PX)
        if homography is None or np.count_nonzero(mask) < LEAST_INLIERS:
            return None
        return int(np.count_nonzero(mask)), np.asarray(homography, np.float64)


def north_up(image: Uint8, yaw_deg: float | None) -> tuple[Uint8, Float64]:
    """A picture turned until north is up, on a canvas that holds all of it.

    Args:
        image: [H, W, 3].
        yaw_deg: clockwise from north to the top of the picture; None: unknown, it stays as it is.

    Returns:
        The picture, black around, and the matrix [3, 3] from the given one to it (corners of pixels
        on integers).
    """
    if yaw_deg is None:
        return image, np.eye(3)
    high, wide = image.shape[:2]
    cos, sin = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    size = np.ceil([wide * abs(cos) + high * abs(sin), wide * abs(sin) + high * abs(cos)])
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])  # clockwise, as y points down
    turn[:2, 2] = size / 2 - turn[:2, :2] @ (wide / 2, high / 2)
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # OpenCV counts from pixels' centres
    warp = (np.linalg.inv(half) @ turn @ half)[:2]
    turned = cv2.warpAffine(image, warp, size.astype(int).tolist(), flags=cv2.INTER_LINEAR)
    return np.asarray(turned, np.uint8), turn
