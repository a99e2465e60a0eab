"""The street plan: the town's square is split by roads again and again until blocks remain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from training.scenes.season import Rgb
from training.scenes.solids import Sketch
from training.scenes.textures import Material
from training.scenes.things import add_car, add_tree, add_truck
from training.scenes.warp import Warp

WHITE: Rgb = (0.72, 0.72, 0.70)


@dataclass(frozen=True, slots=True)
class Block:
    """A plan rectangle between roads."""

    u0: float
    u1: float
    v0: float
    v1: float


@dataclass(frozen=True, slots=True)
class Road:
    """A straight road of the plan; `across` is True where it runs along v."""

    across: bool
    at: float  # its u where it runs along v, else its v
    low: float
    high: float
    width_m: float
    level: int

    def uv(self, along: float, side: float) -> tuple[float, float]:
        """Plan position `along` the road, `side` metres to its left or right."""
        return (self.at + side, along) if self.across else (along, self.at + side)

    def rectangle(self, a0: float, a1: float, s0: float, s1: float) -> tuple[float, ...]:
        """Plan rectangle u0, u1, v0, v1 of a piece of the road."""
        if self.across:
            return self.at + s0, self.at + s1, a0, a1
        return a0, a1, self.at + s0, self.at + s1


def split(
    rng: np.random.Generator, block: Block, target_m: tuple[float, float], level: int = 0
) -> tuple[list[Road], list[Block]]:
    """Split a block into roads and blocks of about `target_m` (short, long side)."""
    wide, tall = block.u1 - block.u0, block.v1 - block.v0
    short, long = target_m[0] * rng.uniform(0.8, 1.2), target_m[1] * rng.uniform(0.8, 1.25)
    lengthwise, crosswise = max(wide, tall) / long, min(wide, tall) / short
    if max(lengthwise, crosswise) < 1.5:
        return [], [block]
    across = (wide > tall) == (lengthwise >= crosswise)
    extent = wide if across else tall
    width = (9.5, 8.0, 6.5, 6.0, 5.5)[min(level, 4)]
    share = rng.uniform(0.36, 0.64)
    at = (block.u0 if across else block.v0) + extent * share
    half = width / 2 + 2.0  # kerb and footway
    if across:
        road = Road(True, at, block.v0, block.v1, width, level)
        first = Block(block.u0, at - half, block.v0, block.v1)
        second = Block(at + half, block.u1, block.v0, block.v1)
    else:
        road = Road(False, at, block.u0, block.u1, width, level)
        first = Block(block.u0, block.u1, block.v0, at - half)
        second = Block(block.u0, block.u1, at + half, block.v1)
    roads, blocks = [road], []
    for part in (first, second):
        more, rest = split(rng, part, target_m, level + 1)
        roads += more
        blocks += rest
    return roads, blocks


def pave(sketch: Sketch, rng: np.random.Generator, warp: Warp, road: Road) -> None:
    """Draw one road: footways, asphalt with patches and manholes, lane marks, zebra crossings."""
    half, low, high = road.width_m / 2, road.low - 4.0, road.high + 4.0
    angle = warp.angle_rad + (math.pi / 2 if road.across else 0.0)
    pale, dark = float(rng.uniform(0.7, 1.15)), float(rng.uniform(0.7, 1.25))
    foot = warp.strip(*road.rectangle(road.low - 2, road.high + 2, -half - 2, half + 2))
    sketch.ground(foot, Material.PAVING, (pale, pale, pale), 2, angle)
    if rng.random() < 0.5:  # a green verge between footway and asphalt
        verge = warp.strip(*road.rectangle(road.low, road.high, -half - 0.9, half + 0.9))
        sketch.ground(verge, Material.GRASS, (0.9, 1.0, 0.8), 2, angle)
    else:
        kerb = warp.strip(*road.rectangle(road.low, road.high, -half - 0.25, half + 0.25))
        sketch.ground(kerb, Material.PLASTER, (0.5, 0.5, 0.48), 2, angle)
    asphalt = warp.strip(*road.rectangle(low, high, -half, half))
    sketch.ground(asphalt, Material.ASPHALT, (dark, dark, dark), 3, angle)
    length = road.high - road.low
    for _ in range(int(length / 22)):
        a, s = rng.uniform(road.low, road.high), rng.uniform(-half + 0.5, half - 1)
        tone = dark * float(rng.choice([0.7, 0.82, 1.2]))
        size = (float(rng.uniform(1, 9)), float(rng.uniform(0.8, 2.4)))
        patch = warp.strip(*road.rectangle(a, a + size[0], s, min(s + size[1], half)))
        sketch.ground(patch, Material.ASPHALT, (tone, tone, tone), 4, angle)
        if rng.random() < 0.5:
            frame = warp.frame(*road.uv(a + 12, s * 0.4), (1.0, 0.0))
            disc = frame.ellipse(0, 0, 0.4, 0.4, 8)
            sketch.ground(disc, Material.PLASTER, (0.05, 0.05, 0.05), 5)
    begin, end = road.low + 3.5, road.high - 3.5
    if road.level <= 2 and rng.random() < 0.8:
        for a in np.arange(begin, end - 3, 7.5):
            dash = warp.strip(*road.rectangle(a, a + 3.4, -0.09, 0.09))
            sketch.ground(dash, Material.PAINT, WHITE, 5, angle)
    if road.level <= 1:
        for side in (-half + 0.35, half - 0.5):
            edge = warp.strip(*road.rectangle(begin, end, side, side + 0.15))
            sketch.ground(edge, Material.PAINT, WHITE, 5, angle)
    for a in (begin + 2, end - 5):
        if rng.random() < 0.45:
            for s in np.arange(-half + 0.4, half - 0.5, 1.0):
                bar = warp.strip(*road.rectangle(a, a + 3, s, s + 0.5))
                sketch.ground(bar, Material.PAINT, WHITE, 5, angle)
        elif rng.random() < 0.5:
            bar = warp.strip(*road.rectangle(a, a + 0.5, -half + 0.3, -0.2))
            sketch.ground(bar, Material.PAINT, WHITE, 5, angle)


def leave_town(sketch: Sketch, warp: Warp, road: Road, reach_m: float) -> None:
    """Carry a road that meets the town's edge on into the open land, as plain asphalt."""
    if road.level > 3:
        return
    half = road.width_m / 2
    angle = warp.angle_rad + (math.pi / 2 if road.across else 0.0)
    for end, far in ((road.low, -reach_m - 500), (road.high, reach_m + 500)):
        if abs(abs(end) - reach_m) < 1.0:
            low, high = min(end, far), max(end, far)
            verge = warp.strip(*road.rectangle(low, high, -half - 1.5, half + 1.5), 30.0)
            sketch.ground(verge, Material.GRASS, (0.9, 0.95, 0.85), 2, angle)
            strip = warp.strip(*road.rectangle(low, high, -half, half), 30.0)
            sketch.ground(strip, Material.ASPHALT, (0.95, 0.95, 0.95), 3, angle)


