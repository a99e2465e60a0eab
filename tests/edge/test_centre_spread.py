"""The spread of box centres: against draws of a head and a prior that are blended."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
import pytest

from edge.bundle import write_bundle
from edge.centre_spread import (
    FittedSpread,
    RoughSpread,
    click_sigma_px,
    fit_factor,
    open_spread,
)
from edge.errors import BundleError, DataError
from edge.geodesy import MercatorGeometry
from edge.letterbox import letterbox
from edge.types import FramePose, ReferenceFeature

PER_SIGMA = math.sqrt(2 * math.log(10))
FITTED = FittedSpread(click_var=0.01, centre_var=0.006, floor_var_px2=9.0, factor=1.0)


def boxes(*sides):
    return np.array([[50, 60, 50 + w, 60 + h] for w, h in sides], np.float32)


@pytest.mark.parametrize("side", [10.0, 40.0, 200.0])
@pytest.mark.parametrize("prior_sigma_px", [None, 1.0, 8.0, 300.0])
def test_the_circle_holds_ninety_percent_of_blended_centres(side, prior_sigma_px):
    rng, count = np.random.default_rng(1), 40_000
    own_sd = math.sqrt(0.006 * side**2 + 9.0)
    error = rng.normal(0, own_sd, (count, 2))
    inv_var = 0.0
    if prior_sigma_px is not None:
        inv_var = prior_sigma_px**-2
        given_sd = math.sqrt(prior_sigma_px**2 + 0.01 * side**2)
        given = rng.normal(0, prior_sigma_px, (count, 2)) + rng.normal(0, 0.1 * side, (count, 2))
        weight = own_sd**2 / (own_sd**2 + given_sd**2)
        error = (1 - weight) * error + weight * given
    (sigma,) = FITTED.sigma_px(boxes((side, side)), np.float32([inv_var]), click_px=99.0)
    inside = np.hypot(*error.T) <= PER_SIGMA * sigma
    assert inside.mean() == pytest.approx(0.9, abs=0.01)


def test_every_box_has_its_own_and_the_factor_multiplies():
    both = boxes((10, 40), (80, 60))
    inv_var = np.float32([0.0, 0.25])
    together = FITTED.sigma_px(both, inv_var, 0.0)
    alone = [FITTED.sigma_px(both[n : n + 1], inv_var[n : n + 1], 0.0)[0] for n in range(2)]
    np.testing.assert_allclose(together, alone)
    doubled = dataclasses.replace(FITTED, factor=2.0)
    np.testing.assert_allclose(doubled.sigma_px(both, inv_var, 0.0), 2 * together)


def test_the_rough_one_is_the_stated_sum_of_its_terms():
    (sigma,) = RoughSpread(16.0).sigma_px(boxes((30, 60)), np.float32([1 / 25]), click_px=6.0)
    terms = (math.sqrt((30**2 + 60**2) / 2) / 6, 16 / math.sqrt(12), 6.0, 5.0)
    assert sigma == pytest.approx(math.sqrt(sum(term**2 for term in terms)))
    plain, wide, endless = RoughSpread(16.0).sigma_px(
        boxes((30, 60), (30, 60), (30, 60)), np.float32([0, 1e-6, 1e-12]), 0.0
    )
    assert wide == endless == pytest.approx(math.hypot(plain, 30.0))  # half of the longer side


def test_a_bundle_that_blends_has_a_fitted_one(tiny_bundle, tmp_path):
    found = open_spread(tiny_bundle, "fp32")
    assert found == FittedSpread(
        pytest.approx(0.02), pytest.approx(0.03), 4.0, tiny_bundle.manifest.head.radius_factor
    )
    assert open_spread(tiny_bundle, "fp16") == RoughSpread(16)  # no head.npz of that name

    with np.load(tiny_bundle.file("graphs/fp32/head.npz")) as stored:
        head = {name: stored[name] for name in stored.files}
    for folder, values, wanted in (
        ("unfitted", {**head, "centre_var": np.float32(0)}, RoughSpread(16)),
        ("broken", {"alpha": np.float32(1)}, None),
    ):
        data = io.BytesIO()
        np.savez(data, **values)
        files = {name: tiny_bundle.file(name) for name in tiny_bundle.manifest.files}
        files["graphs/fp32/head.npz"] = data.getvalue()
        bundle = write_bundle(tmp_path / folder, tiny_bundle.manifest, files)
        if wanted is not None:
            assert open_spread(bundle, "fp32") == wanted
        else:
            with pytest.raises(BundleError, match=r"head\.npz"):
                open_spread(bundle, "fp32")


@pytest.mark.parametrize("zoom", [18, 19])
def test_a_click_counts_in_metres_of_the_ground_whatever_the_map(tiny_bundle, zoom):
    geometry = MercatorGeometry(zoom, 69_881_856 / 2 ** (19 - zoom), 47_206_912 / 2 ** (19 - zoom))
    feature = ReferenceFeature({}, geometry, 128, 128, "w", "m", "x", 1.0)
    fitted = letterbox(np.zeros((64, 64, 3), np.uint8), 64, 64)
    px = click_sigma_px(tiny_bundle.manifest, FramePose(gsd_m=0.5), fitted, feature)
    per_px_m = geometry.metres_per_px(np.array([[64.0, 64.0]])).mean()
    assert px * per_px_m == pytest.approx(2.0 * 0.5)  # 2 px of the frame, 0.5 m each
    unknown = click_sigma_px(tiny_bundle.manifest, FramePose(), fitted, feature)
    assert unknown == 2.0 * 128 / 64  # the frame is taken to span the window


@pytest.mark.parametrize(
    ("camera_hw", "frame_wh_px", "larger_px"),
    [((90, 160), (64, 64), 64), ((90, 160), (64, 48), 64), ((64, 64), (64, 48), 48),
     ((160, 90), (64, 48), 48), ((64, 64), (48, 64), 48)],
)  # fmt: skip
def test_the_larger_side_of_the_picture_spans_the_window_not_the_borders(
    tiny_bundle, camera_hw, frame_wh_px, larger_px
):
    """An upper bound also for a camera of another shape than the bundle's frames."""
    feature = ReferenceFeature({}, None, 128, 128, "w", "m", "x", 1.0)
    fitted = letterbox(np.zeros((*camera_hw, 3), np.uint8), *frame_wh_px)
    assert max(fitted.picture_wh_px) == larger_px
    sigma_px = click_sigma_px(tiny_bundle.manifest, FramePose(), fitted, feature)
    assert sigma_px == pytest.approx(2.0 * 128 / larger_px)


def test_the_factor_is_found_again():
    rng = np.random.default_rng(2)
    sigma = rng.uniform(2, 9, 20_000)
    error = rng.normal(0, 1.3, (20_000, 2)) * sigma[:, None]
    assert fit_factor(error, sigma) == pytest.approx(1.3, abs=0.02)


def test_a_factor_of_few_fixes_is_refused():
    with pytest.raises(DataError) as caught:
        fit_factor(np.zeros((3, 2)), np.ones(3))
    for word in ("cannot be fitted", "at least 50", "3", "held-out samples"):
        assert word in str(caught.value)
