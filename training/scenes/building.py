"""Buildings: wings with flat, gable, hip or mono-pitch roofs, façades."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.frame import GroundFrame
from training.scenes.roofing import furnish_flat_roof, furnish_pitched_roof
from training.scenes.season import Rgb, linear
from training.scenes.solids import Sketch
from training.scenes.textures import Material

Float64 = NDArray[np.float64]

ROOF_COLOURS = tuple(
    linear(*c)
    for c in (
        (172, 92, 66),
        (150, 78, 60),
        (184, 110, 80),
        (120, 72, 62),
        (92, 84, 82),
        (70, 72, 78),
        (110, 104, 98),
        (132, 120, 106),
        (60, 58, 60),
        (146, 134, 122),
    )
)
FLAT_COLOURS = tuple(
    linear(*c)
    for c in [(168, 166, 162), (130, 130, 130), (204, 202, 198), (108, 106, 104), (184, 172, 152)]
)
METAL_COLOURS = tuple(
    linear(*c)
    for c in [(178, 184, 190), (120, 132, 146), (150, 92, 80), (96, 120, 104), (206, 206, 202)]
)
WALL_COLOURS = tuple(
    linear(*c)
    for c in (
        (232, 226, 214),
        (220, 204, 170),
        (206, 186, 150),
        (212, 212, 212),
        (186, 120, 96),
        (156, 98, 80),
        (196, 196, 182),
        (222, 188, 160),
        (170, 180, 188),
    )
)


@dataclass(frozen=True, slots=True)
class Wing:
    """One rectangular part of a building, in the building's frame."""

    a0: float
    a1: float
    b0: float
    b1: float
    eave_m: float
    rise_m: float  # ridge above the eave, 0 for a flat roof
    roof: str  # flat, gable, hip, mono
    along_a: bool = True  # direction of the ridge
    overhang_m: float = 0.4


@dataclass(frozen=True, slots=True)
class Skin:
    """Materials and colours of a building."""

    roof: Material
    roof_tint: Rgb
    wall: Material
    wall_tint: Rgb


def random_skin(rng: np.random.Generator, flat: bool, wall: Material, metal: float = 0.12) -> Skin:
    """Colours for one building, each a little off the palette."""

    def pick(colours: tuple[Rgb, ...]) -> Rgb:
        base = colours[int(rng.integers(len(colours)))]
        common = float(np.exp(rng.normal(0, 0.16)))
        r, g, b = (np.array(base) * common * np.exp(rng.normal(0, 0.05, 3))).tolist()
        return min(r, 0.9), min(g, 0.9), min(b, 0.9)

    if flat:
        roof, tint = Material.ROOF_FLAT, pick(FLAT_COLOURS)
    elif rng.random() < metal:
        roof, tint = Material.ROOF_METAL, pick(METAL_COLOURS)
    else:
        roof, tint = Material.ROOF_TILE, pick(ROOF_COLOURS)
    return Skin(roof, tint, wall, pick(WALL_COLOURS))


def _scaled(tint: Rgb, factor: float) -> Rgb:
    return tint[0] * factor, tint[1] * factor, tint[2] * factor


def _walls(sketch: Sketch, frame: GroundFrame, wing: Wing, skin: Skin, owner: int) -> None:
    """Façades of a wing whose ridge runs along the frame's first axis."""
    h, rise = wing.eave_m, wing.rise_m
    a0, a1, b0, b1 = wing.a0, wing.a1, wing.b0, wing.b1
    middle = (b0 + b1) / 2
    back = h + rise if wing.roof == "mono" else h
    sides = [
        [(a0, b0, 0.0), (a1, b0, 0.0), (a1, b0, h), (a0, b0, h)],
        [(a1, b0, 0.0), (a1, b1, 0.0), (a1, b1, back), (a1, b0, h)],
        [(a1, b1, 0.0), (a0, b1, 0.0), (a0, b1, back), (a1, b1, back)],
        [(a0, b1, 0.0), (a0, b0, 0.0), (a0, b0, h), (a0, b1, back)],
    ]
    if wing.roof == "gable":
        sides[1].insert(3, (a1, middle, h + rise))
        sides[3].insert(3, (a0, middle, h + rise))
    floors = max(1, round(h / 3.0))
    for i, side in enumerate(sides):
        length = (a1 - a0) if i % 2 == 0 else (b1 - b0)
        windows = max(1, round(length / 3.2))
        repeat = (windows * 3.2 / length, floors * 3.2 / h)
        offset = (3.2 * ((owner * 7 + i * 3) % 4), 3.2 * ((owner * 5 + i) % 4))
        if skin.wall is Material.FACADE_HALL:
            repeat, offset = (windows * 3.2 / length, 12.8 / h), (offset[0], 0.0)
        tint = skin.wall_tint if i % 2 == 0 else _scaled(skin.wall_tint, 0.96)
        sketch.face(frame.solid(side), skin.wall, tint, owner, repeat, offset)


