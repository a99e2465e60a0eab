"""Which rotations and zooms of a frame are worth trying against a window, and in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edge.types import Float64, FramePose, ReferenceFeature

WORKING_SIDE_PX = 640  # frames are reduced to this longer side before anything else
YAW_STEP_DEG = 45.0  # XFeat bears half of it
KNOWN_SHIFT = 1.3  # how far beside a known zoom the second round looks
# Window pixels per pixel of a frame of 640 px, likely ones first; each reaches a factor of 1.35.
SCALES_640 = (0.36, 0.2, 0.65, 1.2)
_YAW_ORDER = (0, 4, 2, 6, 1, 5, 3, 7)  # spread out: neighbours see almost the same


@dataclass(frozen=True, slots=True)
class PoseHypothesis:
    """A rotation and a zoom of the frame; where it lies in the window is left to the matches."""

    yaw_deg: float  # clockwise from north to the top of the frame
    scale: float  # window pixels per frame pixel

    def matrix(self) -> Float64:
        """The turn and zoom as [3, 3], frame pixels -> window pixels up to a shift."""
        cosine = math.cos(math.radians(self.yaw_deg)) * self.scale
        sine = math.sin(math.radians(self.yaw_deg)) * self.scale
        return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def window_gsd_m(feature: ReferenceFeature) -> float | None:
    """Ground size of a window pixel at its centre; None for a map without a position."""
    if feature.geometry is None:
        return None
    centre = np.array([[feature.width_px / 2.0, feature.height_px / 2.0]])
    return float(feature.geometry.metres_per_px(centre).mean())


def pose_hypotheses(
    pose: FramePose, frame_size_px: tuple[int, int], gsd_m: float | None, *, shifted: bool = False
) -> Iterator[PoseHypothesis]:
    """Hypotheses in the order of trial: one if telemetry knows yaw and zoom, at most 32.

    Args:
        pose: yaw and ground sampling distance are used where known.
        frame_size_px: width, height of the frame.
        gsd_m: ground size of a window pixel; None: the frame's own cannot be used.
        shifted: half a step of yaw between those of the first round (or a little to either side of
            a known yaw and zoom), for a second round.
    """
    if pose.gsd_m is not None and gsd_m is not None and pose.gsd_m > 0 and gsd_m > 0:
        scales: tuple[float, ...] = (pose.gsd_m / gsd_m,)
        if shifted:
            scales = scales[0] * KNOWN_SHIFT, scales[0] / KNOWN_SHIFT
    else:
        scales = tuple(s * WORKING_SIDE_PX / max(frame_size_px) for s in SCALES_640)
    half = YAW_STEP_DEG / 2.0 if shifted else 0.0
    if pose.yaw_deg is None:
        yaws = tuple(k * YAW_STEP_DEG + half for k in _YAW_ORDER)
    else:
        yaws = (pose.yaw_deg - half, pose.yaw_deg + half) if shifted else (pose.yaw_deg,)
    for scale in scales:
        for yaw in yaws:
            yield PoseHypothesis(yaw, scale)
