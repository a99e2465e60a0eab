"""Tints against the arithmetic that their texts state."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.augmentation import photometry

TINTS = [
    photometry.add_noise,
    photometry.shift_hue,
    photometry.blur,
    photometry.median_blur,
    photometry.change_brightness,
    photometry.equalize,
    photometry.to_grey,
    photometry.change_gamma,
]


def picture() -> np.ndarray:
    """Two rectangles on grey ground."""
    image = np.full((128, 128, 3), 110, np.uint8)
    image[20:60, 10:50], image[70:110, 60:120] = (250, 20, 20), (20, 240, 20)
    return image


@pytest.mark.parametrize("tint", TINTS, ids=lambda tint: tint.__name__)
def test_tints_change_colours_and_move_nothing(tint) -> None:
    window = picture()
    for seed in range(5):
        after = tint(window, np.random.default_rng(seed))
        assert after.shape == window.shape and after.dtype == np.uint8
        assert np.array_equal(after, tint(window, np.random.default_rng(seed)))
        # the markers stay where they were: the picture's edges are
        edges = [cv2.Canny(cv2.GaussianBlur(x, (5, 5), 1.5), 30, 90) > 0 for x in (window, after)]
        near = cv2.dilate(edges[0].astype(np.uint8), np.ones((9, 9))) > 0
        assert near[edges[1]].mean() > 0.9


def test_noise_has_the_stated_variance() -> None:
    flat = np.full((200, 200, 3), 128, np.uint8)
    variances = [
        photometry.add_noise(flat, np.random.default_rng(seed)).astype(float).var()
        for seed in range(40)
    ]
    assert (
        min(variances) > 9 and max(variances) < 52 and np.mean(variances) == pytest.approx(30, 0.2)
    )


def test_grey_is_the_luma_and_gamma_a_power() -> None:
    window = picture()
    rng = np.random.default_rng(0)
    grey = photometry.to_grey(window, rng)
    luma = window.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(grey.astype(float) - luma[..., None]).max() < 1.5
    gamma = np.random.default_rng(1).uniform(*photometry.GAMMA)
    got = photometry.change_gamma(window, np.random.default_rng(1))
    assert np.abs(got - 255 * (window / 255.0) ** gamma).max() < 1.5
