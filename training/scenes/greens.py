"""Green uses of a block: parks, forests, sports grounds, fields, farms."""

from __future__ import annotations

import math

import numpy as np

from training.scenes.blocks import block_frame
from training.scenes.building import Wing, add_building, random_skin
from training.scenes.frame import GroundFrame
from training.scenes.season import Rgb
from training.scenes.solids import Sketch
from training.scenes.streets import Block
from training.scenes.textures import Material
from training.scenes.things import (
    add_car,
    add_hedge,
    add_pitch,
    add_tank,
    add_tree,
)
from training.scenes.warp import Warp


def _trees(
    sketch: Sketch,
    rng: np.random.Generator,
    frame: GroundFrame,
    half: float,
    side: float,
    count: int,
    large: float = 4.0,
) -> None:
    for a, b in rng.uniform((-half, -side), (half, side), (count, 2)).tolist():
        conifer = rng.random() < 0.15
        add_tree(sketch, rng, frame.at(a, b), float(rng.uniform(1.5, large)), conifer)


def park(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """Lawn, trees, bending paths, perhaps a pond."""
    frame, half, side = block_frame(warp, block)
    lawn = warp.strip(block.u0, block.u1, block.v0, block.v1)
    sketch.ground(lawn, Material.GRASS, (0.85, 1.0, 0.8), 1, frame.angle_rad)
    pond = rng.random() < 0.45
    if pond:
        angles = np.linspace(0, 2 * math.pi, 29)[:-1]
        lobes = 1 + 0.22 * np.sin(2 * angles + rng.uniform(0, 6)) + 0.1 * np.sin(5 * angles)
        shore = [
            (half * 0.45 * r * math.cos(t), side * 0.5 * r * math.sin(t))
            for r, t in zip(lobes, angles, strict=True)
        ]
        sketch.ground(
            frame.points([(a * 1.06, b * 1.06) for a, b in shore]),
            Material.SOIL,
            (0.8, 0.8, 0.7),
            6,
        )
        sketch.ground(frame.points(shore), Material.WATER, (1.0, 1.0, 1.0), 7)
    for _ in range(int(rng.integers(2, 5))):
        bend = float(rng.uniform(-0.5, 0.5)) * side
        ends = rng.uniform(-1, 1, 2) * side
        a = np.linspace(-half - 1, half + 1, 18)
        b = np.interp(a, [-half, half], ends) + bend * np.cos(a / half * math.pi / 2)
        wide = float(rng.uniform(0.8, 1.4))
        left = [(float(x), float(y) + wide) for x, y in zip(a, b, strict=True)]
        right = [(float(x), float(y) - wide) for x, y in zip(a[::-1], b[::-1], strict=True)]
        sketch.ground(frame.points(left + right), Material.GRAVEL, (1.0, 0.97, 0.9), 6)
    _trees(sketch, rng, frame, half, side, int(4 * half * side / 190), 5.0)


def forest(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """Dense trees."""
    frame, half, side = block_frame(warp, block)
    lawn = warp.strip(block.u0, block.u1, block.v0, block.v1)
    sketch.ground(lawn, Material.SOIL, (0.45, 0.45, 0.36), 1, frame.angle_rad)
    conifer = rng.random() < 0.4
    for a in np.arange(-half, half, 5.2):
        for b in np.arange(-side, side, 5.2):
            if rng.random() < 0.85:
                place = frame.at(*(np.array([a, b]) + rng.uniform(-1.8, 1.8, 2)).tolist())
                own = conifer != (rng.random() < 0.12)
                add_tree(sketch, rng, place, float(rng.uniform(2.2, 4.2)), own)


def sports(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """A football field with courts, a club house and a car park where they fit."""
    frame, half, side = block_frame(warp, block)
    lawn = warp.strip(block.u0, block.u1, block.v0, block.v1)
    sketch.ground(lawn, Material.GRASS, (0.95, 1.0, 0.85), 1, frame.angle_rad)
    field = (min(50.0, half * 0.62), min(32.0, side * 0.8))
    add_pitch(sketch, rng, frame.moved(-half + field[0] + 3, 0), *field)
    start = -half + 2 * field[0] + 10
    for b in np.arange(-side + 10, side - 8, 18):
        if start + 26 < half:
            add_pitch(sketch, rng, frame.moved(start + 13, float(b)), 11.9, 5.5)
    if half - start > 10 and start + 26 >= half:
        skin = random_skin(rng, True, Material.FACADE_HOUSE)
        wing = Wing(start, min(half, start + 16), -8, 2, 4.0, 0.0, "flat", True, 0.0)
        add_building(sketch, rng, frame, [wing], skin)
    for a in np.arange(-half, half, 9):
        for b in (-side, side):
            if rng.random() < 0.5:
                add_tree(sketch, rng, frame.at(float(a), b), float(rng.uniform(1.5, 3.5)))


def field(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """Farmland: strips of crops, grass and soil with wheel tracks."""
    frame, half, side = block_frame(warp, block)
    start = -side - 2
    while start < side:
        wide = float(rng.uniform(14, 45))
        tone = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, [0.07, 0.05, 0.07]))
        tint: Rgb = (float(tone[0]), float(tone[1]), float(tone[2]))
        kind = (Material.CROP, Material.CROP, Material.GRASS, Material.SOIL)[int(rng.integers(4))]
        end = min(start + wide, side + 2)
        turn = frame.angle_rad + float(rng.choice([0.0, math.pi / 2]))
        strip = frame.rectangle(-half - 2, half + 2, start, end)
        sketch.ground(strip, kind, tint, 1, turn)
        for b in np.arange(start + 3, end - 2, 9.0):
            for wheel in (0.0, 1.7):
                track = frame.rectangle(-half, half, b + wheel, b + wheel + 0.35)
                sketch.ground(track, Material.SOIL, (0.85, 0.85, 0.8), 6, turn)
        if rng.random() < 0.3:
            add_hedge(
                sketch, frame, (-half, end), (half, end), 1.6, 1.4, Material.HEDGE, (1.0, 1.0, 1.0)
            )
        start = end
    _trees(sketch, rng, frame, half, side, int(rng.integers(0, 6)), 5.0)


def farm(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    """A farmyard with barns, among fields."""
    field(sketch, rng, warp, block)
    frame, half, side = block_frame(warp, block)
    yard = frame.ellipse(0, 0, min(34, half), min(26, side), 11)
    sketch.ground(yard, Material.GRAVEL, (0.9, 0.88, 0.8), 7)
    sketch.ground(frame.rectangle(-2, 2, -side - 4, 0), Material.GRAVEL, (0.9, 0.88, 0.8), 7)
    places = [(-14.0, 10.0), (14.0, 12.0), (0.0, -14.0), (-22.0, -8.0)]
    for a, b in places[: int(rng.integers(2, 5))]:
        barn = rng.random() < 0.6
        long, deep = (float(rng.uniform(14, 26)), 11.0) if barn else (12.0, 9.0)
        skin = random_skin(rng, False, Material.FACADE_HALL if barn else Material.FACADE_HOUSE, 0.5)
        own = frame.moved(a, b, float(rng.choice([0.0, math.pi / 2])) + float(rng.normal(0, 0.05)))
        wing = Wing(-long / 2, long / 2, -deep / 2, deep / 2, 4.5, 3.0, "gable", True, 0.5)
        add_building(sketch, rng, own, [wing], skin)
    if rng.random() < 0.5:
        add_tank(sketch, rng, frame.at(26, -6))
    add_car(sketch, rng, frame.moved(4, 0, float(rng.uniform(0, 6))))
    _trees(sketch, rng, frame, min(half, 40), min(side, 32), 4)
