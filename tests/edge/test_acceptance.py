"""The acceptance model: its fit against scipy, its threshold against brute force, its words."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from edge.acceptance import FEATURES, AcceptanceModel, acceptance_features
from edge.acceptance_fit import (
    calibrate_acceptance,
    choose_threshold,
    expected_calibration_error,
    fit_acceptance,
)
from edge.errors import BundleError, DataError
from edge.types import Localizations, Prior, PriorSource, Verdict


def fixes(count: int, seed: int):
    """Features like those of a flight, and labels drawn from a known logistic law."""
    random = np.random.default_rng(seed)
    right = random.random(count) < 0.5
    peak = random.normal(0.4, 0.1, count) + 0.2 * right
    margin = np.abs(random.normal(0.05, 0.04, count)) + 0.05 * right
    present = random.random(count) < 0.6
    inliers = present * np.log1p(random.integers(8, 300, count))
    agreement = present & (random.random(count) < 0.3 + 0.6 * right)
    columns = [peak, margin, peak - 0.01, 5 * peak + random.normal(0, 1, count)]
    return np.stack([*columns, present, inliers, agreement], 1).astype(float), right


def penalised_loss(w, x, y, ridge):
    z = x @ w[:-1] + w[-1]
    return np.logaddexp(0, np.where(y, -z, z)).sum() + 0.5 * ridge * (w[:-1] ** 2).sum()


@pytest.mark.parametrize(("count", "ridge"), [(60, 1.0), (800, 1.0), (800, 0.01), (300, 50.0)])
def test_the_fit_is_the_minimum_that_scipy_finds(count, ridge):
    features, right = fixes(count, seed=count)
    mean, spread = features.mean(0), features.std(0)
    x = (features - mean) / spread
    found = minimize(
        penalised_loss, np.zeros(8), (x, right, ridge), method="BFGS", options={"gtol": 1e-8}
    ).x
    weights, bias = fit_acceptance(features, right, ridge)
    np.testing.assert_allclose(weights * spread, found[:-1], atol=2e-4)
    assert bias == pytest.approx(found[-1] - (found[:-1] / spread) @ mean, abs=2e-3)


def test_the_fit_is_deterministic():
    features, right = fixes(500, seed=1)
    first, second = fit_acceptance(features, right), fit_acceptance(features.copy(), right.copy())
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]


def test_separable_and_constant_features_stay_finite():
    features = np.zeros((40, 7))
    features[:, 0] = np.repeat([0.2, 0.8], 20)
    features[:, 3] = 5.0  # constant: says nothing
    right = np.repeat([False, True], 20)
    weights, bias = fit_acceptance(features, right)
    assert np.isfinite(weights).all()
    assert (weights[1:] == 0).all()
    p = expit(features @ weights + bias)
    assert p[:20].max() < 0.1
    assert p[20:].min() > 0.9


@pytest.mark.parametrize(
    ("features", "right", "found"),
    [
        (np.zeros((3, 7)), np.ones(3, bool), "3 right of 3"),
        (np.zeros((3, 7)), np.zeros(3, bool), "0 right of 3"),
        (np.zeros((3, 7)), np.ones(2, bool), "labels [2]"),
        (np.full((2, 7), np.nan), np.array([True, False]), "all finite: False"),
    ],
)
def test_data_that_cannot_be_fitted(features, right, found):
    with pytest.raises(DataError, match="cannot be fitted") as caught:
        fit_acceptance(features, right)
    assert found in caught.value.found
    assert caught.value.expected
    assert "negatives" in caught.value.do


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]), st.booleans()), min_size=1),
    st.sampled_from([0.0, 0.05, 0.25, 0.5]),
)
def test_the_threshold_is_the_lowest_that_reaches_the_target(drawn, target):
    p, right = np.array([x for x, _ in drawn]), np.array([y for _, y in drawn])
    reached = [t for t in sorted(set(p)) if (~right[p >= t]).mean() <= target]
    threshold = choose_threshold(p, right, target)
    if reached:
        assert threshold == reached[0]
    else:
        assert not (p >= threshold).any()


def test_calibration_error_by_hand():
    p = np.array([0.9, 0.9, 0.9, 0.9, 0.2, 0.2, 1.0])
    right = np.array([1, 1, 0, 1, 0, 1, 1], bool)
    # bin of 0.9 and 1.0: mean p 0.92, right 4 of 5; bin of 0.2: mean p 0.2, right 1 of 2
    assert expected_calibration_error(p, right) == pytest.approx((5 * 0.12 + 2 * 0.3) / 7)


def test_a_calibrated_model_keeps_its_promise_on_other_fixes():
    fit = calibrate_acceptance(*fixes(3000, 2), *fixes(3000, 3), wrong_rate_target=0.1)
    assert fit.wrong_rate <= 0.1
    assert fit.accepted_share > 0.2
    assert fit.expected_calibration_error < 0.05
    features, right = fixes(3000, 4)
    probability = fit.model.probability(features)
    aligned = features[:, FEATURES.index("aligned")] > 0
    assert fit.model.threshold < fit.model.threshold_unaligned  # agreement is evidence
    for part, is_aligned in ((aligned, True), (~aligned, False)):
        accepted = part & (probability >= fit.model.needed(is_aligned))
        assert accepted.sum() > 50
        assert (~right[accepted]).mean() < 0.15

    spec = fit.to_spec("a test")
    again = AcceptanceModel.from_spec(spec)
    assert (again.threshold, again.threshold_unaligned) == (
        fit.model.threshold,
        fit.model.threshold_unaligned,
    )
    assert spec.wrong_rate_held_out == fit.wrong_rate
    assert spec.fitted_on == "a test"


def test_without_any_aligned_fix_none_is_promised():
    features, right = fixes(400, 5)
    features[:, FEATURES.index("aligned") :] = 0
    fit = calibrate_acceptance(features, right, features, right, wrong_rate_target=0.2)
    assert fit.model.threshold > 1  # nothing to choose it by
    assert fit.accepted_share > 0


def localizations(boxes, peak, second, cell=None, logit=None) -> Localizations:
    numbers = [np.float32(x) for x in (logit or [0.0] * len(peak), peak, second, cell or peak)]
    return Localizations(np.float32(boxes), *numbers)


def test_features_by_hand():
    found = localizations(
        [[0, 0, 20, 20], [0, 0, 20, 20], [0, 0, 20, 20]],
        [0.5, 0.6, 0.7],
        [0.4, 0.1, -1.0],
        cell=[0.3, 0.6, 0.7],
        logit=[1, 2, 3],
    )
    prior = Prior(
        np.float32([[23, 24], [23, 24.2], [10, 10]]),
        np.float32([1 / 2.55**2, 1 / 2.55**2, 0]),
        PriorSource.ALIGNMENT,
        inliers=99,
    )
    np.testing.assert_allclose(
        acceptance_features(found, prior),
        [
            [0.5, 0.1, 0.3, 1, 1, np.log(100), 1],  # 5.0 px away, two sigma are 5.1; then 5.2 px
            [0.6, 0.5, 0.6, 2, 1, np.log(100), 0],
            [0.7, 1.7, 0.7, 3, 0, 0, 0],
        ],
        atol=1e-6,
    )


@pytest.mark.parametrize("source", [PriorSource.TELEMETRY, PriorSource.TRACKER])
def test_only_alignment_is_evidence(source):
    """A prior that would say the same on the wrong map must not raise the probability."""
    found = localizations([[0, 0, 20, 20]], [0.5], [0.4])
    prior = Prior(np.float32([[10, 10]]), np.float32([1e-3]), source)
    np.testing.assert_array_equal(
        acceptance_features(found, prior), acceptance_features(found, Prior.none(1))
    )


def test_an_alignment_that_hardly_says_where_is_no_evidence():
    """Two sigma of 145 px hold half of a window: any box would agree."""
    found = localizations([[0, 0, 20, 20]] * 2, [0.5, 0.5], [0.4, 0.4])
    inv_var = np.float32([1 / 145**2, 1 / 29**2])
    prior = Prior(np.float32([[190, 10], [40, 10]]), inv_var, PriorSource.ALIGNMENT, 28)
    vague, near = acceptance_features(found, prior)
    np.testing.assert_array_equal(vague, acceptance_features(found, Prior.none(2))[0])
    assert near[FEATURES.index("aligned")] == near[FEATURES.index("agreement")] == 1
    unlimited = acceptance_features(found, prior, np.inf)
    assert (unlimited[:, FEATURES.index("agreement")] == 1).all()
    np.testing.assert_array_equal(  # no prior at all is none, whatever the limit
        acceptance_features(found, Prior.none(2), np.inf), acceptance_features(found, Prior.none(2))
    )


@pytest.fixture
def model() -> AcceptanceModel:
    return AcceptanceModel(np.array([10.0, 10, 0, 0, 0, 0, 1]), -10.0, 0.5, 0.5)


def judged(model, peak, second, prior=None, coverage=1.0, imagery=1.0):
    found = localizations([[0, 0, 20, 20]], [peak], [second], logit=[-1.25])
    judgement = model.judge(found, prior or Prior.none(1), coverage, np.float32([imagery]))[0]
    return judgement.probability, judgement.verdict, judgement.reason


def test_an_accepted_fix_says_why(model):
    p, verdict, reason = judged(model, 0.9, 0.5)
    assert verdict is Verdict.ACCEPTED
    assert p == pytest.approx(expit(3.0), abs=1e-6)
    assert reason == "probability 0.95, 0.50 needed: similarity 0.90, 0.40 above its second peak"


def test_agreement_with_a_prior_is_named(model):
    prior = Prior(np.float32([[11, 10]]), np.float32([1]), PriorSource.ALIGNMENT, 132)
    _, verdict, reason = judged(model, 0.9, 0.5, prior)
    assert verdict is Verdict.ACCEPTED
    assert reason.endswith(", where the alignment (132 matches) expects it")


def test_an_alignment_that_hardly_says_where_is_named(model):
    prior = Prior(np.float32([[11, 10]]), np.float32([1 / 97**2]), PriorSource.ALIGNMENT, 28)
    p, verdict, reason = judged(model, 0.41, 0.39, prior)
    assert verdict is Verdict.NOT_HERE and p == judged(model, 0.41, 0.39)[0]
    assert reason == (
        "the alignment (28 matches) tells this place to 97.0 px only, and 30 px at most would "
        "speak for it; similarity 0.41"
    )
    far = Prior(np.float32([[400, 10]]), np.float32([1 / 97**2]), PriorSource.ALIGNMENT, 28)
    assert judged(model, 0.41, 0.39, far)[2].startswith("not where the alignment (28 matches)")
    assert "expects it" not in judged(model, 0.9, 0.5, prior)[2]


def test_a_rival_peak_is_ambiguous(model):
    _, verdict, reason = judged(model, 0.41, 0.39)
    assert verdict is Verdict.NOT_HERE
    assert reason == "similarity 0.41 is 0.02 above its second peak: ambiguous"


def test_too_little_similarity_is_not_here(model):
    _, verdict, reason = judged(model, 0.31, 0.2)
    assert verdict is Verdict.NOT_HERE
    assert reason == (
        "not in this window: similarity 0.31, confidence -1.2; probability 0.00, 0.50 needed"
    )


def test_a_contradicted_prior_is_named(model):
    prior = Prior(np.float32([[50, 40]]), np.float32([0.01]), PriorSource.TRACKER)
    _, verdict, reason = judged(model, 0.31, 0.3, prior)
    assert verdict is Verdict.NOT_HERE
    assert reason == (
        "not where the tracker expects it: 36 px away, which is 3.6 sigma; similarity 0.31"
    )


def test_a_window_without_imagery_is_never_judged(model):
    _, verdict, reason = judged(model, 0.9, 0.1, coverage=0.02)
    assert verdict is Verdict.NO_COVERAGE
    assert reason == "only 2% of this window has imagery, 5% are needed"
    assert judged(model, 0.9, 0.1, coverage=0.05)[1] is Verdict.ACCEPTED


def test_a_box_on_nothing_is_never_a_find(model):
    _, verdict, reason = judged(model, 0.9, 0.1, imagery=0.4)
    assert verdict is Verdict.NO_COVERAGE
    assert reason == "the map has no imagery where the box lies"
    assert judged(model, 0.9, 0.1, imagery=0.5)[1] is Verdict.ACCEPTED


def test_other_features_in_the_manifest_are_refused(tiny):
    spec = tiny.tiny_manifest().acceptance
    swapped = msgspec.structs.replace(spec, features=(FEATURES[1], FEATURES[0], *FEATURES[2:]))
    with pytest.raises(BundleError, match="fitted on other features") as caught:
        AcceptanceModel.from_spec(swapped)
    assert caught.value.expected.startswith("peak_similarity, margin")
    assert caught.value.found.startswith("margin, peak_similarity")
    assert "export the bundle again" in caught.value.do
