"""Built-up uses of a block: slabs of flats, halls with car parks, old street fronts."""

from __future__ import annotations

import math

import numpy as np

from training.scenes.building import Wing, add_building, random_skin
from training.scenes.frame import GroundFrame
from training.scenes.plots import lot_frames
from training.scenes.roofing import box
from training.scenes.season import Rgb, linear
from training.scenes.solids import Sketch
from training.scenes.streets import WHITE, Block
from training.scenes.textures import Material
from training.scenes.things import (
    add_car,
    add_tank,
    add_tree,
    add_truck,
)
from training.scenes.warp import Warp


def block_frame(warp: Warp, block: Block) -> tuple[GroundFrame, float, float]:
    """A frame at the block's middle along its longer side, and half its length and width."""
    u, v = (block.u0 + block.u1) / 2, (block.v0 + block.v1) / 2
    wide, tall = block.u1 - block.u0, block.v1 - block.v0
    heading = (1.0, 0.0) if wide >= tall else (0.0, 1.0)
    frame = warp.frame(u, v, heading)
    along = max(wide, tall) * warp.stretch(u, v, heading, max(wide, tall))
    side = min(wide, tall) * warp.stretch(u, v, (heading[1], heading[0]), min(wide, tall))
    return frame, along / 2 - 2.0, side / 2 - 2.0


