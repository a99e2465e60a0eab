"""Fit the variances by which a box's centre and a prior are blended (`blend_centre` of `lite`)."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError
from export.acceptance import Evidence
from training.models.lite import LiteOptions

LEAST_SAMPLES = 50
FOUND_IOU = 0.1  # below it the head has found something else: not an error of its centre
LEAST_FLOOR_PX2 = 1.0
TRIMMED_SHARE = 0.05  # of the largest errors: a few boxes of a neighbour would rule the squares


def without_blending(options: LiteOptions) -> LiteOptions:
    """The options of a model whose centres are its own, to be fitted anew."""
    return dataclasses.replace(options, click_var=0.0, centre_var=0.0, floor_var_px2=0.0)


def fit_centre(evidence: Evidence, options: LiteOptions) -> LiteOptions:
    """Least squares of squared errors on box area, per axis, over clicks with a prior.

        head:  error^2 = centre_var area + floor_var
        prior: error^2 - sigma^2 = click_var area

    Args:
        evidence: located without blending (all three variances zero).
        options: of the model.

    Returns:
        The options with the three variances set.

    Raises:
        DataError: too few clicks, or evidence of a model that blends already.
    """
    if options.click_var or options.centre_var or options.floor_var_px2:
        raise DataError(
            "the centre variances cannot be fitted",
            expected="evidence of a model that does not blend",
            found=f"centre_var {options.centre_var}, floor_var_px2 {options.floor_var_px2}",
            do="collect it with `without_blending` of its options",
        )
    usable = evidence.with_prior & evidence.present & (evidence.iou > FOUND_IOU)
    usable &= np.isfinite(evidence.prior_error_px).all(1)
    if usable.sum() < LEAST_SAMPLES:
        raise DataError(
            "the centre variances cannot be fitted",
            expected=f"at least {LEAST_SAMPLES} clicks that were found",
            found=str(int(usable.sum())),
            do="give more samples with --fit-on",
        )
    area = evidence.area_px2[usable]
    head = (evidence.centre_error_px[usable] ** 2).mean(1)
    prior = (evidence.prior_error_px[usable] ** 2).mean(1)
    slope, floor = _line(area, head, through=None)
    click_var, _ = _line(area, prior, through=evidence.prior_var_px2[usable])
    return dataclasses.replace(
        options,
        click_var=max(click_var, 0.0),
        centre_var=max(slope, 0.0),
        floor_var_px2=max(floor, LEAST_FLOOR_PX2),
    )


def _line(
    area: NDArray[np.float64], square: NDArray[np.float64], through: NDArray[np.float64] | None
) -> tuple[float, float]:
    """Slope and offset of squared errors over area; `through` gives each point its own offset.

    Squared errors spread like their mean, so each equation is weighed by its own expected size.
    """
    kept = square <= np.quantile(square, 1 - TRIMMED_SHARE)
    x, y = area[kept], square[kept]
    weight = 1 / (x + x.mean() / 4)
    if through is not None:
        rest = y - through[kept]
        slope = (rest * weight) @ (x * weight) / ((x * weight) @ (x * weight))
        return float(slope), 0.0
    design = np.stack([x, np.ones(len(x))], 1) * weight[:, None]
    slope, offset = np.linalg.lstsq(design, y * weight, rcond=None)[0]
    return float(slope), float(offset)
