"""What is seen of one picture, against plain numpy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_flights import texture

from calibration.selection.look import BLOCKS, DESCRIPTOR, look_at


def test_numbers_are_those_of_numpy():
    image = texture(1, (80, 60))
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    look = look_at(image)
    assert look.brightness == pytest.approx(luma.mean(), abs=0.01)
    assert look.contrast == pytest.approx(luma.std(), abs=0.01)
    padded = np.pad(luma, 1, mode="reflect")
    laplacian = (
        padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * luma
    )
    inner = laplacian  # the edge of a whole picture counts
    assert look.sharpness == pytest.approx(inner.var(), rel=0.05)
    assert look.descriptor.shape == (DESCRIPTOR,)
    assert sum(BLOCKS) == DESCRIPTOR
    assert np.isfinite(look.descriptor).all()


def test_black_and_constant():
    assert look_at(np.zeros((40, 60, 3), np.uint8)).black
    noise = np.random.default_rng(0).integers(0, 6, (40, 60, 3)).astype(np.uint8)
    assert look_at(noise).black  # a covered lens is noisy
    white = look_at(np.full((40, 60, 3), 255, np.uint8))
    assert white.constant
    assert not white.black
    night = texture(2, mean=20, spread=15)
    assert not look_at(night).black
    assert not look_at(night).constant


def test_a_blur_costs_sharpness_and_leaves_a_greater_share():
    image = texture(3, (128, 96))
    sharp, soft = look_at(image), look_at(cv2.GaussianBlur(image, (0, 0), 1.5))
    assert soft.sharpness < 0.35 * sharp.sharpness
    assert 1 - soft.fineness > 1.6 * (1 - sharp.fineness)


def test_less_contrast_costs_sharpness_and_leaves_the_same_share():
    """The meadow: little to be sharp, and sharp still."""
    strong, weak = look_at(texture(4, spread=60)), look_at(texture(4, spread=15))
    assert weak.sharpness < 0.35 * strong.sharpness
    assert 1 - weak.fineness < 1.3 * (1 - strong.fineness)


def test_what_is_not_shown_is_not_described():
    image, shown = texture(5, (64, 64)), np.ones((64, 64), bool)
    shown[:, 40:] = False
    gap, bright_gap = image.copy(), image.copy()
    gap[:, 40:], bright_gap[:, 40:] = (124, 116, 104), 255
    one, other = look_at(gap, shown), look_at(bright_gap, shown)
    assert (one.brightness, one.contrast, one.sharpness) == (
        other.brightness,
        other.contrast,
        other.sharpness,
    )
    assert np.array_equal(one.descriptor, other.descriptor)
    assert one.brightness == pytest.approx(look_at(image[:, :40]).brightness, abs=0.01)


def test_tiny_and_odd_sizes():
    for size in ((1, 1), (1, 9), (7, 2), (300, 3)):
        look = look_at(np.full((*size, 3), 90, np.uint8))
        assert look.constant
        assert np.isfinite(look.descriptor).all()
