"""What stands in a block: lots with houses and gardens, rows, slabs, halls, parks, fields."""

from __future__ import annotations

import math

import numpy as np

from training.scenes.building import Skin, Wing, add_building, random_skin
from training.scenes.frame import GroundFrame
from training.scenes.season import Rgb
from training.scenes.solids import Sketch
from training.scenes.streets import Block
from training.scenes.textures import Material
from training.scenes.things import add_car, add_hedge, add_pool, add_tree
from training.scenes.warp import Warp

_GREY: Rgb = (0.42, 0.41, 0.39)


def lot_frames(
    rng: np.random.Generator, warp: Warp, block: Block, width_m: float, depth_m: float
) -> list[tuple[GroundFrame, float, float]]:
    """Lots along the two long sides of a block: frame at the street, width and depth in metres.

    The frame's origin is the middle of the street edge, its first axis runs along the street and
    its second into the lot.
    """
    along_u = block.u1 - block.u0 >= block.v1 - block.v0
    low, high = (block.u0, block.u1) if along_u else (block.v0, block.v1)
    near, far = (block.v0, block.v1) if along_u else (block.u0, block.u1)
    depth = min((far - near) / 2, depth_m)
    lots: list[tuple[GroundFrame, float, float]] = []
    for side in (0, 1):
        at, start = (near if side == 0 else far), low + 1.0
        while high - start > 0.75 * width_m:
            width = width_m * float(rng.uniform(0.85, 1.25))
            if high - start - width < 0.75 * width_m:
                width = high - start - 1.0
            middle = start + width / 2
            uv = (middle, at) if along_u else (at, middle)
            # second axis = first turned left, and it must point into the block
            sign = 1.0 if (side == 0) == along_u else -1.0
            heading = (sign, 0.0) if along_u else (0.0, sign)
            frame = warp.frame(*uv, heading)
            stretch = warp.stretch(*uv, heading, width)
            inward = (0.0, 1.0 if side == 0 else -1.0) if along_u else (1.0 - 2 * side, 0.0)
            deep = warp.stretch(
                uv[0] + inward[0] * depth / 2, uv[1] + inward[1] * depth / 2, inward, depth
            )
            lots.append((frame, width * stretch, depth * deep))
            start += width
    return lots


def _garden(
    sketch: Sketch, rng: np.random.Generator, frame: GroundFrame, width: float, b0: float, b1: float
) -> None:
    """The back of a lot from depth b0 to b1: terrace, pool, shed, beds, path, trees."""
    half = width / 2
    spots: list[tuple[float, float]] = []
    if b1 - b0 > 4:
        number = 5 + int(width * (b1 - b0) / 70)
        area = rng.uniform((-half + 2, b0 + 2), (half - 2, b1 - 1), (number, 2))
        spots = [(float(a), float(b)) for a, b in area]
    pave = float(rng.uniform(0.6, 1.2))
    terrace = frame.rectangle(-3 + half * 0.2, 3 + half * 0.2, b0 - 0.5, b0 + rng.uniform(2, 4.5))
    material = Material.WOOD if rng.random() < 0.3 else Material.PAVING
    sketch.ground(terrace, material, (pave, pave, pave), 6, frame.angle_rad)
    if not spots:
        return
    if rng.random() < 0.16 and width > 15 and b1 - b0 > 9:
        a = float(rng.uniform(-half + 7, half - 7)) if half > 7 else 0.0
        b = float(rng.uniform(b0 + 4.5, b1 - 3))
        add_pool(sketch, rng, frame.moved(a, b, float(rng.choice([0.0, math.pi / 2, 0.2]))))
        spots = [s for s in spots if math.hypot(s[0] - a, s[1] - b) > 7]
    if spots and rng.random() < 0.4:
        a, b = spots.pop()
        small = Wing(a - 1.4, a + 1.4, b - 1.2, b + 1.2, 2.1, 0.8, "gable", True, 0.2)
        skin = Skin(Material.ROOF_FLAT, (0.2, 0.17, 0.15), Material.WOOD, (0.3, 0.22, 0.15))
        add_building(sketch, rng, frame, [small], skin, kind="shed")
    for _ in range(int(rng.integers(0, 3))):
        if not spots:
            break
        a, b = spots.pop()
        size = rng.uniform(0.8, 2.8, 2)
        bed = frame.rectangle(a - size[0], a + size[0], b - size[1] / 2, b + size[1] / 2)
        kind = Material.SOIL if rng.random() < 0.6 else Material.CROP
        tone = float(rng.uniform(0.5, 1.1))
        sketch.ground(bed, kind, (tone, tone, tone), 6, frame.angle_rad)
    if spots and rng.random() < 0.12:  # a trampoline
        a, b = spots.pop()
        sketch.ground(frame.ellipse(a, b, 1.9, 1.9), Material.PLASTER, (0.2, 0.3, 0.5), 7)
        sketch.ground(frame.ellipse(a, b, 1.5, 1.5), Material.PLASTER, (0.02, 0.02, 0.02), 7)
    for a, b in spots[: int(rng.integers(0, len(spots) + 1))]:
        radius = float(rng.uniform(1.0, 3.2))
        add_tree(sketch, rng, frame.at(a, b), radius, rng.random() < 0.2)


