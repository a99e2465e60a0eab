"""Fit the factor of a bundle's error radius: 90 % of held-out errors inside the stated circles."""

from __future__ import annotations

import numpy as np

from edge.acceptance import FEATURES, AcceptanceModel
from edge.centre_spread import FittedSpread, fit_factor
from export.acceptance import Evidence
from training.models.lite import LiteOptions


def fit_radius_factor(held_out: Evidence, model: AcceptanceModel, options: LiteOptions) -> float:
    """`head.radius_factor` of a manifest, from held-out fixes that are accepted and right.

    Args:
        held_out: located by the head that blends.
        model: what accepts them.
        options: the three variances of the blend.

    Raises:
        DataError: too few such fixes.
    """
    aligned = held_out.features[:, FEATURES.index("aligned")] > 0
    needed = np.where(aligned, model.needed(True), model.needed(False))
    accepted = model.probability(held_out.features) >= needed
    chosen = held_out.right & held_out.present & accepted
    side = np.sqrt(held_out.area_px2[chosen])
    boxes = np.stack([0 * side, 0 * side, side, side], axis=1).astype(np.float32)
    variance = held_out.prior_var_px2[chosen]
    inv_var = np.where(np.isfinite(variance), 1 / variance, 0.0).astype(np.float32)
    plain = FittedSpread(options.click_var, options.centre_var, options.floor_var_px2, factor=1.0)
    return fit_factor(held_out.centre_error_px[chosen], plain.sigma_px(boxes, inv_var, 0.0))
