"""The letterbox against centres of mass, and its affine against its inverse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import SourceError
from edge.letterbox import apply_affine, letterbox
from edge.types import FILL_RGB

SIZES = st.integers(1, 300)


@pytest.mark.parametrize(
    ("wide", "high"), [(640, 480), (480, 640), (64, 64), (1000, 64), (31, 17), (65, 63)]
)
def test_a_blob_lands_where_the_affine_says(wide, high):
    xx, yy = np.meshgrid(np.arange(wide) + 0.5, np.arange(high) + 0.5)
    centre = np.array([0.4 * wide, 0.55 * high])
    spread = 0.15 * min(wide, high)
    blob = np.exp(-((xx - centre[0]) ** 2 + (yy - centre[1]) ** 2) / (2 * spread**2))
    image = np.repeat((255 * blob).astype(np.uint8)[..., None], 3, axis=2)
    fitted = letterbox(image, 128, 96)

    content = fitted.image[..., 0].astype(float)
    left, top = fitted.affine[:, 2].astype(int)
    right, bottom = apply_affine(fitted.affine, np.array([[wide, high]], float))[0].round()
    inside = np.zeros_like(content)
    inside[top : int(bottom), left : int(right)] = 1
    weight = content * inside
    ys, xs = np.mgrid[0:96, 0:128] + 0.5
    found = np.array([(weight * xs).sum(), (weight * ys).sum()]) / weight.sum()

    original = image[..., 0].astype(float)
    exact = np.array([(original * xx).sum(), (original * yy).sum()]) / original.sum()
    wanted = apply_affine(fitted.affine, exact[None])[0]
    np.testing.assert_allclose(found, wanted, atol=0.05)


@settings(max_examples=60, deadline=None)
@given(wide=SIZES, high=SIZES, to_wide=SIZES, to_high=SIZES)
def test_the_inverse_is_exact_and_all_pixels_fit(wide, high, to_wide, to_high):
    fitted = letterbox(np.zeros((high, wide, 3), np.uint8), to_wide, to_high)
    assert fitted.image.shape == (to_high, to_wide, 3)
    corners = np.array([[0, 0], [wide, high], [wide / 3, high / 7]])
    moved = apply_affine(fitted.affine, corners)
    assert (moved >= -1e-3).all()
    assert (moved <= np.array([to_wide, to_high]) + 1e-3).all()
    np.testing.assert_allclose(apply_affine(fitted.inverse_affine, moved), corners, atol=1e-9 * 300)


def test_the_borders_are_filled_evenly():
    fitted = letterbox(np.full((50, 100, 3), 255, np.uint8), 64, 64)
    assert (fitted.image[16:48] == 255).all()
    assert (fitted.image[:16] == FILL_RGB).all()
    assert (fitted.image[48:] == FILL_RGB).all()
    assert fitted.affine.tolist() == [[np.float32(0.64), 0, 0], [0, np.float32(0.64), 16]]
    assert fitted.affine.dtype == np.float32


def test_a_frame_of_the_right_size_is_not_touched():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    fitted = letterbox(image, 64, 64)
    assert fitted.image is image
    assert fitted.affine.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_shrinking_averages_areas():
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    wanted = image.reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(letterbox(image, 32, 32).image - wanted).max() <= 0.51


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(SourceError, match="cannot be used") as caught:
        letterbox(image, 64, 64)
    assert caught.value.expected == "an RGB picture, uint8 [height, width, 3]"
    assert caught.value.found == f"{image.dtype.name} {list(image.shape)}"
    assert "8-bit RGB" in caught.value.do
