"""Frame alignment of rendered samples, as telemetry would let it run in flight."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.alignment import Aligner, Alignment
from edge.pose_search import PoseHypothesis
from edge.types import Prior, ReferenceFeature
from training.datasets.sample import PairSample

YAW_NOISE_DEG = 8.0
SCALE_NOISE = 0.12  # of the logarithm
BORDER_SPREAD = 12.0  # grey levels within a row of letterbox border, after JPEG


def align(
    aligner: Aligner, sample: PairSample, feature: ReferenceFeature, rng: np.random.Generator
) -> Prior:
    """The prior that frame alignment gives the clicks of a sample; `Prior.none` where it fails.

    Yaw and scale are what the sample's geometry says, off by noise; where the window shows another
    place, or too few clicks tell the geometry, they are drawn at random.
    """
    top = border_rows(sample.frame)
    picture = np.ascontiguousarray(sample.frame[top : len(sample.frame) - top])
    found = aligner.attempt(picture, feature, _hypothesis(sample, rng))
    if not isinstance(found, Alignment):
        return Prior.none(len(sample.present))
    return found.prior(sample.click_xy_px - np.array([0, top], np.float32))


def border_rows(frame: NDArray[np.uint8]) -> int:
    """Height of the letterbox border above (and below) the picture; 0 without one."""
    flat = np.ptp(frame.astype(np.float32), axis=1).max(1) < BORDER_SPREAD  # [H]
    height = len(frame)
    rows = int(np.argmin(flat)) if not flat.all() else 0
    return rows if rows and flat[height - rows :].all() else 0


def _hypothesis(sample: PairSample, rng: np.random.Generator) -> PoseHypothesis:
    yaw_deg, scale = float(rng.uniform(0, 360)), float(np.exp(rng.uniform(np.log(0.3), 0.3)))
    known = np.isfinite(sample.expected_xy_px).all(1)
    if known.sum() >= 3:
        affine, _ = cv2.estimateAffinePartial2D(
            sample.click_xy_px[known], sample.expected_xy_px[known], method=cv2.LMEDS
        )
        if affine is not None:
            # a frame's top, (0, -1), points along minus the second column; north is (0, -1) too
            yaw_deg = float(np.degrees(np.arctan2(-affine[0, 1], affine[1, 1])))
            scale = float(np.hypot(affine[0, 0], affine[1, 0]))
    return PoseHypothesis(
        yaw_deg + float(rng.normal(0, YAW_NOISE_DEG)),
        scale * float(np.exp(rng.normal(0, SCALE_NOISE))),
    )
