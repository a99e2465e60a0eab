"""The motion of the picture over many frames, and what breaks the chain."""

from __future__ import annotations

import cv2
import numpy as np
from moving_camera import camera, seen_by

from edge.frame_motion import FrameMotion
from edge.matching import project
from edge.types import Frame


def test_the_motion_of_the_picture_is_followed_over_many_frames():
    motion = FrameMotion()
    for step in range(12):
        motion.add(seen_by(camera(step), step))
    spots = np.array([[100.0, 80.0], [320.0, 240.0], [560.0, 400.0]])
    for since in (11, 10, 6, 0):
        way, steps = motion.since(since)
        assert steps == 11 - since
        true = project(np.linalg.inv(camera(since)) @ camera(11), spots)
        assert np.abs(project(way, spots) - true).max() < 0.3 + 0.25 * steps


def test_corners_are_looked_for_once_and_then_followed_until_too_few_are_left(monkeypatch):
    searches = []
    search = cv2.goodFeaturesToTrack
    monkeypatch.setattr(
        cv2, "goodFeaturesToTrack", lambda *given: searches.append(1) or search(*given)
    )
    motion = FrameMotion()
    for step in range(4):
        motion.add(seen_by(camera(step), step))
    assert len(searches) == 1
    monkeypatch.setattr("edge.frame_motion.RENEWED_BELOW", 10_000)
    motion.add(seen_by(camera(4), 4))
    assert len(searches) == 2
    assert motion.since(0)[1] == 4, "looking for corners anew breaks nothing"


def test_a_long_chain_stays_near_the_truth():
    """Two seconds of a camera at 30 Hz: as far as an alignment is ever carried and further."""
    motion = FrameMotion()
    for step in range(60):
        motion.add(seen_by(camera(step / 6), step))
    spots = np.array([[100.0, 80.0], [320.0, 240.0], [560.0, 400.0]])
    way, steps = motion.since(0)
    true = project(np.linalg.inv(camera(0)) @ camera(59 / 6), spots)
    assert steps == 59 and np.abs(project(way, spots) - true).max() < 1.0


def test_a_cut_breaks_the_chain():
    motion = FrameMotion()
    motion.add(seen_by(camera(0), 0))
    other = np.random.default_rng(9).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    motion.add(Frame(cv2.GaussianBlur(other, (0, 0), 3), 1, 0.0, "live"))
    assert motion.since(0) is None
    assert motion.since(1)[1] == 0
    motion.add(seen_by(camera(2), 2))
    assert motion.since(0) is None and motion.since(7) is None


def test_a_picture_without_corners_or_of_another_size_breaks_it_too():
    motion = FrameMotion()
    for index, shape in enumerate([(480, 640, 3), (480, 640, 3), (240, 320, 3)]):
        motion.add(Frame(np.full(shape, 90, np.uint8), index, 0.0, "live"))
        assert motion.since(index)[1] == 0
        assert index == 0 or motion.since(index - 1) is None