def _roof(
    sketch: Sketch, frame: GroundFrame, wing: Wing, skin: Skin, owner: int
) -> list[tuple[int, Float64]]:
    """Roof faces of a wing (ridge along the first axis): their indices and corners [4, 3]."""
    o = 0.0 if wing.roof == "flat" else wing.overhang_m
    h, rise = wing.eave_m, wing.rise_m
    a0, a1, b0, b1 = wing.a0 - o, wing.a1 + o, wing.b0 - o, wing.b1 + o
    middle, half = (b0 + b1) / 2, (wing.b1 - wing.b0) / 2
    shift = (owner * 1.7 % 12.8, owner * 2.9 % 12.8)
    out: list[tuple[int, Float64]] = []

    def add(corners: list[tuple[float, float, float]], factor: float = 1.0) -> None:
        world = frame.solid(corners)
        tint = _scaled(skin.roof_tint, factor)
        out.append((sketch.face(world, skin.roof, tint, owner, offset_uv=shift), world))

    if wing.roof == "flat":
        edge = min(0.5, 0.15 * min(a1 - a0, b1 - b0))
        rim = _scaled(skin.roof_tint, 1.35)
        ring = frame.solid([(a0, b0, h), (a1, b0, h), (a1, b1, h), (a0, b1, h)])
        sketch.face(
            ring, Material.PLASTER, (min(rim[0], 0.8), min(rim[1], 0.8), min(rim[2], 0.8)), owner
        )
        i0, i1, j0, j1 = a0 + edge, a1 - edge, b0 + edge, b1 - edge
        add([(i0, j0, h), (i1, j0, h), (i1, j1, h), (i0, j1, h)])
    elif wing.roof == "mono":
        slope = rise / (wing.b1 - wing.b0)
        low, high = h - o * slope, h + rise + o * slope
        add([(a0, b0, low), (a1, b0, low), (a1, b1, high), (a0, b1, high)])
    else:
        low, ridge = h - o * rise / half, h + rise
        inset = 0.0 if wing.roof == "gable" else min(half + o, (a1 - a0) / 2 - 0.05)
        r0, r1 = a0 + inset, a1 - inset
        add([(a0, b0, low), (a1, b0, low), (r1, middle, ridge), (r0, middle, ridge)])
        add([(a1, b1, low), (a0, b1, low), (r0, middle, ridge), (r1, middle, ridge)], 0.97)
        if wing.roof == "hip":
            add([(a1, b0, low), (a1, b1, low), (r1, middle, ridge)], 1.02)
            add([(a0, b1, low), (a0, b0, low), (r0, middle, ridge)], 1.02)
    return out


def add_building(
    sketch: Sketch,
    rng: np.random.Generator,
    frame: GroundFrame,
    wings: list[Wing],
    skin: Skin,
    kind: str = "building",
) -> int:
    """Add a building made of wings (the first is the largest); returns its object index."""
    outline: list[tuple[float, float]] = []
    for wing in wings:
        o = 0.0 if wing.roof == "flat" else wing.overhang_m
        outline += [(wing.a0 - o, wing.b0 - o), (wing.a1 + o, wing.b0 - o)]
        outline += [(wing.a1 + o, wing.b1 + o), (wing.a0 - o, wing.b1 + o)]
    top = max(wing.eave_m + wing.rise_m for wing in wings)
    hull = cv2.convexHull(frame.points(outline).astype(np.float32))[:, 0]
    owner = sketch.add_object(kind, hull, top, wings[0].eave_m)
    for number, wing in enumerate(wings):
        sketch.begin_part()
        turned, local = frame, wing
        if not wing.along_a:  # turn the frame so that the ridge runs along its first axis
            turned = frame.moved(0.0, 0.0, np.pi / 2)
            local = Wing(
                wing.b0,
                wing.b1,
                -wing.a1,
                -wing.a0,
                wing.eave_m,
                wing.rise_m,
                wing.roof,
                True,
                wing.overhang_m,
            )
        _walls(sketch, turned, local, skin, owner)
        faces = _roof(sketch, turned, local, skin, owner)
        extent = (local.a0, local.a1, local.b0, local.b1)
        if local.roof == "flat":
            furnish_flat_roof(sketch, rng, turned, extent, local.eave_m, owner)
        elif number == 0 and local.roof != "mono":
            ridge = local.eave_m + local.rise_m
            furnish_pitched_roof(sketch, rng, turned, extent, ridge, faces[:2], owner)
    return owner