def _fence(
    sketch: Sketch, rng: np.random.Generator, frame: GroundFrame, half: float, depth: float
) -> None:
    """Hedges or fences along some sides of a lot."""
    tone = float(rng.uniform(0.8, 1.2))
    hedge = rng.random() < 0.55
    height, width = (1.5, 0.9) if hedge else (1.3, 0.15)
    material = Material.HEDGE if hedge else Material.WOOD
    for start, end in (
        ((half, 1), (half, depth)),
        ((-half, depth), (half, depth)),
        ((-half, 0.5), (-half * 0.3, 0.5)),
    ):
        if rng.random() < 0.5:
            add_hedge(sketch, frame, start, end, height, width, material, (tone, tone, tone))


def house_lot(
    sketch: Sketch, rng: np.random.Generator, frame: GroundFrame, width: float, depth: float
) -> None:
    """One detached house with its garden."""
    half = width / 2
    tone = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, [0.1, 0.05, 0.08]))
    grass: Rgb = (float(tone[0]), float(tone[1]), float(tone[2]))
    sketch.ground(frame.rectangle(-half, half, 0, depth), Material.GRASS, grass, 1, frame.angle_rad)
    setback = float(rng.uniform(2.5, min(8.0, depth * 0.3)))
    wide = float(np.clip(rng.uniform(0.5, 0.72) * width, 7.0, 18.0))
    deep = float(np.clip(rng.uniform(7.0, 12.0), 6.5, max(6.6, depth - setback - 2)))
    centre = float(rng.uniform(-1, 1)) * max(0.0, half - wide / 2 - 2.0)
    storeys = int(rng.choice([1, 2, 2, 3], p=[0.35, 0.3, 0.25, 0.1]))
    eave = 2.9 * storeys + float(rng.uniform(0.0, 0.9))
    roof = str(rng.choice(["gable", "hip", "flat", "mono"], p=[0.5, 0.3, 0.14, 0.06]))
    along = wide >= deep if rng.random() < 0.8 else wide < deep
    span = deep if along else wide
    rise = 0.0 if roof == "flat" else span / 2 * float(rng.uniform(0.45, 0.95))
    if roof == "mono":
        rise = span * 0.2
    skin = random_skin(rng, roof == "flat", Material.FACADE_HOUSE)
    a0, a1, b0, b1 = centre - wide / 2, centre + wide / 2, setback, setback + deep
    over = float(rng.uniform(0.25, 0.7))
    wings = [Wing(a0, a1, b0, b1, eave, rise, roof, along, over)]
    if rng.random() < 0.42 and depth - b1 > 5:
        reach, broad = float(rng.uniform(2.5, 5)), wide * float(rng.uniform(0.35, 0.5))
        left = a0 if rng.random() < 0.5 else a1 - broad
        low = eave if rng.random() < 0.6 else max(2.7, eave - 2.9)
        kind = roof if roof in ("flat", "gable") else "gable"
        up = 0.0 if kind == "flat" else min(broad / 2 * 0.8, rise)
        back = b1 - (0.3 if kind == "flat" else deep * 0.4)
        wings.append(Wing(left, left + broad, back, b1 + reach, low, up, kind, False, over))
        b1 += reach
    drive = half - 1.7 if centre <= 0 else -half + 1.7
    garage = rng.random() < 0.55 and min(abs(a1 - half), abs(a0 + half)) > 0.5
    if garage:
        inner, outer = (
            (a1, min(half - 0.3, a1 + 3.4)) if centre <= 0 else (max(-half + 0.3, a0 - 3.4), a0)
        )
        if outer - inner > 2.4:
            start = setback + float(rng.uniform(0, 3))
            wings.append(Wing(inner, outer, start, start + 6.0, 2.6, 0.0, "flat", True, 0.0))
            drive = (inner + outer) / 2
    add_building(sketch, rng, frame, wings, skin)
    pave = float(rng.uniform(0.55, 1.2))
    cover = (Material.PAVING, Material.ASPHALT, Material.GRAVEL)[int(rng.integers(3))]
    end = setback + float(rng.uniform(0.0, 6.0))
    sketch.ground(
        frame.rectangle(drive - 1.5, drive + 1.5, -0.5, end),
        cover,
        (pave, pave, pave),
        6,
        frame.angle_rad,
    )
    door = centre + float(rng.uniform(-0.3, 0.3)) * wide
    sketch.ground(
        frame.rectangle(door - 0.6, door + 0.6, -0.5, setback + 1),
        Material.PAVING,
        (pave, pave, pave),
        6,
        frame.angle_rad,
    )
    if rng.random() < 0.45 and setback > 4:
        add_car(sketch, rng, frame.moved(drive, max(2.4, setback - 2.5), math.pi / 2))
    _garden(sketch, rng, frame, width, b1, depth)
    _fence(sketch, rng, frame, half, depth)
    for _ in range(int(rng.integers(0, 3))):
        a = float(rng.uniform(-half + 1, half - 1))
        if abs(a - drive) > 2.4 and setback > 3:
            radius = float(rng.uniform(0.6, 1.6))
            place = frame.at(a, float(rng.uniform(1.0, setback - 1.2)))
            add_tree(sketch, rng, place, radius, rng.random() < 0.3)


