"""Made-up things pasted onto an orthophoto, so that a head learns the extent of anything.

Buildings are all that the outlines of a mosaic name, but operators also click on cars, slabs,
tanks, tables, planters, heaps and stacks. A prop lies flat, so both views show the same thing; its
shadow falls where the picture's made-up sun sends it and does not belong to its box.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.datasets.prop_drawing import KINDS, Canvas, Kind, random_colour

MOST_SHADOW_PX = 24.0
Polygon = NDArray[np.float64]


def scatter(
    image: NDArray[np.uint8],
    outlines: tuple[Polygon, ...],
    gsd_m: float,
    rng: np.random.Generator,
    per_hectare: float,
) -> tuple[NDArray[np.uint8], tuple[Polygon, ...]]:
    """Paste props where no outline is.

    Args:
        image: [H, W, 3] RGB; not changed.
        outlines: [K, 2] pixels each; props keep off their bounding boxes.
        gsd_m: ground size of a pixel.
        rng: source of all chance.
        per_hectare: how many.

    Returns:
        The picture with props, and their outlines.
    """
    out = image.copy()
    height, width = image.shape[:2]
    boxes = [np.r_[o.min(0), o.max(0)] for o in outlines]
    taken = np.array(boxes, np.float64).reshape(-1, 4)
    count = int(per_hectare * height * width * gsd_m**2 / 1e4)
    angle = rng.uniform(0, 2 * np.pi)
    sun = np.array([np.cos(angle), np.sin(angle)])
    shares = np.array([kind.share for kind in KINDS])
    props: list[Polygon] = []
    for _ in range(count):
        kind = KINDS[rng.choice(len(KINDS), p=shares)]
        size_px = float(np.exp(rng.uniform(*np.log(kind.size_m)))) / gsd_m
        if 2 * size_px >= min(height, width):
            continue
        centre = rng.uniform(size_px, np.array([width, height]) - size_px)
        box = np.r_[centre - 0.7 * size_px, centre + 0.7 * size_px]
        if ((box[:2] < taken[:, 2:]) & (taken[:, :2] < box[2:])).all(1).any():
            continue
        taken = np.vstack([taken, box])
        props.append(_draw(out, kind, centre, size_px, sun, rng))
    return out, tuple(props)


def _draw(
    image: NDArray[np.uint8],
    kind: Kind,
    centre: NDArray[np.float64],
    size_px: float,
    sun: NDArray[np.float64],
    rng: np.random.Generator,
) -> Polygon:
    """Draw one prop in place; its outline [K, 2] in pixels of the picture."""
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    x1, y1 = np.floor(centre - size_px).astype(int).clip(0)
    x2, y2 = np.ceil(centre + size_px).astype(int)
    piece = image[y1:y2, x1:x2].astype(np.float32)
    canvas = Canvas(piece, np.array([x1, y1]), np.c_[rotation * size_px, centre])
    unit = kind.outline(rng)
    outline = canvas.place(unit)
    shadow = canvas.mask(outline + sun * min(size_px * rng.uniform(0, 0.15), MOST_SHADOW_PX))
    piece *= 1 - np.float32(rng.uniform(0.2, 0.6)) * shadow
    ground = piece.copy()
    body = _material(image, piece.shape[:2], rng)
    canvas.fill(unit, body)
    kind.inside(canvas, rng)
    inside = canvas.mask(outline)  # details must not leave the outline
    piece[:] = ground + inside * (piece - ground)
    if rng.random() < 0.4:  # lit from one side
        ramp = np.linspace(-1, 1, piece.shape[1], dtype=np.float32)[None, :, None]
        piece *= 1 + inside * ramp * np.float32(rng.uniform(-0.4, 0.4))
    image[y1:y2, x1:x2] = np.clip(piece, 0, 255).astype(np.uint8)
    return outline


def _material(
    image: NDArray[np.uint8], size_hw: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float32]:
    """A grainy colour, or ground copied from elsewhere, lighter or darker. -> [h, w, 3]."""
    height, width = size_hw
    colour = random_colour(rng)
    if rng.random() < 0.35:
        y = int(rng.integers(0, image.shape[0] - height + 1))
        x = int(rng.integers(0, image.shape[1] - width + 1))
        copied = image[y : y + height, x : x + width].astype(np.float32)
        return copied * np.float32(rng.uniform(0.5, 1.2)) + 0.3 * (colour - copied)
    grain = rng.normal(0, rng.uniform(2, 18), (height, width, 1)).astype(np.float32)
    return colour + grain
