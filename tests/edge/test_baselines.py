"""The baselines on a made-up site whose homography is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.baselines import SiftPredictor, WindowCentrePredictor
from edge.pairs_images import PairsMapImage, window_for
from edge.types import Frame


def town(seed=0, size=700):
    """Rectangles and discs of many sizes: texture at every scale."""
    random = np.random.default_rng(seed)
    image = np.full((size, size, 3), 120, np.uint8)
    for _ in range(900):
        x, y = (int(v) for v in random.integers(0, size, 2))
        w, h = (int(v) for v in random.integers(4, 40, 2))
        colour = tuple(int(v) for v in random.integers(0, 255, 3))
        if random.random() < 0.5:
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
        else:
            cv2.circle(image, (x, y), w // 2, colour, -1)
    return cv2.GaussianBlur(image, (0, 0), 0.8)


def windows_of(image, gsd_m=0.5, at_gsd_m=0.5, size_px=1024):
    valid = np.ones(image.shape[:2], bool)
    return window_for(PairsMapImage(image, valid, gsd_m, None, "id", None), at_gsd_m, size_px)


# a view that is turned, zoomed and a little oblique: map pixels -> frame pixels
VIEW = (
    np.array([[1, 0, 0], [0, 1, 0], [4e-5, -3e-5, 1]])
    @ np.array([[1, 0, 400.0], [0, 1, 300], [0, 0, 1]])
    @ np.diag([2.2, 2.2, 1])
    @ np.vstack(
        [np.hstack([cv2.Rodrigues(np.array([0, 0, 0.6]))[0][:2, :2], [[0], [0]]]), [0, 0, 1]]
    )
    @ np.array([[1, 0, -350.0], [0, 1, -350], [0, 0, 1]])
)


def seen(image, size=(800, 600)):
    return Frame(cv2.warpPerspective(image, VIEW, size), 0, 0.0, "test")


def to_frame(xy):
    return cv2.perspectiveTransform(np.array(xy, float).reshape(-1, 1, 2), VIEW).reshape(-1, 2)


def centres(predictions):
    boxes = np.array([p.box_xyxy_px for p in predictions])
    return (boxes[:, :2] + boxes[:, 2:]) / 2


@pytest.mark.parametrize("at_gsd_m", [0.5, 0.8])
def test_sift_sends_clicks_to_their_places_on_the_map(at_gsd_m):
    image = town()
    truth = np.array([[350.0, 350], [300, 400], [420, 330], [350, 290]])
    predictor = SiftPredictor((10.0, 6.0))
    found = predictor.predict(seen(image), to_frame(truth), windows_of(image, at_gsd_m=at_gsd_m))
    np.testing.assert_allclose(centres(found), truth, atol=1.0)
    for answer in found:
        x1, y1, x2, y2 = answer.box_xyxy_px
        assert (x2 - x1, y2 - y1) == pytest.approx((20, 12), rel=0.01)  # 10 x 6 m at 0.5 m
        assert answer.accepted
        assert answer.confidence > 30
        assert answer.probability is None


def test_sift_takes_the_window_with_the_most_inliers():
    image = town(size=900)
    truth = np.array([[350.0, 350]])
    windows = windows_of(image, size_px=512)
    assert len(windows) > 4
    found = SiftPredictor((4.0, 4.0)).predict(seen(image), to_frame(truth), windows)
    np.testing.assert_allclose(centres(found), truth, atol=1.0)


def test_sift_does_not_answer_on_the_map_of_another_place():
    found = SiftPredictor((4.0, 4.0)).predict(
        seen(town(1)), np.array([[100.0, 100.0], [5.0, 5.0]]), windows_of(town(2))
    )
    assert [(answer.box_xyxy_px, answer.accepted) for answer in found] == [(None, False)] * 2


def test_sift_does_not_accept_what_lies_beside_the_imagery():
    """The frame sees more than the map has."""
    image = town(size=1000)
    half = image.copy()[:, :430]
    outside, inside = [[470.0, 350]], [[380.0, 350]]
    predictor = SiftPredictor((4.0, 4.0))
    found = predictor.predict(seen(image), to_frame([*outside, *inside]), windows_of(half))
    np.testing.assert_allclose(centres(found), [*outside, *inside], atol=2.0)
    assert [answer.accepted for answer in found] == [False, True]


def test_sift_survives_a_frame_without_texture():
    blank = Frame(np.full((60, 80, 3), 90, np.uint8), 0, 0.0, "test")
    (answer,) = SiftPredictor((4.0, 4.0)).predict(blank, np.array([[1.0, 1.0]]), windows_of(town()))
    assert answer.box_xyxy_px is None


def test_the_same_frame_gives_the_same_answer():
    image, clicks = town(), to_frame([[350.0, 350]])
    windows = windows_of(image)
    first = SiftPredictor((4.0, 4.0)).predict(seen(image), clicks, windows)
    assert SiftPredictor((4.0, 4.0)).predict(seen(image), clicks, windows) == first


def test_the_window_centre_knows_nothing():
    image = town(size=700)
    clicks = np.array([[1.0, 2.0], [30.0, 40.0]])
    found = WindowCentrePredictor((10.0, 6.0)).predict(seen(image), clicks, windows_of(image))
    assert len(set(found)) == 1
    assert found[0].box_xyxy_px == pytest.approx((340, 344, 360, 356))
    assert found[0].accepted
