"""The inputs: sizes, clicks inside their frames, equal seeds, and what cannot be read."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.errors import SourceError
from edge.letterbox import inverse_affine
from export.verification.cases import demo_cases, folder_cases, probe_cases, random_cases


def check(cases, bundle):
    size, frame = bundle.manifest.window, bundle.manifest.frame
    for case in cases:
        assert case.window.shape == (size.height_px, size.width_px, 3)
        assert case.frame.shape == (frame.height_px, frame.width_px, 3)
        n = len(case.click_xy_px)
        assert case.click_xy_px.shape == case.prior.xy_px.shape == (n, 2)
        half = n // 2
        assert (case.click_xy_px[:half] == case.click_xy_px[half:]).all()
        assert (case.prior.inv_var[:half] == 0).all() and (case.prior.inv_var[half:] > 0).all()
        inverse = inverse_affine(case.frame_affine)
        corner = inverse[:, :2] @ (frame.width_px, frame.height_px) + inverse[:, 2]
        assert (case.click_xy_px >= 0).all() and (case.click_xy_px <= corner + 1e-3).all()


def test_the_flight(tiny_bundle):
    cases = list(demo_cases(tiny_bundle, count=3))
    assert [case.name for case in cases] == ["frame 0", "frame 12", "frame 23"]
    check(cases, tiny_bundle)
    assert all(case.window.std() > 5 for case in cases), "the windows show the town"
    xy_px = cases[0].click_xy_px[0].tolist()
    assert xy_px == pytest.approx([323.8, 285.2]), "the first line of clicks.csv"


def test_random_inputs_are_equal_for_equal_seeds(tiny_bundle):
    first, again, other = (list(random_cases(tiny_bundle, 2, seed)) for seed in (1, 1, 2))
    check(first, tiny_bundle)
    for a, b, c in zip(first, again, other, strict=True):
        assert (a.window == b.window).all() and (a.click_xy_px == b.click_xy_px).all()
        assert (a.window != c.window).any() and (a.click_xy_px != c.click_xy_px).any()


def test_a_folder_of_pictures(tiny_bundle, tmp_path):
    for name, shape in (("a.png", (40, 60, 3)), ("b.png", (90, 30, 3))):
        picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        cv2.imwrite(str(tmp_path / name), picture)
    cases = list(folder_cases(tiny_bundle, tmp_path))
    assert [case.name for case in cases] == ["a.png", "b.png"]
    check(cases, tiny_bundle)
    with pytest.raises(SourceError, match="no such folder"):
        next(folder_cases(tiny_bundle, tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError):
        next(folder_cases(tiny_bundle, tmp_path / "empty"))


def test_the_probes_are_flat_or_wild_with_clicks_in_the_corners(tiny_bundle):
    cases = {case.name: case for case in probe_cases(tiny_bundle)}
    check(cases.values(), tiny_bundle)
    assert cases["all black"].window.max() == 0 and cases["all white"].frame.min() == 255
    assert cases["all noise"].frame.std() > 70
    wide, high = tiny_bundle.manifest.frame.width_px, tiny_bundle.manifest.frame.height_px
    clicked = {tuple(xy) for xy in cases["all black"].click_xy_px.tolist()}
    assert {(0, 0), (wide, 0), (0, high), (wide, high)} <= clicked
