"""What stands between the buildings: trees, hedges, cars, trucks, pools, pitches, tanks."""

from __future__ import annotations

import math

import numpy as np

from training.scenes.frame import GroundFrame
from training.scenes.roofing import box
from training.scenes.season import Rgb, linear
from training.scenes.solids import Sketch
from training.scenes.textures import Material

CAR_COLOURS = tuple(
    linear(*c)
    for c in (
        (236, 236, 236),
        (206, 208, 212),
        (150, 152, 158),
        (92, 94, 100),
        (40, 42, 48),
        (160, 36, 36),
        (44, 70, 128),
        (96, 110, 90),
        (190, 160, 60),
        (232, 232, 228),
    )
)
_GLASS: Rgb = (0.03, 0.035, 0.045)


def add_tree(
    sketch: Sketch,
    rng: np.random.Generator,
    place: tuple[float, float],
    radius_m: float,
    conifer: bool = False,
) -> int:
    """A tree: a ball with smaller balls around it, or a cone of balls."""
    x, y = place
    tone = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, [0.16, 0.06, 0.1]))
    tint: Rgb = (float(tone[0]), float(tone[1]), float(tone[2]))
    material = Material.CONIFER if conifer else Material.BROADLEAF
    height = radius_m * (float(rng.uniform(2.8, 4.2)) if conifer else float(rng.uniform(1.9, 2.6)))
    angles = np.linspace(0, 2 * math.pi, 9)[:-1]
    ring = np.stack([x + radius_m * np.cos(angles), y + radius_m * np.sin(angles)], axis=1)
    owner = sketch.add_object("tree", ring, height)
    if conifer:
        for step in range(4):
            share = 1 - step / 4.2
            z = height * (0.18 + 0.23 * step)
            sketch.sphere((x, y, z), radius_m * share, material, tint, owner)
        return owner
    core = radius_m * 0.78
    sketch.sphere((x, y, height - core), core, material, tint, owner)
    turn = float(rng.uniform(0, 2 * math.pi))
    count = 6 if radius_m > 2.2 else 4
    for i in range(count):
        angle = turn + i * 2 * math.pi / count + float(rng.uniform(-0.3, 0.3))
        r = radius_m * float(rng.uniform(0.36, 0.54))
        away = radius_m - r
        z = height - core - float(rng.uniform(-0.35, 0.35)) * radius_m
        shade = float(rng.uniform(0.85, 1.15))
        tone3: Rgb = (tint[0] * shade, tint[1] * shade, tint[2] * shade)
        spot = (x + away * math.cos(angle), y + away * math.sin(angle), z)
        sketch.sphere(spot, r, material, tone3, owner)
    return owner


def add_hedge(
    sketch: Sketch,
    frame: GroundFrame,
    start: tuple[float, float],
    end: tuple[float, float],
    height_m: float,
    width_m: float,
    material: Material,
    tint: Rgb,
) -> None:
    """A hedge, fence or wall between two local points."""
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    if length < 0.5:
        return
    turn = math.atan2(end[1] - start[1], end[0] - start[0])
    own = frame.moved(start[0], start[1], turn)
    sketch.begin_part()
    half = width_m / 2
    box(sketch, own, (0, length, -half, half, 0, height_m), (material, tint), (material, tint), -1)


def add_car(sketch: Sketch, rng: np.random.Generator, frame: GroundFrame) -> int:
    """A car whose length runs along the frame's first axis."""
    paint = CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]
    half, side = float(rng.uniform(1.9, 2.4)), float(rng.uniform(0.84, 0.95))
    tall = float(rng.uniform(1.4, 1.8))
    owner = sketch.add_object("car", frame.rectangle(-half, half, -side, side), tall, 0.9)
    sketch.begin_part()
    lacquer = (Material.LACQUER, paint)
    box(sketch, frame, (-half, half, -side, side, 0.0, 0.9), lacquer, lacquer, owner)
    back, front = -half * float(rng.uniform(0.55, 0.95)), half * 0.42
    low = [(back, -side + 0.05), (front, -side + 0.05), (front, side - 0.05), (back, side - 0.05)]
    high = [
        (back + 0.35, -side + 0.2),
        (front - 0.7, -side + 0.2),
        (front - 0.7, side - 0.2),
        (back + 0.35, side - 0.2),
    ]
    for i in range(4):
        j = (i + 1) % 4
        corners = [(*low[i], 0.9), (*low[j], 0.9), (*high[j], tall), (*high[i], tall)]
        sketch.face(frame.solid(corners), Material.GLASS, _GLASS, owner)
    sketch.face(frame.solid([(*p, tall) for p in high]), Material.LACQUER, paint, owner)
    return owner


def add_truck(sketch: Sketch, rng: np.random.Generator, frame: GroundFrame) -> int:
    """A lorry: cab and load."""
    length = float(rng.uniform(7, 12))
    load = [linear(232, 232, 228), linear(60, 90, 150), linear(190, 60, 50), linear(200, 180, 120)]
    tint = load[int(rng.integers(4))]
    outline = frame.rectangle(-length / 2, length / 2, -1.25, 1.25)
    owner = sketch.add_object("truck", outline, 3.6)
    sketch.begin_part()
    cab = (Material.LACQUER, CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))])
    extent = (length / 2 - 2.0, length / 2, -1.2, 1.2, 0, 2.8)
    box(sketch, frame, extent, (Material.GLASS, (0.12, 0.12, 0.14)), cab, owner)
    sketch.begin_part()
    body = (Material.ROOF_METAL, tint)
    box(sketch, frame, (-length / 2, length / 2 - 2.3, -1.25, 1.25, 0, 3.6), body, body, owner)
    return owner


