"""Clicks go through the homography of the matches, and a box of the median size goes around."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_scene import CORNERS, write_scene

from benchmarks.peers.classical import sift
from benchmarks.peers.homography import HomographyPredictor, Keypoints, north_up
from benchmarks.peers.scene import PeerScene, read_scene
from benchmarks.peers.way import PeerRequest
from edge.evaluation import median_box_m


@pytest.fixture
def scene(tmp_path, tiny_bundle) -> PeerScene:
    return read_scene(write_scene(tmp_path, placed=True), tiny_bundle, 3, 0)


class KnownMatches:
    """Keypoints on a raster; those of frame and window at the same place of the map match."""

    def __init__(self, shift_xy_px, count=100):
        self.shift = np.array(shift_xy_px, np.float64)
        self.count = count
        self.described = []

    def describe(self, image, most):
        import torch

        high, wide = image.shape[:2]
        self.described.append((high, wide, most))
        x, y = np.meshgrid(np.arange(8.0, wide - 8, 8), np.arange(8.0, high - 8, 8))
        xy = np.stack([x.ravel(), y.ravel()], axis=1)
        return Keypoints(xy, torch.zeros(len(xy), 1), (wide, high))

    def match(self, frame, window):
        where = {tuple(xy): row for row, xy in enumerate(window.xy_px.tolist())}
        rows, others = [], []
        for row, xy in enumerate((frame.xy_px + self.shift).tolist()):
            if tuple(xy) in where:
                rows.append(row)
                others.append(where[tuple(xy)])
        return np.array(rows[: self.count], int), np.array(others[: self.count], int)


def test_a_known_shift_is_found(scene):
    query = scene.queries[0]
    matching = KnownMatches((16, 24))
    predictor = HomographyPredictor("known", matching, (3.0, 6.0), 10, 20)
    answers = predictor.predict(query.frame, query.click_xy_px, [query.window])
    for click, answer in zip(query.click_xy_px, answers, strict=True):
        x1, y1, x2, y2 = query.window.box_to_window(answer.box_xyxy_px)
        assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx(
            tuple(click + np.array([16, 24])), abs=0.01
        )
        assert (x2 - x1, y2 - y1) == pytest.approx((3.0 / 0.3, 6.0 / 0.3))
    assert matching.described == [(96, 96, 10), (128, 128, 20)]


def test_a_window_is_described_once(scene):
    matching = KnownMatches((16, 24))
    predictor = HomographyPredictor("known", matching, (3.0, 6.0), 10, 20)
    for _ in range(3):
        predictor.predict(
            scene.queries[0].frame, scene.queries[0].click_xy_px, [scene.queries[0].window]
        )
    assert sum(most == 20 for _, _, most in matching.described) == 1
    assert sum(most == 10 for _, _, most in matching.described) == 3


def test_a_large_frame_is_shrunk_and_clicks_are_not(scene):
    query = scene.queries[0]
    large = np.repeat(np.repeat(query.frame.image, 10, axis=0), 10, axis=1)  # 960 px
    matching = KnownMatches((0, 0))
    predictor = HomographyPredictor("known", matching, (3.0, 3.0), 10, 20)
    frame = dataclasses.replace(query.frame, image=large)
    answer = predictor.predict(frame, np.array([[120.0, 60.0]]), [query.window])[0]
    assert matching.described[0][:2] == (800, 800)
    x1, y1, x2, y2 = query.window.box_to_window(answer.box_xyxy_px)
    assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((100.0, 50.0), abs=0.01)


@pytest.mark.parametrize("matches", [0, 14])
def test_too_few_matches_are_no_answer(scene, matches):
    query = scene.queries[0]
    predictor = HomographyPredictor("few", KnownMatches((16, 24), matches), (3.0, 3.0), 10, 20)
    answers = predictor.predict(query.frame, query.click_xy_px, [query.window])
    assert [answer.box_xyxy_px for answer in answers] == [None] * 3
    assert not any(answer.accepted for answer in answers)


def test_padding_has_no_keypoints(scene):
    query = scene.queries[0]
    valid = np.ones((128, 128), bool)
    valid[:, 64:] = False
    window = dataclasses.replace(
        query.window, window=dataclasses.replace(query.window.window, valid=valid)
    )
    seen = []

    class Watching(KnownMatches):
        def match(self, frame, window):
            seen.append(window.xy_px[:, 0].max())
            return super().match(frame, window)

    predictor = HomographyPredictor("half", Watching((16, 24)), (3.0, 3.0), 10, 20)
    predictor.predict(query.frame, query.click_xy_px, [window])
    assert seen and seen[0] <= 60


def test_sift_finds_frames_that_are_cut_out_of_the_map(tmp_path, tiny_bundle):
    scene = read_scene(write_scene(tmp_path, gsd_m=0.3, placed=True), tiny_bundle, 3, 0)
    request = PeerRequest(scene, tiny_bundle, 3, 1, tmp_path)
    way = sift(request)
    assert median_box_m([scene.site]) == pytest.approx((4.8, 3.6))
    found = 0
    for (left, top), query in zip(CORNERS, scene.queries, strict=True):
        for click, answer in zip(query.click_xy_px, way.locate(query), strict=True):
            if answer.box_xyxy_px is not None:
                x1, y1, x2, y2 = answer.box_xyxy_px
                centre = (x1 + x2) / 2, (y1 + y2) / 2
                found += centre == pytest.approx(tuple(click + np.array([left, top])), abs=1.0)
    assert found >= 3


@pytest.mark.parametrize("yaw_deg", [0.0, 90.0, 180.0, -90.0, 30.0])
def test_a_frame_is_turned_until_north_is_up(yaw_deg):
    """A dot north of the middle, seen by a camera whose top points along yaw, is up again."""
    image = np.zeros((81, 121, 3), np.uint8)
    away = np.radians(-yaw_deg)  # of north, clockwise from the top of the frame
    dot = np.array([60.5, 40.5]) + 30 * np.array([np.sin(away), -np.cos(away)])
    column, row = np.floor(dot).astype(int)
    image[row, column] = 255
    turned, matrix = north_up(image, yaw_deg)
    rows, columns = np.nonzero(turned[..., 0] > 40)
    high, wide = turned.shape[:2]
    seen = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
    assert seen == pytest.approx((wide / 2, high / 2 - 30), abs=1.2)
    assert seen == pytest.approx((matrix @ (column + 0.5, row + 0.5, 1))[:2], abs=0.6)
    corners = np.array([(0, 0, 1), (121, 0, 1), (0, 81, 1), (121, 81, 1)]) @ matrix.T
    assert corners.min() >= -1e-9 and (corners[:, :2] <= np.array([wide, high]) + 1e-9).all()


def test_a_frame_of_unknown_yaw_stays_as_it_is():
    image = np.zeros((4, 6, 3), np.uint8)
    turned, matrix = north_up(image, None)
    assert turned is image and np.array_equal(matrix, np.eye(3))


def test_clicks_of_a_turned_frame_come_out_at_the_same_place(scene):
    """Matched after a quarter turn, the frame's own clicks still go to their places on the map."""
    query = scene.queries[0]
    pose = dataclasses.replace(query.frame.pose, yaw_deg=90.0)
    frame = dataclasses.replace(query.frame, pose=pose)  # 96 x 96: turned, (x, y) -> (96 - y, x)
    predictor = HomographyPredictor("turned", KnownMatches((16, 24)), (3.0, 6.0), 10, 20)
    answers = predictor.predict(frame, query.click_xy_px, [query.window])
    for (x, y), answer in zip(query.click_xy_px, answers, strict=True):
        x1, y1, x2, y2 = query.window.box_to_window(answer.box_xyxy_px)
        assert ((x1 + x2) / 2, (y1 + y2) / 2) == pytest.approx((96 - y + 16, x + 24), abs=0.01)
