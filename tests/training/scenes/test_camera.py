"""Cameras against OpenCV's projection and against each other."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.scenes.camera import Camera, ParallelCamera, ground_point, project

angles = st.floats(0, 360)
tilts = st.floats(0, 58)


def by_opencv(camera: Camera, points: np.ndarray) -> np.ndarray:
    """cv2.projectPoints with a rotation built from turns about the world's axes."""
    # A camera over the ground that looks down with its top to the north: x east, y south, z down.
    down = np.diag([1.0, -1.0, -1.0])
    # Yaw: the camera turns clockwise seen from above, so the world turns the other way.
    yaw, _ = cv2.Rodrigues(np.array([0.0, 0.0, np.deg2rad(camera.yaw_deg)]))
    # Tilt raises the view towards the top of the picture: a turn about the camera's x axis.
    tilt, _ = cv2.Rodrigues(np.array([-np.deg2rad(camera.tilt_deg), 0.0, 0.0]))
    roll, _ = cv2.Rodrigues(np.array([0.0, 0.0, -np.deg2rad(camera.roll_deg)]))
    rotation = roll @ tilt @ down @ yaw
    eye = np.array([camera.east_m, camera.north_m, camera.up_m])
    matrix = np.array(
        [
            [camera.focal_px, 0, camera.width_px / 2],
            [0, camera.focal_px, camera.height_px / 2],
            [0, 0, 1.0],
        ]
    )
    vector, _ = cv2.Rodrigues(rotation)
    out, _ = cv2.projectPoints(points, vector, -rotation @ eye, matrix, None)
    return out[:, 0]


@settings(max_examples=60, deadline=None)
@given(angles, tilts, st.floats(-20, 20), st.floats(0.05, 0.4))
def test_projection_agrees_with_opencv(yaw: float, tilt: float, roll: float, gsd: float) -> None:
    camera = Camera.over((12.0, -7.0), gsd, yaw, tilt, 900.0, roll_deg=roll)
    rng = np.random.default_rng(5)
    points = rng.uniform([-8, -25, 0], [32, 13, 3], (20, 3))
    mine = project(camera, points)
    ahead = mine[:, 3] > 1
    np.testing.assert_allclose(
        mine[ahead, :2], by_opencv(camera, points)[ahead], rtol=1e-6, atol=1e-4
    )


def test_over_puts_the_target_in_the_middle_at_its_sampling_distance() -> None:
    camera = Camera.over((50.0, 20.0), 0.2, 130.0, 40.0, 700.0, 640, 480)
    right = np.array([np.cos(np.deg2rad(130)), -np.sin(np.deg2rad(130))])
    points = np.array([[50.0, 20.0, 0.0], [50 + right[0], 20 + right[1], 0.0]])
    (x0, y0), (x1, y1) = project(camera, points)[:, :2]
    assert (x0, y0) == (320.0, 240.0) or np.allclose([x0, y0], [320, 240])
    np.testing.assert_allclose([x1 - x0, y1 - y0], [1 / 0.2, 0], atol=1e-9)


def test_tilted_camera_sees_the_far_side_at_the_top() -> None:
    camera = Camera.over((0.0, 0.0), 0.2, 0.0, 45.0, 700.0)
    north, south = project(camera, np.array([[0.0, 30, 0], [0, -30, 0]]))[:, 1]
    assert north < 240 < south
    assert 240 - north < south - 240  # perspective: far is smaller


@settings(max_examples=60, deadline=None)
@given(angles, tilts, st.floats(5, 635), st.floats(5, 475))
def test_ground_point_is_the_inverse_of_project(
    yaw: float, tilt: float, x: float, y: float
) -> None:
    camera = Camera.over((3.0, 4.0), 0.15, yaw, tilt, 900.0)
    ground = ground_point(camera, np.array([[x, y]]))
    back = project(camera, np.array([[*ground[0], 0.0]]))[0, :2]
    np.testing.assert_allclose(back, [x, y], atol=1e-5)


def test_parallel_camera_is_north_up_and_leans_by_height() -> None:
    camera = ParallelCamera(-150.0, 150.0, 0.3, 1000, 1000, lean=(0.1, -0.2))
    ground, roof = project(camera, np.array([[30.0, 60.0, 0.0], [30.0, 60.0, 9.0]]))[:, :2]
    np.testing.assert_allclose(ground, [600.0, 300.0])
    np.testing.assert_allclose(roof - ground, [0.9 / 0.3, 1.8 / 0.3])


def test_stretch_changes_rows_only() -> None:
    plain = ParallelCamera(-150.0, 150.0, 0.3, 1000, 1000)
    tall = ParallelCamera(-150.0, 150.0, 0.3, 1000, 1000, stretch=1.25)
    points = np.array([[10.0, -20.0, 0.0]])
    (x, y), (u, v) = project(plain, points)[0, :2], project(tall, points)[0, :2]
    assert u == x
    np.testing.assert_allclose(v, y / 1.25)
