"""Colour of every pixel: texture, stains, season, sun and shadow, in linear light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import AnyCamera, ParallelCamera
from training.scenes.raster import Raster
from training.scenes.season import Appearance, Palette, Season
from training.scenes.solids import Solids
from training.scenes.sun import ShadowMap, Sun
from training.scenes.textures import (
    LEVELS,
    NOISE_PX,
    TEXEL_M,
    TILE_PX,
    Material,
    atlas,
    ground_noise,
)

Float32 = NDArray[np.float32]

_SNOW_RGB = np.array([0.86, 0.88, 0.92], np.float32)
_SKY_RGB = np.array([0.62, 0.72, 0.86], np.float32)


def world_points(camera: AnyCamera, nearness: Float32) -> tuple[Float32, Float32, Float32]:
    """The seen point of every pixel: east, north, up [H, W] each, metres."""
    height, width = nearness.shape
    inverse = np.linalg.inv(camera.matrix)
    columns = np.arange(width) + 0.5
    rows = np.arange(height) + 0.5

    def axis(i: int) -> Float32:
        line = (inverse[i, 0] * columns + inverse[i, 3]).astype(np.float32)
        lift = (inverse[i, 1] * rows).astype(np.float32)
        out = line[None, :] + lift[:, None]
        if inverse[i, 2] != 0.0:
            out += np.float32(inverse[i, 2]) * nearness
        return np.asarray(out)

    x, y, z = axis(0), axis(1), axis(2)
    if not isinstance(camera, ParallelCamera):
        scale = 1.0 / np.maximum(axis(3), 1e-7)
        x *= scale
        y *= scale
        z *= scale
    return x, y, z


def _texels(
    texture: Float32,
    material: NDArray[np.int32],
    camera: AnyCamera,
    nearness: Float32,
    points: tuple[Float32, Float32, Float32],
) -> NDArray[np.uint8]:
    """Texture factors of N pixels, [N, 4] (value / 128, the fourth is unused)."""
    x, y, z = points
    words, offsets = atlas()
    shift = np.float32(1 << 12)  # keeps the truncation below away from negative numbers
    per_m = np.float32(1.0 / TEXEL_M)
    u = texture[:, 0] * x + texture[:, 1] * y + texture[:, 2] * z + (texture[:, 3] + shift * 12.8)
    v = texture[:, 4] * x + texture[:, 5] * y + texture[:, 6] * z + (texture[:, 7] + shift * 12.8)
    u_px = (u * per_m).astype(np.int32)
    v_px = (v * per_m).astype(np.int32)
    if isinstance(camera, ParallelCamera):
        level: NDArray[np.int32] | int = int(
            np.clip(np.floor(np.log2(camera.gsd_m / TEXEL_M) + 0.7), 0, LEVELS - 1)
        )
    else:
        _, exponent = np.frexp(camera.texel_m(nearness) * np.float32(1.6 / TEXEL_M))
        level = np.clip(exponent - 1, 0, LEVELS - 1).astype(np.int32)
    mask = (TILE_PX >> level) - 1 if isinstance(level, int) else (TILE_PX >> level) - np.int32(1)
    u_px >>= level
    u_px &= mask
    v_px >>= level
    v_px &= mask
    v_px *= mask + 1
    index = offsets[material * LEVELS + level]
    index += v_px
    index += u_px
    return words[index].view(np.uint8).reshape(-1, 4)


def _noise(seed: int, x: Float32, y: Float32, texel_m: float, shift_m: float) -> Float32:
    """Smooth stains of the town at world points, [H, W]."""
    scale = np.float32(1.0 / texel_m)
    period = np.float32(NOISE_PX)
    columns = np.mod((x + np.float32(shift_m)) * scale, period)
    rows = np.mod((y - np.float32(shift_m)) * scale, period)
    noise = ground_noise(seed)
    return np.asarray(cv2.remap(noise, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def shade(
    solids: Solids,
    seed: int,
    raster: Raster,
    camera: AnyCamera,
    appearance: Appearance,
    colours: Palette,
    sun: Sun,
    shadows: ShadowMap | None,
) -> Float32:
    """Linear RGB [H, W, 3] of a rasterised view."""
    shape = raster.face.shape
    x, y, z = world_points(camera, raster.nearness)
    face_count, sphere_count = len(solids.material), len(solids.sphere_m)
    # One table row per face, per sphere, and a last one for open land (NO_FACE = -1).
    table = np.zeros((face_count + sphere_count + 1, 16), np.float32)
    material = np.full(len(table), int(Material.GRASS), np.int32)
    material[:face_count] = solids.material
    material[face_count:-1] = solids.sphere_material
    tint = np.ones((len(table), 3), np.float32)
    tint[:face_count] = solids.tint
    tint[face_count:-1] = solids.sphere_tint
    table[:face_count, 0:8] = solids.texture
    table[face_count:, 0:8] = (1, 0, 0.7, 0, 0, 1, 0.7, 0)
    table[:, 8:11] = colours.base[material] * tint
    light = np.array(sun.direction, np.float32)
    normal = solids.plane[:, :3].astype(np.float32)
    table[:, 11] = light[2]
    table[:face_count, 11] = np.maximum(normal @ light, 0)
    table[:, 12] = 1.0
    table[:face_count, 12] = 0.5 + 0.5 * normal[:, 2]
    table[:, 13] = colours.stain[material]
    table[:, 14] = colours.mottle[material]
    upward = np.ones(len(table), np.float32)
    upward[:face_count] = np.clip(normal[:, 2] * 2 - 0.6, 0, 1)
    table[:, 15] = colours.snow_hold[material] * upward

    flat_face = raster.face.ravel()
    points = (x.ravel(), y.ravel(), z.ravel())
    per_pixel = table[flat_face]  # [N, 16]
    direct, ambient = per_pixel[:, 11].copy(), per_pixel[:, 12].copy()
    crowns = np.flatnonzero(flat_face >= face_count)
    if len(crowns):
        ball = solids.sphere_m[flat_face[crowns] - face_count].astype(np.float32)
        nx = (points[0][crowns] - ball[:, 0]) / ball[:, 3]
        ny = (points[1][crowns] - ball[:, 1]) / ball[:, 3]
        nz = (points[2][crowns] - ball[:, 2]) / ball[:, 3]
        direct[crowns] = np.maximum(nx * light[0] + ny * light[1] + nz * light[2], 0) * 0.8 + 0.08
        ambient[crowns] = 0.55 + 0.4 * np.clip(nz, -1, 1)
    if shadows is not None and appearance.sunshine > 0:
        direct *= 1.0 - 0.94 * shadows.shaded(x, y, z).ravel().astype(np.float32)

    texel = _texels(per_pixel[:, 0:8], material[flat_face], camera, raster.nearness.ravel(), points)
    fine = _noise(seed, x, y, 0.6, 0.0).ravel()
    broad = _noise(seed, x, y, 3.7, 131.0).ravel()
    common = (1.0 + per_pixel[:, 13] * fine) * np.float32(1 / 128)
    mottle = per_pixel[:, 14] * np.clip(broad, -2, 2)
    out = np.empty((flat_face.size, 3), np.float32)
    turn = (0.14, 0.02, -0.06)
    snow = None
    if appearance.season is Season.SNOW:
        snow = np.clip((per_pixel[:, 15] * 1.5 + 0.25 * fine + 0.2 * broad - 0.35) * 3, 0, 1)
        snow *= per_pixel[:, 15] > 0
    for channel in range(3):
        colour = per_pixel[:, 8 + channel] * texel[:, channel]
        colour *= common
        colour *= 1.0 + np.float32(turn[channel]) * mottle
        if snow is not None:
            colour += snow * (_SNOW_RGB[channel] * (1 + 0.03 * fine) - colour)
        colour *= np.float32(sun.direct_rgb[channel]) * direct + (
            np.float32(sun.sky_rgb[channel]) * ambient
        )
        out[:, channel] = colour
    out = np.maximum(out, 0.0).reshape(*shape, 3)
    if not isinstance(camera, ParallelCamera):
        _add_sky(out, raster.nearness, camera.up_m)
    return out


def _add_sky(picture: Float32, nearness: Float32, up_m: float) -> None:
    """Blend far ground into the sky, in place: nothing is drawn beyond the horizon."""
    near, far = 500.0 + 2 * up_m, 2500.0 + 6 * up_m
    if float(nearness.min()) > 1 / near:
        return
    veil = np.clip((1 / near - nearness) / (1 / near - 1 / far), 0, 1)[..., None]
    picture += veil * (_SKY_RGB - picture)