def row_lot(
    sketch: Sketch,
    rng: np.random.Generator,
    frame: GroundFrame,
    width: float,
    depth: float,
    skin: Skin,
    eave: float,
    rise: float,
) -> None:
    """A terrace of narrow houses under one ridge; each house is its own object."""
    half, deep, setback = width / 2 - 1.0, 9.0, 3.0
    count = max(2, round(2 * half / 6.5))
    step = 2 * half / count
    sketch.ground(
        frame.rectangle(-width / 2, width / 2, 0, depth),
        Material.GRASS,
        (1.0, 1.0, 1.0),
        1,
        frame.angle_rad,
    )
    for i in range(count):
        a0 = -half + i * step
        tone = float(np.exp(rng.normal(0, 0.12)))
        r, g, b = skin.roof_tint
        own = random_skin(rng, False, Material.FACADE_HOUSE)
        tint = own.roof_tint if rng.random() < 0.25 else (r * tone, g * tone, b * tone)
        house = Skin(skin.roof, tint, Material.FACADE_HOUSE, own.wall_tint)
        lift = float(rng.choice([0.0, 0.0, 0.4, -0.4]))
        wing = Wing(a0, a0 + step, setback, setback + deep, eave + lift, rise, "gable", True, 0.02)
        add_building(sketch, rng, frame, [wing], house)
        pave = float(rng.uniform(0.5, 1.2))
        sketch.ground(
            frame.rectangle(a0 + 0.4, a0 + 2.2, -0.4, setback),
            Material.PAVING,
            (pave, pave, pave),
            6,
            frame.angle_rad,
        )
        own_frame = frame.moved(a0 + step / 2, 0.0)
        _garden(sketch, rng, own_frame, step, setback + deep, depth)
        add_hedge(sketch, frame, (a0, setback + deep), (a0, depth), 1.4, 0.15, Material.WOOD, _GREY)
