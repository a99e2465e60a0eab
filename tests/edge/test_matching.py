from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.matching import (
    HOMOGRAPHY_REACH_PX,
    fit_homography,
    mutual_matches,
    project,
    vote_similarity,
)


def units(rng, count):
    values = rng.normal(size=(count, 64)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def similarity(turn_deg, zoom, shift):
    turned = cv2.getRotationMatrix2D((0, 0), -turn_deg, zoom)  # OpenCV counts the other way
    return np.vstack([turned, [0, 0, 1]]) + np.array([[0, 0, shift[0]], [0, 0, shift[1]], [0] * 3])


def test_project_equals_opencv():
    rng = np.random.default_rng(0)
    matrix = np.eye(3) + rng.normal(size=(3, 3)) * [[0.1, 0.1, 20], [0.1, 0.1, 20], [1e-4, 1e-4, 0]]
    points = rng.uniform(0, 500, (40, 2))
    right = cv2.perspectiveTransform(points[:, None], matrix)[:, 0]
    np.testing.assert_allclose(project(matrix, points), right, rtol=1e-10)


@given(st.integers(0, 60), st.integers(0, 90), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_mutual_matches_equal_opencv_cross_check(left_count, right_count, seed):
    rng = np.random.default_rng(seed)
    left, right = units(rng, left_count), units(rng, right_count)
    i, j = mutual_matches(left, right)
    if left_count == 0 or right_count == 0:
        assert len(i) == len(j) == 0
        return
    expected = cv2.BFMatcher(cv2.NORM_L2, crossCheck=True).match(left, right)
    assert set(zip(i.tolist(), j.tolist(), strict=True)) == {
        (m.queryIdx, m.trainIdx) for m in expected
    }


def test_the_ratio_drops_matches_with_a_close_second():
    rng = np.random.default_rng(1)
    left = units(rng, 20)
    twin = left[3] + 0.01 * rng.normal(size=64).astype(np.float32)
    right = np.vstack([left, twin / np.linalg.norm(twin)]).astype(np.float32)
    right[3] = units(rng, 1) * 0.3 + left[3] * 0.95  # no longer an exact copy
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    all_of_them, _ = mutual_matches(left, right)
    clear, _ = mutual_matches(left, right, ratio=0.5)
    assert 3 in all_of_them
    assert len(clear) >= 19 and set(clear) <= set(all_of_them)


@pytest.mark.parametrize("turn_deg", [-20.0, 0.0, 15.0])
@pytest.mark.parametrize("zoom", [0.75, 1.0, 1.35])
def test_a_similarity_is_found_amid_nine_tenths_of_chance(turn_deg, zoom):
    rng = np.random.default_rng(7)
    truth = similarity(turn_deg, zoom, (900.0, 400.0))
    source = rng.uniform(0, 400, (500, 2))
    target = rng.uniform(0, 2048, (500, 2))
    right = np.arange(500) < 50
    target[right] = project(truth, source[right]) + rng.normal(0, 1.0, (50, 2))
    found = vote_similarity(source, target)
    assert found is not None
    assert found.follows[right].mean() > 0.9 and found.follows[~right].sum() <= 3
    corners = np.array([[0, 0], [400, 0], [0, 400], [400, 400.0]])
    assert np.abs(project(found.matrix, corners) - project(truth, corners)).max() < 2.0


def test_matches_may_lie_any_distance_apart():
    rng = np.random.default_rng(7)
    truth = similarity(5.0, 1.1, (900.0, 400.0))
    source = rng.uniform(0, 400, (60, 2))
    target = project(truth, source)
    near = vote_similarity(source, target)
    target[50:] += rng.uniform(-1e8, 1e8, (10, 2))  # a histogram of all places: 10 million GB
    found = vote_similarity(source, target)
    assert found is not None and found.follows.tolist() == [True] * 50 + [False] * 10
    assert np.allclose(found.matrix, near.matrix)


def test_chance_alone_has_little_support():
    rng = np.random.default_rng(8)
    support = []
    for _ in range(20):
        source, target = rng.uniform(0, 400, (500, 2)), rng.uniform(0, 2048, (500, 2))
        found = vote_similarity(source, target)
        support.append(0 if found is None else found.support)
    assert max(support) < 14


def test_a_turn_beyond_reach_is_not_taken():
    rng = np.random.default_rng(9)
    source = rng.uniform(0, 400, (100, 2))
    found = vote_similarity(source, project(similarity(180.0, 1.0, (400, 400)), source))
    assert found is None or found.support < 10


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_matches_give_nothing(count):
    points = np.arange(2.0 * count).reshape(count, 2)
    assert vote_similarity(points, points) is None
    assert fit_homography(points, points) is None


def test_points_on_one_spot_give_nothing():
    same = np.full((30, 2), 7.0)
    assert vote_similarity(same, same) is None


def test_a_homography_is_found_amid_outliers_and_is_deterministic():
    rng = np.random.default_rng(2)
    truth = np.array([[1.05, 0.1, 30], [-0.08, 0.95, -12], [1e-4, 2e-4, 1.0]])
    source = rng.uniform(0, 400, (200, 2))
    target = project(truth, source) + rng.normal(0, 0.5, (200, 2))
    target[:80] = rng.uniform(0, 400, (80, 2))
    found, again = fit_homography(source, target), fit_homography(source, target)
    assert found is not None and again is not None
    np.testing.assert_array_equal(found.matrix, again.matrix)
    miss = np.linalg.norm(project(found.matrix, source) - project(truth, source), axis=1)
    assert miss.max() < 0.5
    assert found.follows[80:].all() and found.follows[:80].mean() < 0.05
    reprojected = np.linalg.norm(project(found.matrix, source) - target, axis=1)
    np.testing.assert_array_equal(found.follows, reprojected < HOMOGRAPHY_REACH_PX)
