"""Small made-up things pasted onto an orthophoto, so that a head learns the extent of anything.

Buildings are all that the outlines of a mosaic name, but operators also click on cars, slabs,
tanks, tables and planters. A prop is a disc or a rectangle of 1.2 to 8 m with colours and grain of
its own and a shadow; it lies flat, so both views show the same thing.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE_M = (1.2, 8.0)
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
    taken = [np.r_[o.min(0), o.max(0)] for o in outlines]
    count = int(per_hectare * height * width * gsd_m**2 / 1e4)
    props: list[Polygon] = []
    for _ in range(count):
        size_px = float(np.exp(rng.uniform(*np.log(SIZE_M)))) / gsd_m
        centre = rng.uniform(size_px, np.array([width, height]) - size_px)
        box = np.r_[centre - 0.7 * size_px, centre + 0.7 * size_px]
        if any((box[:2] < t[2:]).all() and (t[:2] < box[2:]).all() for t in taken):
            continue
        taken.append(box)
        props.append(_draw(out, centre, size_px, rng))
    return out, tuple(props)


def _draw(
    image: NDArray[np.uint8], centre: NDArray[np.float64], size_px: float, rng: np.random.Generator
) -> Polygon:
    """Draw one prop in place; its outline [K, 2]."""
    turn = rng.uniform(0, np.pi)
    axes = np.array([1.0, rng.uniform(0.35, 1.0)]) * size_px / 2
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if rng.random() < 0.5:
        angle = np.linspace(0, 2 * np.pi, 25)
        outline = np.stack([np.cos(angle), np.sin(angle)], 1)
    else:
        outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * 0.9
    outline = (outline * axes) @ rotation.T + centre
    x1, y1 = np.floor(centre - size_px).astype(int).clip(0)
    x2, y2 = np.ceil(centre + size_px).astype(int)
    patch = image[y1:y2, x1:x2].astype(np.float32)
    corner = np.array([x1, y1])

    def mask(points: NDArray[np.float64]) -> NDArray[np.float32]:
        filled = np.zeros(patch.shape[:2], np.float32)
        fixed = np.round((points - corner) * 16).astype(np.int32)
        cv2.fillPoly(filled, [fixed], 1.0, lineType=cv2.LINE_AA, shift=4)
        return filled[..., None]

    shadow = mask(outline + rng.uniform(-0.12, 0.12, 2) * size_px)
    patch *= 1 - 0.5 * shadow
    grain = rng.normal(0, rng.uniform(2, 18), patch.shape).astype(np.float32)
    body = mask(outline)
    patch += body * (rng.uniform(20, 250, 3) + grain - patch)
    if rng.random() < 0.6:  # a lid, a hole, a roof hatch: something inside
        inner = mask((outline - centre) * rng.uniform(0.25, 0.75) + centre)
        patch += inner * (rng.uniform(20, 250, 3) - patch)
    image[y1:y2, x1:x2] = np.clip(patch, 0, 255).astype(np.uint8)
    return outline
