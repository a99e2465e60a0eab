"""Sunlight and cast shadows: a shadow map seen from the sun.

A parallel camera that leans by the shadow vector puts every point where its shadow falls on the
ground, and its nearness is the height above ground. So the map holds, per ground point, the height
of the highest thing that casts there; a point below that height on the same ray lies in shadow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import AnyCamera, Camera, ParallelCamera, ground_point
from training.scenes.raster import rasterise
from training.scenes.season import Appearance
from training.scenes.solids import Solids

Float32 = NDArray[np.float32]

_BIAS_M = 0.3
_MAX_PX = 1400
_MAX_REACH_M = 700.0


@dataclass(frozen=True, slots=True)
class Sun:
    """Direction and colour of the light."""

    direction: tuple[float, float, float]  # unit vector towards the sun
    direct_rgb: tuple[float, float, float]
    sky_rgb: tuple[float, float, float]

    @property
    def shadow_per_m(self) -> tuple[float, float]:
        """Where the shadow of a point 1 m high falls, (east, north) metres from its foot."""
        x, y, z = self.direction
        return -x / z, -y / z


def sun_of(appearance: Appearance) -> Sun:
    """The light of an appearance: low suns are warmer, clouds take from the sun for the sky."""
    azimuth = math.radians(appearance.sun_azimuth_deg)
    elevation = math.radians(max(appearance.sun_elevation_deg, 8.0))
    low = max(0.0, 1.0 - math.sin(elevation))
    clear = appearance.sunshine
    direct = clear * 1.15
    sky = 0.23 + 0.62 * (1.0 - clear)
    return Sun(
        direction=(
            math.sin(azimuth) * math.cos(elevation),
            math.cos(azimuth) * math.cos(elevation),
            math.sin(elevation),
        ),
        direct_rgb=(direct, direct * (1 - 0.10 * low), direct * (1 - 0.26 * low)),
        sky_rgb=(sky * 0.90, sky * 0.98, sky * (1.0 + 0.14 * clear)),
    )


@dataclass(frozen=True, slots=True)
class ShadowMap:
    """Height of the highest shadow caster per ground point."""

    camera: ParallelCamera
    height_m: Float32  # [H, W]

    def shaded(self, x: Float32, y: Float32, z: Float32) -> NDArray[np.bool_]:
        """Which points [H, W] lie in the shadow of something."""
        camera = self.camera
        scale = np.float32(1.0 / camera.gsd_m)
        columns = (x + np.float32(camera.lean[0]) * z - np.float32(camera.left_m)) * scale
        rows = (np.float32(camera.top_m) - y - np.float32(camera.lean[1]) * z) * scale
        caster = cv2.remap(
            self.height_m,
            columns - np.float32(0.5),
            rows - np.float32(0.5),
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=0.0,
        )
        return np.asarray(caster > z + np.float32(_BIAS_M))


def seen_ground_m(camera: AnyCamera) -> tuple[float, float, float, float]:
    """Box (west, south, east, north) of the ground in the picture, far reaches cut off."""
    w, h = camera.width_px, camera.height_px
    corners = ground_point(camera, np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64))
    if isinstance(camera, Camera):
        foot = np.array([camera.east_m, camera.north_m])
        away = corners - foot
        reach = np.linalg.norm(away, axis=1, keepdims=True)
        axes = camera.axes
        rays = np.array([[-w / 2, -h / 2], [w / 2, -h / 2], [w / 2, h / 2], [-w / 2, h / 2]])
        down = (rays @ axes[:2, 2] + camera.focal_px * axes[2, 2]) < 0
        above = ~down
        away[above] *= -1  # a ray above the horizon meets the ground behind the eye
        limit = np.where(above[:, None], _MAX_REACH_M, np.minimum(reach, _MAX_REACH_M))
        corners = foot + away / np.maximum(reach, 1e-9) * limit
    low, high = corners.min(axis=0), corners.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def shadow_map(
    solids: Solids,
    camera: AnyCamera,
    sun: Sun,
    object_count: int,
    crown_scale: Float32,
    crown_density: Float32,
) -> ShadowMap:
    """The shadow map that covers what `camera` sees, at about its resolution."""
    west, south, east, north = seen_ground_m(camera)
    margin = 6.0 + 5.0 * math.hypot(*sun.shadow_per_m)  # tall things near the border
    span = max(east - west, north - south) + 2 * margin
    fine = float(camera.texel_m(np.float32([_middle_nearness(camera)]))[0])
    gsd = max(fine * 1.1, span / _MAX_PX, 0.08)
    light = ParallelCamera(
        left_m=west - margin,
        top_m=north + margin,
        gsd_m=gsd,
        width_px=math.ceil((east - west + 2 * margin) / gsd),
        height_px=math.ceil((north - south + 2 * margin) / gsd),
        lean=sun.shadow_per_m,
    )
    raster = rasterise(solids, light, object_count, crown_scale, crown_density, ground=False)
    return ShadowMap(light, raster.nearness)


def _middle_nearness(camera: AnyCamera) -> float:
    if isinstance(camera, ParallelCamera):
        return 0.0
    return float(np.cos(np.deg2rad(camera.tilt_deg)) / max(camera.up_m, 1.0))
