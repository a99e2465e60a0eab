"""Tileable surface textures with mip levels, all in one flat atlas.

A tile is 256 x 256 texels of 0.05 m (12.8 m), RGB factors around 1.0 stored as value / 128. The
renderer multiplies them with the colour of the face. They are the same for every town: what makes
two houses differ is their colour, their place in the tile and the stains of `ground_noise`.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

TILE_PX = 256
TEXEL_M = 0.05
LEVELS = 6  # 256, 128, ... 8 px
NOISE_PX = 1024


class Material(IntEnum):
    """What a face is made of: the row of the atlas, and the row of the season's palette."""

    PLASTER = 0
    GRASS = 1
    CROP = 2
    SOIL = 3
    ASPHALT = 4
    PAVING = 5
    GRAVEL = 6
    ROOF_TILE = 7
    ROOF_METAL = 8
    ROOF_FLAT = 9
    FACADE_HOUSE = 10
    FACADE_BLOCK = 11
    FACADE_HALL = 12
    BRICK = 13
    WATER = 14
    SOLAR = 15
    BROADLEAF = 16
    CONIFER = 17
    PAINT = 18
    LACQUER = 19
    GLASS = 20
    POOL = 21
    WOOD = 22
    COURT = 23
    HEDGE = 24


def fractal(rng: np.random.Generator, size_px: int, slope: float) -> Float32:
    """Tileable noise with amplitude spectrum 1 / frequency**slope, mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((size_px, size_px)))
    fy = np.fft.fftfreq(size_px)[:, None] * size_px
    fx = np.fft.rfftfreq(size_px)[None, :] * size_px
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    spectrum /= radius**slope
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, s=(size_px, size_px))
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


def _grid(period_u_m: float, period_v_m: float) -> tuple[Float32, Float32]:
    """Phase 0 to 1 within each period, along u (columns) and v (rows); periods divide 12.8 m."""
    axis = (np.arange(TILE_PX, dtype=np.float32) + 0.5) * TEXEL_M
    return np.meshgrid((axis / period_u_m) % 1.0, (axis / period_v_m) % 1.0)


def _windows(
    rng: np.random.Generator, columns: int, floors: int, wide: float, tall: float, glass: float
) -> tuple[Float32, Float32]:
    """Mask of window panes and of their frames for a façade tile, [256, 256] each."""
    u, v = _grid(12.8 / columns, 12.8 / floors)
    frame = (abs(u - 0.5) < wide / 2 + 0.06) & (abs(v - 0.52) < tall / 2 + 0.05)
    pane = (abs(u - 0.5) < wide / 2) & (abs(v - 0.52) < tall / 2) & (abs(u - 0.5) > 0.012)
    tone = rng.uniform(glass * 0.5, glass * 1.8, (floors, columns)).astype(np.float32)
    tone = np.kron(tone, np.ones((TILE_PX // floors, TILE_PX // columns), np.float32))
    return pane.astype(np.float32) * tone, (frame & ~pane).astype(np.float32)


def _tile(material: Material, rng: np.random.Generator) -> Float32:
    """One tile as linear factors, [256, 256, 3]."""
    fine, mid = fractal(rng, TILE_PX, 0.4), fractal(rng, TILE_PX, 1.1)
    grey = np.ones((TILE_PX, TILE_PX), np.float32)
    rgb = np.ones((TILE_PX, TILE_PX, 3), np.float32)
    if material in (Material.GRASS, Material.HEDGE):
        grey += 0.13 * fine + 0.16 * mid
        rgb += 0.06 * fractal(rng, TILE_PX, 1.3)[..., None] * np.float32([1.0, 0.1, -0.4])
    elif material in (Material.BROADLEAF, Material.CONIFER):
        grey += 0.20 * fine + 0.28 * mid
    elif material is Material.CROP:
        u, _ = _grid(0.8, 0.8)
        grey += 0.22 * np.cos(2 * np.pi * u) + 0.10 * fine + 0.10 * mid
    elif material is Material.SOIL:
        grey += 0.10 * fine + 0.16 * mid
    elif material is Material.ASPHALT:
        grey += 0.06 * fine + 0.06 * mid
        cracks = np.abs(fractal(rng, TILE_PX, 1.6)) < 0.012
        grey[cracks] *= 0.6
    elif material is Material.PAVING:
        u, v = _grid(0.4, 0.8)
        stones = rng.normal(1.0, 0.10, (16, 32)).astype(np.float32)
        grey = np.kron(stones, np.ones((16, 8), np.float32)) + 0.05 * fine + 0.05 * mid
        grey[(u < 0.13) | (v < 0.07)] *= 0.72
    elif material is Material.GRAVEL:
        grey += 0.22 * fine + 0.08 * mid
    elif material is Material.ROOF_TILE:
        u, v = _grid(0.2, 0.32)
        single = rng.normal(1.0, 0.10, (40, 64)).astype(np.float32)
        rows = (np.arange(TILE_PX) * 40) // TILE_PX
        columns = (np.arange(TILE_PX) * 64) // TILE_PX
        grey = single[rows][:, columns] * (0.80 + 0.3 * v) * (0.92 + 0.12 * np.sin(np.pi * u))
        grey += 0.09 * mid
    elif material is Material.ROOF_METAL:
        u, _ = _grid(0.64, 0.64)
        grey += 0.05 * mid + 0.02 * fine
        grey[:, :] *= 0.94 + 0.10 * (np.abs(u - 0.5) < 0.38)
        sheets = rng.normal(1.0, 0.04, (2, 8)).astype(np.float32)
        grey *= np.kron(sheets, np.ones((128, 32), np.float32))
    elif material is Material.ROOF_FLAT:
        u, v = _grid(1.6, 6.4)
        grey += 0.05 * fine + 0.10 * mid
        grey[(u < 0.05) | (v < 0.01)] *= 0.78
        grey -= 0.22 * np.clip(fractal(rng, TILE_PX, 1.8) - 0.9, 0, 1)
    elif material in (Material.FACADE_HOUSE, Material.FACADE_BLOCK):
        house = material is Material.FACADE_HOUSE
        pane, frame = _windows(
            rng, 4, 4, 0.36 if house else 0.62, 0.46 if house else 0.55, 0.16 if house else 0.24
        )
        wall = grey + 0.04 * mid + 0.02 * fine
        wall = np.where(frame > 0, 1.35 if house else 0.8, wall)
        rgb = np.where((pane > 0)[..., None], pane[..., None] * np.float32([0.8, 1, 1.2]), 1.0)
        rgb = (rgb * np.where(pane > 0, 1.0, wall)[..., None]).astype(np.float32)
        grey = np.ones_like(grey)
    elif material is Material.FACADE_HALL:
        u, v = _grid(0.4, 12.8)
        grey = 0.92 + 0.10 * np.sin(2 * np.pi * u) + 0.05 * mid
        grey[(v > 0.62) & (v < 0.74)] *= 0.45
        door, _ = _grid(6.4, 6.4)
        grey[(np.abs(door - 0.5) < 0.26) & (v < 0.32)] *= 0.62
    elif material is Material.BRICK:
        _, v = _grid(0.2, 0.1)
        grey += 0.06 * fine + 0.10 * mid - 0.12 * (v < 0.25)
    elif material in (Material.WATER, Material.POOL):
        grey += 0.05 * fine + 0.07 * mid
    elif material is Material.SOLAR:
        u, v = _grid(0.8, 1.6)
        grey[(u < 0.06) | (v < 0.04)] = 3.2
        grey += 0.06 * mid
    elif material is Material.PAINT:
        grey += 0.05 * mid - 0.30 * (fine + mid > 2.4)
    elif material is Material.WOOD:
        _, v = _grid(0.2, 0.2)
        grey += 0.09 * mid - 0.35 * (v < 0.2)
    elif material is Material.COURT:
        grey += 0.04 * fine + 0.06 * mid
    else:  # plaster, lacquer, glass
        grey += 0.03 * mid
    return np.asarray(rgb * grey[..., None], np.float32)


def _pack(tile: Float32) -> NDArray[np.uint32]:
    """RGB factors to one 32-bit word per texel (R lowest), flattened."""
    words = np.zeros((*tile.shape[:2], 4), np.uint8)
    words[..., :3] = np.clip(tile * 128.0 + 0.5, 0, 255)
    return words.view(np.uint32).ravel()


@lru_cache(maxsize=1)
def atlas() -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """All tiles: packed texels [T], and offsets [materials * LEVELS] of each mip level in them."""
    rng = np.random.default_rng(20240611)
    words: list[NDArray[np.uint32]] = []
    offsets: list[int] = []
    total = 0
    for material in Material:
        level = _tile(material, rng)
        for _ in range(LEVELS):
            packed = _pack(level)
            words.append(packed)
            offsets.append(total)
            total += len(packed)
            half = level.shape[0] // 2
            level = level.reshape(half, 2, half, 2, 3).mean(axis=(1, 3), dtype=np.float32)
    return np.concatenate(words), np.array(offsets, np.int32)


@lru_cache(maxsize=8)
def ground_noise(seed: int) -> Float32:
    """Large-scale stains of one town, tileable [1024, 1024] at 0.6 m (614 m), deviation about 1."""
    rng = np.random.default_rng([seed, 77])
    noise = 0.65 * fractal(rng, NOISE_PX, 1.15) + 0.5 * fractal(rng, NOISE_PX, 0.5)
    return np.asarray(noise, np.float32)
