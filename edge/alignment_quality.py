"""What a homography found by matches is worth: can it be a camera's, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.matching import project
from edge.types import Float32, Float64

MOST_ANISOTROPY = 4.0  # of the local scale; a camera 75 degrees off the vertical
MOST_ZOOM_CHANGE = 16.0  # of the local area, between the inliers
LEAST_HULL_SHARE = 0.02  # of the frame, covered by the inliers
LEAST_HULL_PX2 = 32.0**2  # of the window
# Fitted on real frames by benchmarks.studies.alignment: residuals of neighbouring matches are not
# independent (relief, lens), so the covariance of least squares is too small by this factor.
INFLATION = 3.0
FLOOR_PX = 0.5  # window pixels: relief and the map's own distortion
OUTSIDE_SLOPE = 0.05  # sigma per window pixel outside the hull of the inliers


@dataclass(frozen=True, slots=True)
class HomographyFit:
    """A homography with the uncertainty of its eight numbers."""

    homography: Float64  # [3, 3], frame -> window, of depth 1 at the centroid of the inliers
    normalise: Float64  # [3, 3], frame -> about [-1, 1], the centroid at 0
    covariance: Float64  # [8, 8] of the homography over normalised pixels, last element 1
    hull_xy_px: Float32  # [K, 1, 2], convex hull of the inliers in the window
    sigma_px: float  # per axis, window pixels, amid the inliers

    def predict(self, xy_px: Float64) -> tuple[Float64, Float64]:
        """Window pixels of frame pixels, and their sigma per axis; both nan beyond the horizon.

        [N, 2] -> [N, 2], [N].
        """
        depth = np.column_stack([xy_px, np.ones(len(xy_px))]) @ self.homography[2]
        seen = depth > 0.02
        target = np.full((len(xy_px), 2), np.nan)
        sigma = np.full(len(xy_px), np.nan)
        if seen.any():
            target[seen] = project(self.homography, xy_px[seen])
            sigma[seen] = self._sigma_px(xy_px[seen], target[seen])
        return target, sigma

    def _sigma_px(self, xy_px: Float64, target: Float64) -> Float64:
        over = self.homography @ np.linalg.inv(self.normalise)
        rows = _jacobian(over / over[2, 2], project(self.normalise, xy_px))  # [N, 2, 8]
        variance = np.einsum("nik,kl,nil->n", rows, self.covariance, rows) / 2.0
        outside = np.array(
            [max(0.0, -cv2.pointPolygonTest(self.hull_xy_px, point, True)) for point in target]
        )
        spread = np.sqrt(self.sigma_px**2 + variance + (OUTSIDE_SLOPE * outside) ** 2)
        return np.asarray(spread, np.float64)


def with_unit_depth(homography: Float64, source: Float64) -> Float64:
    """The same homography, scaled so that the centroid of points [N, 2] has depth 1.

    The depth at the frame's corner, the usual 1, is negative where that corner is sky.
    """
    depth = float(homography[2] @ np.append(source.mean(axis=0), 1.0)) if len(source) else 0.0
    return homography / depth if depth != 0.0 else np.full((3, 3), np.nan)


def pose_of(homography: Float64, size_px: tuple[float, float]) -> tuple[float, float]:
    """Yaw in degrees (clockwise from north to the frame's top) and scale at the frame's centre."""
    local = _local(homography, np.array([[size_px[0] / 2, size_px[1] / 2]]))[0]
    up = -local[:, 1]
    # The right and the up vector both tell the yaw; under perspective their mean is steadier.
    right = local[:, 0]
    yaw = np.degrees(np.arctan2(right[1] + up[0], right[0] - up[1]))
    return float(yaw % 360.0), float(np.sqrt(abs(np.linalg.det(local))))


def is_plausible(homography: Float64, size_px: tuple[float, float], source: Float64) -> bool:
    """Whether a camera above the ground can have made this.

    Refused: mirrored, stretched beyond `MOST_ANISOTROPY`, with the horizon amid the inliers, or
    resting on matches in a corner of the frame.

    Args:
        homography: [3, 3], frame -> window, of any scale or sign.
        size_px: width, height of the frame.
        source: [N, 2] frame pixels of the inliers.
    """
    if len(source) < 4 or not np.isfinite(homography).all():
        return False
    homography = with_unit_depth(homography, source)
    if not np.isfinite(homography).all():
        return False
    centre = np.array([[size_px[0] / 2, size_px[1] / 2]])
    points = np.vstack([source, centre])
    depth = np.column_stack([points, np.ones(len(points))]) @ homography[2]
    if depth.min() < 0.1 * depth.max() or depth.max() <= 0.0:
        return False
    local = _local(homography, points)
    area = np.linalg.det(local)
    if area.min() <= 0.0 or area.max() > MOST_ZOOM_CHANGE * area.min():
        return False
    stretch = np.linalg.svd(local, compute_uv=False)
    if (stretch[:, 0] / stretch[:, 1]).max() > MOST_ANISOTROPY:
        return False
    hull = cv2.convexHull(source.astype(np.float32))
    hull_there = cv2.convexHull(project(homography, source).astype(np.float32))
    wide = cv2.contourArea(hull) > LEAST_HULL_SHARE * size_px[0] * size_px[1]
    return bool(wide and cv2.contourArea(hull_there) > LEAST_HULL_PX2)


def measure_fit(
    homography: Float64, source: Float64, target: Float64, size_px: tuple[float, float]
) -> HomographyFit:
    """The uncertainty of a homography by the residuals and the spread of its inliers.

    Args:
        homography: [3, 3], frame -> window.
        source: [N, 2] frame pixels.
        target: [N, 2] window pixels.
        size_px: width, height of the frame.
    """
    homography = with_unit_depth(homography, source)
    half = max(size_px) / 2.0
    x, y = source.mean(axis=0)
    normalise = np.array([[1 / half, 0, -x / half], [0, 1 / half, -y / half], [0, 0, 1.0]])
    over = homography @ np.linalg.inv(normalise)
    rows = _jacobian(over / over[2, 2], project(normalise, source))  # [N, 2, 8]
    information = np.einsum("nik,nil->kl", rows, rows)
    information += 1e-9 * np.trace(information) * np.eye(8)
    residual = target - project(homography, source)
    variance = float((residual**2).sum() / max(1, 2 * len(source) - 8))
    covariance = np.linalg.inv(information) * variance * INFLATION**2
    hull = cv2.convexHull(target.astype(np.float32))
    sigma = float(np.sqrt(FLOOR_PX**2 + variance))
    return HomographyFit(homography, normalise, covariance, np.asarray(hull, np.float32), sigma)


def _local(homography: Float64, xy: Float64) -> Float64:
    """Derivative of a homography by its argument. [N, 2] -> [N, 2, 2]."""
    xyw = np.column_stack([xy, np.ones(len(xy))]) @ homography.T
    w = xyw[:, 2, None, None]
    linear = homography[None, :2, :2]
    return np.asarray((linear - (xyw[:, :2] / xyw[:, 2:])[:, :, None] * homography[2, :2]) / w)


def _jacobian(homography: Float64, xy: Float64) -> Float64:
    """Derivative of the projection by the first eight numbers of the homography. -> [N, 2, 8]."""
    xyw = np.column_stack([xy, np.ones(len(xy))])
    depth = xyw @ homography[2]
    projected = project(homography, xy)
    rows = np.zeros((len(xy), 2, 8))
    rows[:, 0, 0:3] = rows[:, 1, 3:6] = xyw / depth[:, None]
    rows[:, :, 6:8] = -projected[:, :, None] * (xy / depth[:, None])[:, None, :]
    return rows
