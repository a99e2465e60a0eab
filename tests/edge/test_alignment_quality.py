from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from edge.alignment_quality import (
    FLOOR_PX,
    INFLATION,
    _jacobian,
    is_plausible,
    measure_fit,
    pose_of,
)
from edge.matching import project

SIZE = (640.0, 480.0)
OBLIQUE = np.array([[0.4, 0.05, 100], [-0.04, 0.45, 80], [1e-4, 3e-4, 1.0]])


def spread(count=60, seed=0, low=(0, 0), high=SIZE):
    return np.random.default_rng(seed).uniform(low, high, (count, 2))


def turned(yaw_deg, scale):
    cosine = scale * np.cos(np.radians(yaw_deg))
    sine = scale * np.sin(np.radians(yaw_deg))
    return np.array([[cosine, -sine, 300], [sine, cosine, 200], [0, 0, 1.0]])


@pytest.mark.parametrize("yaw_deg", [0.0, 45.0, 90.0, 200.0, 359.0])
def test_yaw_is_the_bearing_of_the_frames_top(yaw_deg):
    matrix = turned(yaw_deg, 0.4)
    centre, above = project(matrix, np.array([[320.0, 240], [320, 140]]))
    east, north = above[0] - centre[0], -(above[1] - centre[1])
    bearing = np.degrees(np.arctan2(east, north)) % 360
    yaw, scale = pose_of(matrix, SIZE)
    assert yaw == pytest.approx(bearing, abs=1e-6) and bearing == pytest.approx(yaw_deg, abs=1e-6)
    assert scale == pytest.approx(0.4)


def test_a_camera_is_plausible():
    assert is_plausible(OBLIQUE, SIZE, spread())
    assert is_plausible(turned(123.0, 0.3), SIZE, spread())


def pinhole(depression_deg, size=SIZE, focal_px=480.0, height_px=150.0, middle=(256, 256)):
    """Frame -> window of a camera that looks north, so far below the horizon, by its rays."""
    down = np.radians(depression_deg)
    right, ahead = np.array([1.0, 0, 0]), np.array([0, np.cos(down), -np.sin(down)])
    below = np.cross(ahead, right)  # the frame's y axis; east, north, up
    rays = np.column_stack([right, below, ahead]) @ np.array(
        [[1, 0, -size[0] / 2], [0, 1, -size[1] / 2], [0, 0, focal_px]]
    )
    reach = height_px / np.tan(down)  # on the ground, to the middle of the picture
    place = np.array([[height_px, 0, -middle[0]], [0, -height_px, -middle[1] - reach], [0, 0, -1]])
    return place @ rays


@pytest.mark.parametrize("scale", [1.0, -1.0, "corner"])
def test_a_horizon_in_view_is_plausible_and_only_its_ground_is_known(scale):
    matrix = pinhole(25.0)
    horizon_px = 240 - 480 * np.tan(np.radians(25.0))  # row 16
    assert np.array([0, 0, 1]) @ matrix[2] * np.sign(matrix[2] @ [320, 300, 1]) < 0
    matrix = matrix / matrix[2, 2] if scale == "corner" else scale * matrix
    source = spread(low=(0, 200), high=SIZE)
    target = project(matrix, source)
    assert is_plausible(matrix, SIZE, source)
    fit = measure_fit(matrix, source, target, SIZE)
    xy, sigma = fit.predict(np.array([[320.0, 240], [320, 400], [320, horizon_px - 10]]))
    np.testing.assert_allclose(xy[0], (256, 256), atol=1e-6)
    assert xy[1, 1] > 256 and np.isfinite(sigma[:2]).all()
    assert np.isnan(xy[2]).all() and np.isnan(sigma[2])


@pytest.mark.parametrize(
    ("matrix", "source"),
    [
        (turned(0, 0.4) @ np.diag([-1, 1, 1.0]), spread()),  # mirrored
        (turned(0, 0.4) @ np.diag([1, 0.15, 1.0]), spread()),  # squeezed
        (turned(0, 1e-3), spread()),  # the frame shrinks to a dot
        (np.array([[0.4, 0, 0], [0, 0.4, 0], [0, -4e-3, 1.0]]), spread()),  # horizon inside
        (turned(0, 0.4), spread(low=(0, 0), high=(60, 50))),  # matches in one corner
        (turned(0, 0.4), spread() * [1, 0] + [0, 200]),  # matches in a line
        (turned(0, 0.4), spread(3)),
        (np.full((3, 3), np.nan), spread()),
    ],
)
def test_what_no_camera_makes_is_refused(matrix, source):
    assert not is_plausible(matrix, SIZE, source)


def test_the_jacobian_equals_finite_differences():
    point = np.array([[0.3, -0.7]])
    matrix = np.array([[1.1, 0.2, 0.3], [-0.1, 0.9, 0.1], [0.05, -0.08, 1.0]])
    rows = _jacobian(matrix, point)[0]
    for axis in range(2):

        def moved(eight, axis=axis):
            return project(np.append(eight, 1.0).reshape(3, 3), point)[0, axis]

        numeric = approx_fprime(matrix.ravel()[:8], moved, 1e-7)
        np.testing.assert_allclose(rows[axis], numeric, atol=1e-5)


def test_the_stated_spread_is_that_of_repeated_fits():
    """Fit the same scene many times under noise: the covariance must say what happens."""
    import cv2

    source = spread(80, seed=3)
    probes = np.array([[320.0, 240], [600, 40], [900, 700]])
    rng = np.random.default_rng(4)
    landed = []
    for _ in range(300):
        target = project(OBLIQUE, source) + rng.normal(0, 0.8, source.shape)
        matrix, _ = cv2.findHomography(source, target, 0)
        landed.append(project(matrix, probes))
    actual = np.sqrt(np.var(np.array(landed), axis=0).mean(axis=1))  # per axis
    target = project(OBLIQUE, source) + rng.normal(0, 0.8, source.shape)
    fit = measure_fit(OBLIQUE, source, target, SIZE)
    row = fit.homography @ np.linalg.inv(fit.normalise)
    rows = _jacobian(row / row[2, 2], project(fit.normalise, probes))
    variance = np.einsum("nik,kl,nil->n", rows, fit.covariance, rows) / 2
    np.testing.assert_allclose(np.sqrt(variance) / INFLATION, actual, rtol=0.25)


def test_sigma_has_a_floor_and_grows_with_the_residuals():
    source = spread(80)
    exact = measure_fit(OBLIQUE, source, project(OBLIQUE, source), SIZE)
    noise = np.random.default_rng(1).normal(0, 2.0, source.shape)
    noisy = measure_fit(OBLIQUE, source, project(OBLIQUE, source) + noise, SIZE)
    assert exact.sigma_px == pytest.approx(FLOOR_PX)
    assert noisy.sigma_px == pytest.approx(np.hypot(FLOOR_PX, 2.0), rel=0.15)
    _, sigma = noisy.predict(np.array([[320.0, 240], [640, 480], [1000, 900]]))
    assert sigma[0] < sigma[1] < sigma[2]


def test_few_matches_in_a_corner_make_a_wide_sigma_opposite():
    crowded = spread(80, low=(0, 0), high=(160, 120))
    noise = np.random.default_rng(1).normal(0, 0.7, crowded.shape)
    fit = measure_fit(OBLIQUE, crowded, project(OBLIQUE, crowded) + noise, SIZE)
    _, sigma = fit.predict(np.array([[80.0, 60], [600, 440]]))
    assert sigma[1] > 8 * sigma[0]
