"""Blocks, and the things that sit on roofs: chimneys, solar panels, roof windows, plant."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.scenes.frame import GroundFrame
from training.scenes.season import Rgb, linear
from training.scenes.solids import Sketch
from training.scenes.textures import Material

Float64 = NDArray[np.float64]

_WHITE: Rgb = (1.0, 1.0, 1.0)
_DARK: Rgb = (0.05, 0.06, 0.08)


def box(
    sketch: Sketch,
    frame: GroundFrame,
    extent: tuple[float, float, float, float, float, float],
    side: tuple[Material, Rgb],
    top: tuple[Material, Rgb],
    owner: int,
) -> int:
    """Five faces of a block (a0, a1, b0, b1, z0, z1); returns the index of the top face."""
    a0, a1, b0, b1, z0, z1 = extent
    ring = [(a0, b0), (a1, b0), (a1, b1), (a0, b1)]
    for i in range(4):
        (pa, pb), (qa, qb) = ring[i], ring[(i + 1) % 4]
        corners = frame.solid([(pa, pb, z0), (qa, qb, z0), (qa, qb, z1), (pa, pb, z1)])
        sketch.face(corners, side[0], side[1], owner)
    corners = frame.solid([(a, b, z1) for a, b in ring])
    return sketch.face(corners, top[0], top[1], owner)


def _panel(
    sketch: Sketch,
    corners: Float64,
    face: int,
    u: tuple[float, float],
    v: tuple[float, float],
    material: Material,
    tint: Rgb,
    owner: int,
) -> None:
    """A flat thing on a roof face, between shares u of its eave and v of its slope."""
    origin, along, up = corners[0], corners[1] - corners[0], corners[-1] - corners[0]
    side = along / np.linalg.norm(along)
    up = up - side * (up @ side)
    normal = np.cross(side, up)
    lift = normal / np.linalg.norm(normal) * 0.08
    spots = [(u[0], v[0]), (u[1], v[0]), (u[1], v[1]), (u[0], v[1])]
    world = np.array([origin + along * s + up * t + lift for s, t in spots])
    sketch.face(world, material, tint, owner, parent=face)


def furnish_flat_roof(
    sketch: Sketch,
    rng: np.random.Generator,
    frame: GroundFrame,
    extent: tuple[float, float, float, float],
    height_m: float,
    owner: int,
) -> None:
    """Machines and skylights on a flat roof with the local extent (a0, a1, b0, b1)."""
    a0, a1, b0, b1 = extent
    if a1 - a0 < 6 or b1 - b0 < 6:
        return
    grey = float(rng.uniform(0.25, 0.6))
    side = (Material.PLASTER, (grey * 0.7, grey * 0.7, grey * 0.7))
    top = (Material.ROOF_METAL, (grey, grey, grey))
    for _ in range(int(rng.integers(0, 2 + int((a1 - a0) * (b1 - b0) / 90)))):
        la, lb = rng.uniform(0.4, 1.4, 2)
        a, b = rng.uniform(a0 + 2, a1 - 2), rng.uniform(b0 + 2, b1 - 2)
        upper = height_m + float(rng.uniform(0.4, 1.6))
        block = (a - la, a + la, b - lb, b + lb, height_m, upper)
        box(sketch, frame, block, side, top, owner)


def furnish_pitched_roof(
    sketch: Sketch,
    rng: np.random.Generator,
    frame: GroundFrame,
    extent: tuple[float, float, float, float],
    ridge_m: float,
    faces: list[tuple[int, Float64]],
    owner: int,
) -> None:
    """Solar panels, roof windows and a chimney; `faces` are the two slopes beside the ridge."""
    for face, corners in faces:
        if rng.random() > 0.5:
            continue
        eave = corners[1] - corners[0]
        hip = float((corners[3] - corners[0]) @ eave / (eave @ eave))  # 0 for a gable roof
        if rng.random() < 0.45:
            low = float(rng.uniform(0.12, 0.3))
            high = low + float(rng.uniform(0.35, 0.5))
            margin = hip * high + 0.06
            if margin > 0.38:
                continue
            start = float(rng.uniform(margin, 0.6 - margin / 3))
            span = (start, min(start + float(rng.uniform(0.18, 0.36)), 1 - margin))
            if span[1] - span[0] > 0.1:
                _panel(sketch, corners, face, span, (low, high), Material.SOLAR, _WHITE, owner)
        else:
            for u in rng.uniform(0.25, 0.7, int(rng.integers(1, 4))).tolist():
                if 0.6 * hip < u < 0.9 - 0.6 * hip:
                    span = (u, u + 0.06)
                    _panel(sketch, corners, face, span, (0.4, 0.6), Material.GLASS, _DARK, owner)
    if rng.random() < 0.75:
        a0, a1, b0, b1 = extent
        a = float(rng.uniform(a0 + (a1 - a0) * 0.4, a1 - (a1 - a0) * 0.4))
        b = (b0 + b1) / 2 + float(rng.choice([-0.7, 0.7]))
        tint = linear(150, 96, 78) if rng.random() < 0.6 else linear(190, 186, 180)
        block = (a - 0.4, a + 0.4, b - 0.35, b + 0.35, ridge_m - 0.9, ridge_m + 0.9)
        top = (Material.PLASTER, (0.06, 0.06, 0.06))
        box(sketch, frame, block, (Material.BRICK, tint), top, owner)
