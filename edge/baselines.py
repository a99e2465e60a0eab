"""What a model must beat: SIFT with a homography, and the centre of the window.

Both know one size of a box in metres and nothing of the object: at the place they find, they draw a
box of that size. `tilefix evaluate` gives them the median size of labelled objects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.pairs_images import MapWindow
from edge.predictors import Prediction, centred_box
from edge.types import Array, Float64, Frame, Uint8

FRAME_SIDE_PX = 800  # of the frame for SIFT: nearer to the map's scale, and four times as quick
MOST_KEYPOINTS = 8000
RATIO = 0.8  # of the best to the second distance
REPROJECTION_PX = 4.0  # window pixels
LEAST_INLIERS = 15  # below it there is no answer
KEPT_WINDOWS = 32


class SiftPredictor:
    """SIFT of the frame against SIFT of each window, ratio test, RANSAC homography.

    The clicks go through the homography with the most inliers; fewer than 15 is "no answer". An
    answer is accepted where the map has imagery. Inliers are the confidence. Plain RANSAC, as the
    name says.
    """

    def __init__(self, box_wh_m: tuple[float, float]) -> None:
        self._box_wh_m = box_wh_m
        self._sift = cv2.SIFT.create(nfeatures=MOST_KEYPOINTS)
        self._windows: dict[tuple[str, str], _Keypoints] = {}
        self._last: tuple[Frame, _Keypoints] | None = None

    @property
    def name(self) -> str:
        """Row of the table."""
        return "SIFT + RANSAC homography"

    def predict(
        self, frame: Frame, click_xy_px: Float64, windows: Sequence[MapWindow]
    ) -> list[Prediction]:
        """See `edge.predictors.Predictor.predict`."""
        of_frame = self._of_frame(frame)
        best: tuple[int, Float64, MapWindow] | None = None
        for each in windows:
            found = _homography(of_frame, self._of_window(each))
            if found is not None and (best is None or found[0] > best[0]):
                best = *found, each
        return answers(click_xy_px, best, self._box_wh_m)

    def _of_frame(self, frame: Frame) -> _Keypoints:
        if self._last is None or self._last[0] is not frame:
            shrink = min(1.0, FRAME_SIDE_PX / max(frame.image.shape[:2]))
            image = cv2.resize(
                frame.image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA
            )
            height, width = frame.image.shape[:2]
            back = width / image.shape[1], height / image.shape[0]
            self._last = frame, self._detect(np.asarray(image, np.uint8), None, back)
        return self._last[1]

    def _of_window(self, each: MapWindow) -> _Keypoints:
        key = each.window.map_id, each.window.window_id
        if key not in self._windows:
            # keypoints on the edge of the imagery describe the padding
            inside = cv2.erode(each.window.valid.astype(np.uint8) * 255, np.ones((9, 9), np.uint8))
            while len(self._windows) >= KEPT_WINDOWS:
                del self._windows[next(iter(self._windows))]
            self._windows[key] = self._detect(each.window.image, inside, (1.0, 1.0))
        return self._windows[key]

    def _detect(self, image: Uint8, mask: Array | None, scale: tuple[float, float]) -> _Keypoints:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        points, descriptors = self._sift.detectAndCompute(grey, mask)
        if descriptors is None or len(points) < 2:
            return _Keypoints(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
        # OpenCV counts from the centre of the first pixel, tilefix from its corner
        xy = np.array([point.pt for point in points], np.float64) + 0.5
        return _Keypoints(xy * scale, np.asarray(descriptors, np.float32))


class WindowCentrePredictor:
    """The middle of the first window, always: what knowing nothing scores."""

    def __init__(self, box_wh_m: tuple[float, float]) -> None:
        self._box_wh_m = box_wh_m

    @property
    def name(self) -> str:
        """Row of the table."""
        return "window centre"

    def predict(
        self, frame: Frame, click_xy_px: Float64, windows: Sequence[MapWindow]
    ) -> list[Prediction]:
        """See `edge.predictors.Predictor.predict`."""
        first = windows[0]
        height, width = first.window.valid.shape
        size = self._box_wh_m[0] / first.gsd_m, self._box_wh_m[1] / first.gsd_m
        box = first.box_to_map(centred_box(np.array([width / 2, height / 2]), size))
        return [Prediction(box, accepted=True) for _ in click_xy_px]


@dataclass(frozen=True, slots=True)
class _Keypoints:
    xy_px: Float64  # [N, 2]
    descriptor: Array  # [N, 128] float32


def _homography(frame: _Keypoints, window: _Keypoints) -> tuple[int, Float64] | None:
    """Inliers and homography frame -> window, None below `LEAST_INLIERS`."""
    if len(frame.xy_px) < LEAST_INLIERS or len(window.xy_px) < LEAST_INLIERS:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(frame.descriptor, window.descriptor, k=2)
    good = [a for a, b in pairs if a.distance < RATIO * b.distance]
    if len(good) < LEAST_INLIERS:
        return None
    source = frame.xy_px[[match.queryIdx for match in good]]
    target = window.xy_px[[match.trainIdx for match in good]]
    cv2.setRNGSeed(0)
    homography, mask = cv2.findHomography(source, target, cv2.RANSAC, REPROJECTION_PX)
    if homography is None:
        return None
    inliers = int(np.count_nonzero(mask))
    return (inliers, np.asarray(homography, np.float64)) if inliers >= LEAST_INLIERS else None


def answers(
    click_xy_px: Float64, best: tuple[int, Float64, MapWindow] | None, box_wh_m: tuple[float, float]
) -> list[Prediction]:
    """What a homography of the whole frame says of its clicks.

    Args:
        click_xy_px: [N, 2], of the frame.
        best: inliers, homography [3, 3] from frame to window, and that window; None: there is none.
        box_wh_m: of every box, for a homography knows no sizes.
    """
    if best is None:
        return [Prediction(None, accepted=False) for _ in click_xy_px]
    inliers, homography, each = best
    points = np.asarray(click_xy_px, np.float64).reshape(-1, 1, 2)
    projected = cv2.perspectiveTransform(points, homography).reshape(-1, 2)
    return [_answer(point, inliers, each, box_wh_m) for point in projected]


def _answer(
    point: Array, inliers: int, each: MapWindow, box_wh_m: tuple[float, float]
) -> Prediction:
    if not np.isfinite(point).all():
        return Prediction(None, accepted=False)
    wide, high = box_wh_m
    box = centred_box(np.asarray(point, np.float64), (wide / each.gsd_m, high / each.gsd_m))
    x, y = (math.floor(value) for value in point.tolist())
    height, width = each.window.valid.shape
    on_map = 0 <= x < width and 0 <= y < height and bool(each.window.valid[y, x])
    return Prediction(each.box_to_map(box), accepted=on_map, confidence=float(inliers))
