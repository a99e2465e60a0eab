"""Pictures of one ground by a camera that drifts, turns and climbs."""

from __future__ import annotations

import cv2
import numpy as np

from edge.types import Frame

GROUND = cv2.GaussianBlur(
    np.random.default_rng(4).integers(0, 256, (900, 1200, 3), dtype=np.uint8), (0, 0), 2.5
)
GROUND = cv2.normalize(GROUND, None, 0, 255, cv2.NORM_MINMAX)


def seen_by(to_ground, index, time_s=0.0):
    """What a camera sees whose pixels lie on the ground by this homography."""
    image = cv2.warpPerspective(
        GROUND, to_ground, (640, 480), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    return Frame(image, index, time_s, "live")


def camera(step):
    """A camera that drifts, turns and climbs."""
    angle, zoom = np.radians(1.5 * step), 0.9 + 0.01 * step
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    shift = np.array([[1, 0, 300 + 9.0 * step], [0, 1, 200 - 5.0 * step], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, 1, 0], [1e-5 * step, 0, 1]])
    return shift @ turn @ np.diag([zoom, zoom, 1.0]) @ tilt
