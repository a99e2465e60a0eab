"""Cameras as 4 x 4 matrices: a pinhole with a pose, and a parallel camera for maps and shadows.

A camera maps (x, y, z, 1) to (col * w, row * w, s * w, w). `s` is the nearness: larger is closer to
the camera, and over any plane it is an affine function of the picture's pixels: 1 / depth for the
pinhole, height above ground for the parallel camera. Pixel corners lie on integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole without distortion. Its picture's top looks towards `yaw_deg` when tilted."""

    east_m: float
    north_m: float
    up_m: float  # above the flat ground
    yaw_deg: float  # clockwise from north to the top of the picture
    tilt_deg: float  # of the optical axis from straight down
    focal_px: float
    width_px: int = 640
    height_px: int = 480
    roll_deg: float = 0.0  # clockwise turn of the picture about the optical axis

    @staticmethod
    def over(
        target_m: tuple[float, float],
        gsd_m: float,
        yaw_deg: float,
        tilt_deg: float,
        focal_px: float,
        width_px: int = 640,
        height_px: int = 480,
        roll_deg: float = 0.0,
    ) -> Camera:
        """The camera whose middle sees the ground point `target_m` at `gsd_m` sideways."""
        distance = gsd_m * focal_px
        yaw, tilt = np.deg2rad(yaw_deg), np.deg2rad(tilt_deg)
        back = distance * np.sin(tilt)
        return Camera(
            east_m=float(target_m[0] - back * np.sin(yaw)),
            north_m=float(target_m[1] - back * np.cos(yaw)),
            up_m=float(distance * np.cos(tilt)),
            yaw_deg=float(yaw_deg),
            tilt_deg=float(tilt_deg),
            focal_px=float(focal_px),
            width_px=width_px,
            height_px=height_px,
            roll_deg=roll_deg,
        )

    @property
    def axes(self) -> Float64:
        """Rows: right, down and forward of the camera in the world. [3, 3]"""
        yaw, tilt, roll = np.deg2rad([self.yaw_deg, self.tilt_deg, self.roll_deg])
        forward = np.array([np.sin(yaw) * np.sin(tilt), np.cos(yaw) * np.sin(tilt), -np.cos(tilt)])
        right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
        down = np.cross(forward, right)
        turned_right = np.cos(roll) * right + np.sin(roll) * down
        turned_down = -np.sin(roll) * right + np.cos(roll) * down
        return np.stack([turned_right, turned_down, forward])

    @property
    def eye(self) -> Float64:
        """Homogeneous position of the eye [4]."""
        return np.array([self.east_m, self.north_m, self.up_m, 1.0])

    @property
    def matrix(self) -> Float64:
        """World to (col * w, row * w, s * w, w). [4, 4]"""
        axes = self.axes
        pose = np.concatenate([axes, -(axes @ self.eye[:3])[:, None]], axis=1)
        centre = (self.width_px / 2, self.height_px / 2)
        return np.stack(
            [
                self.focal_px * pose[0] + centre[0] * pose[2],
                self.focal_px * pose[1] + centre[1] * pose[2],
                np.array([0.0, 0.0, 0.0, 1.0]),
                pose[2],
            ]
        )

    def enlarged(self, factor: float) -> Camera:
        """The same view with `factor` times as many pixels each way."""
        return Camera(
            self.east_m,
            self.north_m,
            self.up_m,
            self.yaw_deg,
            self.tilt_deg,
            self.focal_px * factor,
            round(self.width_px * factor),
            round(self.height_px * factor),
            self.roll_deg,
        )

    def texel_m(self, nearness: NDArray[np.float32]) -> NDArray[np.float32]:
        """Ground size across the picture of pixels with this nearness, metres."""
        return np.asarray(1.0 / (np.maximum(nearness, 1e-6) * self.focal_px), np.float32)


@dataclass(frozen=True, slots=True)
class ParallelCamera:
    """North-up parallel projection; `lean` is how far (east, north) a point moves per metre height.

    Lean (0, 0) is a true orthophoto. A satellite off nadir leans buildings away from itself.
    """

    left_m: float
    top_m: float
    gsd_m: float
    width_px: int
    height_px: int
    lean: tuple[float, float] = (0.0, 0.0)
    stretch: float = 1.0  # north-south size of a pixel over gsd_m (mercator on the ellipsoid)

    @property
    def eye(self) -> Float64:
        """Homogeneous direction to the eye [4]."""
        return np.array([-self.lean[0], -self.lean[1], 1.0, 0.0])

    @property
    def matrix(self) -> Float64:
        """World to (col, row, s, 1). [4, 4]"""
        g, h = self.gsd_m, self.gsd_m * self.stretch
        return np.array(
            [
                [1 / g, 0.0, self.lean[0] / g, -self.left_m / g],
                [0.0, -1 / h, -self.lean[1] / h, self.top_m / h],
                [0.0, 0.0, 1.0, 0.0],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )

    def enlarged(self, factor: float) -> ParallelCamera:
        """The same ground with `factor` times as many pixels each way."""
        return ParallelCamera(
            self.left_m,
            self.top_m,
            self.gsd_m / factor,
            round(self.width_px * factor),
            round(self.height_px * factor),
            self.lean,
            self.stretch,
        )

    def texel_m(self, nearness: NDArray[np.float32]) -> NDArray[np.float32]:
        """Ground size of the pixels, everywhere the same."""
        return np.full_like(nearness, self.gsd_m)


AnyCamera = Camera | ParallelCamera


def project(camera: AnyCamera, points_m: Float64) -> Float64:
    """World points [N, 3] -> (col, row, nearness, w) [N, 4]; w <= 0 lies behind the camera."""
    clip = np.asarray(points_m) @ camera.matrix[:, :3].T + camera.matrix[:, 3]
    w = clip[:, 3:]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.concatenate([clip[:, :3] / w, w], axis=1)


def ground_point(camera: AnyCamera, xy_px: Float64) -> Float64:
    """Where the rays of pixels [N, 2] meet the flat ground: (east, north) [N, 2]."""
    homography = camera.matrix[[0, 1, 3]][:, [0, 1, 3]]
    points = np.concatenate([np.asarray(xy_px, np.float64), np.ones((len(xy_px), 1))], axis=1)
    ground = points @ np.linalg.inv(homography).T
    return np.asarray(ground[:, :2] / ground[:, 2:])