def furnish(sketch: Sketch, rng: np.random.Generator, warp: Warp, road: Road) -> None:
    """Put trees, parked cars and traffic on a road."""
    half = road.width_m / 2
    heading = (0.0, 1.0) if road.across else (1.0, 0.0)
    if rng.random() < 0.4:
        gap, conifer = float(rng.uniform(9, 18)), rng.random() < 0.1
        for side in (-half - 1.3, half + 1.3):
            for a in np.arange(road.low + 6, road.high - 6, gap):
                if rng.random() < 0.75:
                    frame = warp.frame(*road.uv(a + rng.uniform(-1, 1), side), heading)
                    place = (frame.east_m, frame.north_m)
                    add_tree(sketch, rng, place, float(rng.uniform(1.3, 3.0)), conifer)
    parked = float(rng.choice([0.05, 0.2, 0.5]))
    for side in (-half + 1.05, half - 1.05):
        if road.width_m < 6.2 and side < 0:
            continue
        for a in np.arange(road.low + 9, road.high - 9, 6.2):
            if rng.random() < parked:
                frame = warp.frame(*road.uv(a + rng.uniform(-0.5, 0.5), side), heading)
                add_car(sketch, rng, frame.moved(0, 0, math.pi * int(rng.integers(2))))
    for a in np.arange(road.low + 12, road.high - 12, 30.0):
        if rng.random() < 0.22 and road.level <= 2:
            side, turn = (0.9, math.pi) if rng.random() < 0.5 else (-0.9, 0.0)
            frame = warp.frame(*road.uv(a + rng.uniform(-8, 8), side), heading)
            vehicle = add_truck if rng.random() < 0.12 else add_car
            vehicle(sketch, rng, frame.moved(0, 0, turn))
