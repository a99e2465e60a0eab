"""A drawn town from above: enough corners for local features, the same every time."""

from __future__ import annotations

import cv2
import numpy as np


def draw_town(seed: int, side_px: int = 512):
    """Streets, houses and trees on mottled ground. -> uint8 [side, side, 3]."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(80, 130, (side_px // 16, side_px // 16, 3)).astype(np.float32)
    town = cv2.resize(ground, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    for _ in range(5):
        ends = rng.integers(0, side_px, (2, 2))
        cv2.line(town, ends[0].tolist(), ends[1].tolist(), (150, 150, 155), 9)
    for _ in range(side_px * side_px // 1400):
        centre = rng.uniform(0, side_px, 2)
        size = rng.uniform(8, 26, 2)
        box = cv2.boxPoints((centre.tolist(), size.tolist(), float(rng.uniform(0, 90))))
        colour = rng.uniform(30, 230, 3).tolist()
        cv2.fillPoly(town, [np.round(box + 3).astype(np.int32)], (40, 40, 40))
        cv2.fillPoly(town, [np.round(box).astype(np.int32)], colour)
    for _ in range(side_px * side_px // 900):
        at = rng.integers(0, side_px, 2).tolist()
        cv2.circle(town, at, int(rng.integers(1, 4)), rng.uniform(20, 120, 3).tolist(), -1)
    town += rng.normal(0, 3, town.shape)
    return np.clip(town, 0, 255).astype(np.uint8)


def photograph(town, to_window, size_px):
    """What a camera with the homography frame -> window sees, a little darker. Corners count."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    matrix = np.linalg.inv(half) @ to_window @ half
    seen = cv2.warpPerspective(
        town, matrix, size_px, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=(0, 0, 0)
    )
    return np.clip(seen.astype(np.float32) * 0.85 + 10, 0, 255).astype(np.uint8)


def view(yaw_deg: float, scale: float, centre_px, size_px, tilt: float = 0.0):
    """Homography frame -> window of a camera at a bearing, looking at `centre_px`."""
    cosine = scale * np.cos(np.radians(yaw_deg))
    sine = scale * np.sin(np.radians(yaw_deg))
    to_middle = np.array([[1, 0, -size_px[0] / 2], [0, 1, -size_px[1] / 2], [0, 0, 1.0]])
    oblique = np.array([[1, 0, 0], [0, 1, 0], [0, tilt, 1.0]])
    turn = np.array([[cosine, -sine, centre_px[0]], [sine, cosine, centre_px[1]], [0, 0, 1.0]])
    return turn @ oblique @ to_middle