def _parking(
    sketch: Sketch,
    rng: np.random.Generator,
    frame: GroundFrame,
    a0: float,
    a1: float,
    b0: float,
    b1: float,
) -> None:
    """A car park with marked stalls; a0 to a1 is its length."""
    dark = float(rng.uniform(0.7, 1.1))
    area = frame.rectangle(a0, a1, b0, b1)
    sketch.ground(area, Material.ASPHALT, (dark, dark, dark), 6, frame.angle_rad)
    rows = max(1, int((b1 - b0) // 16.5))
    full = float(rng.uniform(0.2, 0.8))
    for row in range(rows):
        base = b0 + row * (b1 - b0) / rows + 0.4
        for edge, way in ((base, 1.0), (base + (b1 - b0) / rows - 5.8, -1.0)):
            if edge + 5 > b1 or (way < 0 and edge < base + 5.5):
                continue
            for a in np.arange(a0 + 1, a1 - 2.5, 2.6):
                strip = frame.rectangle(a - 0.06, a + 0.06, edge, edge + 5)
                sketch.ground(strip, Material.PAINT, WHITE, 7, frame.angle_rad)
                if rng.random() < full:
                    turn = math.pi / 2 * (1 if rng.random() < 0.5 else -1)
                    add_car(sketch, rng, frame.moved(a + 1.3, edge + 2.5, turn))


def flats(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """Slabs of flats in a lawn, with a car park between them."""
    frame, half, side = block_frame(warp, block)
    storeys = int(rng.integers(3, 8))
    deep = float(rng.uniform(11, 15))
    skin = random_skin(rng, True, Material.FACADE_BLOCK)
    count = max(1, int(2 * half // 46))
    step = 2 * half / count
    for i in range(count):
        a = -half + (i + 0.5) * step
        for sign in (-1, 1):
            b = sign * (side - deep / 2 - 1)
            if sign > 0 and 2 * side < 2 * deep + 10:
                continue
            length = step * float(rng.uniform(0.62, 0.85))
            wing = Wing(
                a - length / 2,
                a + length / 2,
                b - deep / 2,
                b + deep / 2,
                3.0 * storeys,
                0.0,
                "flat",
                True,
                0.0,
            )
            add_building(sketch, rng, frame, [wing], skin)
        gap = side - deep - 5
        if gap > 5:
            _parking(sketch, rng, frame, a - step * 0.3, a + step * 0.3, -min(gap, 9), min(gap, 9))
        path = frame.rectangle(a + step * 0.46, a + step * 0.49, -side - 2, side + 2)
        sketch.ground(path, Material.PAVING, (0.9, 0.9, 0.9), 6, frame.angle_rad)
    for a in np.arange(-half, half, 11):
        if rng.random() < 0.4:
            add_tree(
                sketch, rng, frame.at(a, float(rng.uniform(-1, 1))), float(rng.uniform(1.5, 3.2))
            )


def halls(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """Industry or shops: large low buildings, a yard, a car park, trucks, tanks."""
    frame, half, side = block_frame(warp, block)
    tone = float(rng.uniform(0.7, 1.2))
    yard = frame.rectangle(-half, half, -side, side)
    cover = Material.ASPHALT if rng.random() < 0.6 else Material.GRAVEL
    sketch.ground(yard, cover, (tone, tone, tone), 6, frame.angle_rad)
    count = max(1, round(2 * half / 65))
    step = 2 * half / count
    for i in range(count):
        a = -half + (i + 0.5) * step
        length = float(min(step * rng.uniform(0.55, 0.85), 60))
        deep = float(min(2 * side * rng.uniform(0.4, 0.62), 40))
        skin = random_skin(rng, rng.random() < 0.5, Material.FACADE_HALL, metal=0.85)
        low = skin.roof is not Material.ROOF_FLAT
        roof = "gable" if low else "flat"
        height = float(rng.uniform(5, 9))
        b0 = side - deep - 1
        wings = [
            Wing(
                a - length / 2,
                a + length / 2,
                b0,
                b0 + deep,
                height,
                deep / 2 * 0.2 if low else 0.0,
                roof,
                True,
                0.3,
            )
        ]
        if rng.random() < 0.6:
            office = float(rng.uniform(8, 14))
            wings.append(
                Wing(
                    a - length / 2,
                    a - length / 2 + office,
                    b0 - 7,
                    b0 + 0.2,
                    height * 0.7,
                    0.0,
                    "flat",
                    True,
                    0.0,
                )
            )
        add_building(sketch, rng, frame, wings, skin)
        if b0 - 8 + side > 7:
            _parking(
                sketch,
                rng,
                frame,
                a - step * 0.4,
                a + step * 0.4,
                -side + 1,
                min(b0 - 9, -side + 34),
            )
        for _ in range(int(rng.integers(0, 4))):
            spot = frame.moved(
                a + float(rng.uniform(-0.4, 0.4)) * step,
                b0 - 4.5,
                float(rng.choice([0, math.pi / 2])),
            )
            add_truck(sketch, rng, spot)
        if rng.random() < 0.25:
            add_tank(sketch, rng, frame.at(a + length / 2 + 8, b0 + 8))
        for _ in range(int(rng.integers(0, 9))):  # pallets and containers
            pa = a + float(rng.uniform(-0.5, 0.5)) * step
            pb = float(rng.uniform(-side + 2, max(b0 - 9.5, -side + 3)))
            sketch.begin_part()
            colour: Rgb = linear(*(int(c) for c in rng.integers(60, 220, 3)))
            own = frame.moved(pa, pb, float(rng.choice([0, math.pi / 2])))
            box(
                sketch,
                own,
                (-3, 3, -1.2, 1.2, 0, 2.6),
                (Material.ROOF_METAL, colour),
                (Material.ROOF_METAL, colour),
                -1,
            )


def old_town(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """Closed street fronts around a paved courtyard; a car park where that is large."""
    frame, half, side = block_frame(warp, block)
    area = warp.strip(block.u0, block.u1, block.v0, block.v1)
    tone = float(rng.uniform(0.6, 1.1))
    sketch.ground(area, Material.PAVING, (tone, tone, tone), 1, frame.angle_rad)
    if side > 30:
        _parking(sketch, rng, frame, -half + 20, half - 20, -side + 24, side - 24)
    for lot, width, depth in lot_frames(rng, warp, block, 13.0, 40.0):
        deep = float(min(rng.uniform(10, 14), depth - 1))
        skin = random_skin(rng, rng.random() < 0.2, Material.FACADE_BLOCK, 0.05)
        flat = skin.roof is Material.ROOF_FLAT
        eave = float(rng.uniform(6, 13))
        rise = 0.0 if flat else deep / 2 * float(rng.uniform(0.6, 0.9))
        wing = Wing(
            -width / 2 + 0.1,
            width / 2 - 0.1,
            0.5,
            0.5 + deep,
            eave,
            rise,
            "flat" if flat else "gable",
            True,
            0.05,
        )
        wings = [wing]
        if depth - deep > 7 and rng.random() < 0.6:
            wings.append(
                Wing(
                    -width / 2 + 0.4,
                    0.0,
                    deep - 0.5,
                    min(depth - 1, deep + 7),
                    eave * 0.6,
                    0.0,
                    "flat",
                    True,
                    0.0,
                )
            )
        add_building(sketch, rng, lot, wings, skin)
        if rng.random() < 0.4 and depth - deep > 8:
            add_tree(sketch, rng, lot.at(width * 0.3, depth - 2.5), float(rng.uniform(1.4, 2.8)))
