"""Fitting the acceptance model, choosing its threshold, and judging both on held-out fixes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.acceptance import FEATURES, AcceptanceModel, sigmoid
from edge.errors import DataError
from edge.manifest import AcceptanceSpec
from edge.types import Bool, Float64

RIDGE = 1.0  # on weights of standardised features, against a sum of log-losses: weak, never zero
MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class AcceptanceFit:
    """A fitted model and what it does on held-out fixes at its threshold."""

    model: AcceptanceModel
    wrong_rate_target: float
    wrong_rate: float  # wrong among the accepted; 0 where none is accepted
    accepted_share: float
    expected_calibration_error: float

    def to_spec(self, fitted_on: str) -> AcceptanceSpec:
        """The section of a manifest; `fitted_on` names the data of both halves."""
        return AcceptanceSpec(
            features=FEATURES,
            weights=tuple(self.model.weights.tolist()),
            bias=self.model.bias,
            threshold=self.model.threshold,
            threshold_unaligned=self.model.threshold_unaligned,
            fitted_on=fitted_on,
            wrong_rate_target=self.wrong_rate_target,
            wrong_rate_held_out=self.wrong_rate,
            expected_calibration_error=self.expected_calibration_error,
        )


def calibrate_acceptance(
    features: Float64,
    right: Bool,
    held_out_features: Float64,
    held_out_right: Bool,
    wrong_rate_target: float,
) -> AcceptanceFit:
    """Fit on one half, choose the thresholds and judge on the other.

    Fixes with and without frame alignment get a threshold each, so that neither hides behind the
    other: the target holds for both.

    Args:
        features: of the fitting half, [N, 7] from `acceptance_features`, negatives included.
        right: whether each fix is right (IoU > 0.25 with an object that is there), [N].
        held_out_features: of fixes on other objects, [M, 7].
        held_out_right: [M].
        wrong_rate_target: wrong among accepted that each threshold may allow.

    Raises:
        DataError: see `fit_acceptance`.
    """
    weights, bias = fit_acceptance(features, right)
    probability = sigmoid(held_out_features @ weights + bias)
    aligned = held_out_features[:, FEATURES.index("aligned")] > 0
    with_alignment, without = (
        choose_threshold(probability[part], held_out_right[part], wrong_rate_target)
        for part in (aligned, ~aligned)
    )
    accepted = probability >= np.where(aligned, with_alignment, without)
    return AcceptanceFit(
        AcceptanceModel(weights, bias, with_alignment, without),
        wrong_rate_target,
        float((~held_out_right[accepted]).mean()) if accepted.any() else 0.0,
        float(accepted.mean()),
        expected_calibration_error(probability, held_out_right),
    )


def fit_acceptance(features: Float64, labels: Bool, ridge: float = RIDGE) -> tuple[Float64, float]:
    """Logistic regression by Newton's method (iteratively reweighted least squares).

    Minimises sum log(1 + exp(-s z)) + ridge/2 |w|^2 with s = +-1, z = w.x + b, over features that
    are standardised first (a constant one keeps weight 0); the result is for plain features. The
    ridge keeps separable data finite; halved steps keep every step downhill. Deterministic.

    Args:
        features: [N, F].
        labels: True where the fix is right, [N].
        ridge: weight of the penalty, above 0.

    Returns:
        Weights [F] and bias.

    Raises:
        DataError: shapes that do not fit, values that are not finite, or labels of one kind only.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1] or not np.isfinite(features).all():
        finite = bool(np.isfinite(features).all())
        raise _bad_data(
            "finite features [N, F] and labels [N]",
            f"features {list(features.shape)}, labels {list(labels.shape)}, all finite: {finite}",
        )
    right = labels.astype(bool)
    if right.all() or not right.any():
        raise _bad_data("right and wrong fixes", f"{int(right.sum())} right of {right.size}")
    mean, spread = features.mean(0), features.std(0)
    varies = spread > 1e-9 * np.maximum(1.0, np.abs(mean))
    spread = np.where(varies, spread, 1.0)
    x = np.where(varies, (features - mean) / spread, 0.0)
    x = np.hstack([x, np.ones((len(x), 1))])  # [N, F + 1], the bias last
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 1e-9  # the bias is free; this only keeps the Hessian regular

    def loss(w: Float64) -> float:
        z = np.where(right, 1.0, -1.0) * (x @ w)
        return float(np.logaddexp(0.0, -z).sum() + 0.5 * (penalty * w * w).sum())

    w = np.zeros(x.shape[1])
    for _ in range(MAX_STEPS):
        p = sigmoid(x @ w)
        gradient = x.T @ (p - right) + penalty * w
        hessian = (x * (p * (1.0 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        size, before = 1.0, loss(w)
        while loss(w - size * step) > before and size > 1e-6:
            size /= 2
        w = w - size * step
        if float(np.abs(gradient @ step)) < 1e-18 * max(1.0, before):
            break
    weights = np.where(varies, w[:-1] / spread, 0.0)
    return weights, float(w[-1] - weights @ mean)


def choose_threshold(probability: Float64, right: Bool, wrong_rate_target: float) -> float:
    """The lowest threshold whose accepted fixes are wrong at most at the target rate.

    Fixes of equal probability are accepted together. Where no threshold reaches the target, the
    result lies above all probabilities: nothing of the held-out half is accepted. Without any fix
    to choose by it lies above 1.
    """
    if not len(probability):
        return math.nextafter(1.0, math.inf)
    order = np.argsort(-probability, kind="stable")
    sorted_p = probability[order]
    wrong = np.cumsum(~right[order])
    allowed = wrong <= wrong_rate_target * np.arange(1, len(order) + 1)
    last_of_equals = np.append(sorted_p[1:] < sorted_p[:-1], True)
    ends = np.flatnonzero(allowed & last_of_equals)
    if not len(ends):
        return math.nextafter(float(probability.max()), math.inf)
    return float(sorted_p[ends[-1]])


def expected_calibration_error(probability: Float64, right: Bool, bins: int = 10) -> float:
    """Mean distance between stated probability and share of right fixes, over bins of equal width.

    Each bin counts by its number of fixes (Naeini et al. 2015).
    """
    index = np.minimum((probability * bins).astype(int), bins - 1)
    surplus = np.bincount(index, weights=probability - right, minlength=bins)
    return float(np.abs(surplus).sum() / len(probability))


def _bad_data(expected: str, found: str) -> DataError:
    return DataError(
        "the acceptance model cannot be fitted",
        expected=expected,
        found=found,
        do="give fixes of held-out objects together with negatives (objects that are not there)",
    )