def add_pool(sketch: Sketch, rng: np.random.Generator, frame: GroundFrame) -> int:
    """A garden pool with its deck, centred on the frame."""
    half, side = float(rng.uniform(3.0, 5.5)), float(rng.uniform(1.6, 2.6))
    deck = frame.rectangle(-half - 1.3, half + 1.3, -side - 1.2, side + 1.2)
    pale = float(rng.uniform(0.75, 1.2))
    sketch.ground(deck, Material.PAVING, (pale, pale, pale), 8, frame.angle_rad)
    owner = sketch.add_object("pool", frame.rectangle(-half, half, -side, side), 0.0)
    oval = rng.random() < 0.3
    shape = frame.ellipse(0, 0, half, side) if oval else frame.rectangle(-half, half, -side, side)
    tone = float(rng.uniform(0.8, 1.2))
    sketch.ground(shape, Material.POOL, (tone, tone, tone), 9, frame.angle_rad, owner)
    return owner


def _line(
    sketch: Sketch,
    frame: GroundFrame,
    start: tuple[float, float],
    end: tuple[float, float],
    width_m: float,
    owner: int,
) -> None:
    turn = math.atan2(end[1] - start[1], end[0] - start[0])
    own = frame.moved(*start, turn)
    length = math.hypot(end[0] - start[0], end[1] - start[1])
    white = (0.8, 0.8, 0.78)
    strip = own.rectangle(0, length, -width_m / 2, width_m / 2)
    sketch.ground(strip, Material.PAINT, white, 10, own.angle_rad, owner)


def add_pitch(
    sketch: Sketch, rng: np.random.Generator, frame: GroundFrame, half: float, side: float
) -> int:
    """A sports field with its lines, centred on the frame."""
    owner = sketch.add_object("pitch", frame.rectangle(-half, half, -side, side), 0.0)
    court = half < 20
    colours = [linear(172, 92, 62), linear(70, 110, 150), linear(80, 130, 90), linear(96, 150, 84)]
    material, tint = (Material.COURT, colours[int(rng.integers(4))])
    if not court:
        material, tint = Material.GRASS, (0.9, 1.15, 0.85)
    outer = frame.rectangle(-half - 2, half + 2, -side - 2, side + 2)
    if court:
        sketch.ground(outer, Material.COURT, linear(96, 110, 90), 8, frame.angle_rad)
    area = frame.rectangle(-half, half, -side, side)
    sketch.ground(area, material, tint, 9, frame.angle_rad, owner)
    if not court:
        for i in range(0, 10, 2):  # mown stripes
            a = -half + i * half / 5
            strip = frame.rectangle(a, a + half / 5, -side, side)
            sketch.ground(strip, Material.GRASS, (0.78, 1.0, 0.72), 9, frame.angle_rad, owner)
    wide = 0.1 if court else 0.22
    ring = [(-half + 1, -side + 1), (half - 1, -side + 1), (half - 1, side - 1)]
    ring.append((-half + 1, side - 1))
    for i in range(4):
        _line(sketch, frame, ring[i], ring[(i + 1) % 4], wide, owner)
    _line(sketch, frame, (0, -side + 1), (0, side - 1), wide, owner)
    for sign in (-1, 1):
        box_a, box_b = half - 1 - half * 0.3, side * 0.55
        _line(sketch, frame, (sign * box_a, -box_b), (sign * box_a, box_b), wide, owner)
        for b in (-box_b, box_b):
            _line(sketch, frame, (sign * box_a, b), (sign * (half - 1), b), wide, owner)
    circle = frame.ellipse(0, 0, side * 0.25, side * 0.25, 20)
    for p, q in zip(circle, np.roll(circle, -1, axis=0), strict=True):
        world = GroundFrame(0.0, 0.0, 0.0)
        _line(sketch, world, (p[0], p[1]), (q[0], q[1]), wide, owner)
    return owner


def add_tank(sketch: Sketch, rng: np.random.Generator, place: tuple[float, float]) -> int:
    """A round storage tank or silo."""
    radius, height = float(rng.uniform(3, 8)), float(rng.uniform(4, 10))
    frame = GroundFrame(place[0], place[1], float(rng.uniform(0, 1)))
    ring = frame.ellipse(0, 0, radius, radius, 16)
    owner = sketch.add_object("tank", ring, height)
    tint = linear(214, 214, 208) if rng.random() < 0.7 else linear(150, 160, 150)
    sketch.begin_part()
    for p, q in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        corners = np.array([[*p, 0], [*q, 0], [*q, height], [*p, height]])
        sketch.face(corners, Material.ROOF_METAL, tint, owner)
    top = np.concatenate([ring, np.full((16, 1), height)], axis=1)
    sketch.face(top, Material.ROOF_FLAT, tint, owner)
    return owner
