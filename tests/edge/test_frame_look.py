"""One look of a frame at a window, with the project's matcher and with another."""

from __future__ import annotations

import numpy as np
import pytest

from edge.frame_look import WorkingFrame, nearest, take_look
from edge.local_features import LocalFeatures
from edge.matching import mutual_matches, project
from edge.pose_search import PoseHypothesis
from edge.window_features import read_level

SIZE = 480, 360


@pytest.fixture(scope="module")
def shown(aligner, town, drawn_town):
    """A frame, its true place, and what a look at it needs."""
    truth = drawn_town.view(10.0, 0.5, (240, 260), SIZE)
    frame = WorkingFrame.of(drawn_town.photograph(town.image, truth, SIZE))
    levels = {level: read_level(town.feature, level) for level in (1, 2)}
    start = PoseHypothesis(0.0, 0.5).matrix()
    arguments = aligner._extractor, frame, levels.__getitem__, (512, 512), start
    return truth, arguments, levels


def away_px(look, truth):
    corners = np.array([[0, 0], [SIZE[0], 0], SIZE, [0, SIZE[1]]], np.float64)
    return np.linalg.norm(project(look.to_window, corners) - project(truth, corners), axis=1)


def test_another_matcher_sees_the_frame_in_pixels_of_the_level(shown):
    truth, arguments, levels = shown
    seen = []

    def match(frame, window):
        seen.append((frame, window))
        return nearest(frame, window)

    look = take_look(*arguments, anywhere=True, match=match)
    plain = take_look(*arguments, anywhere=True)
    np.testing.assert_array_equal(look.placed, plain.placed)
    assert away_px(look, truth).max() < 3.0
    ((frame, window),) = seen
    assert window is levels[look.level]
    # Where the look has put the frame, whose zoom was right: its size in pixels of the level.
    extent = np.ptp(frame.xy_px, axis=0)
    assert (extent < np.array(SIZE) * 0.5 * look.level).all() and extent.min() > 100
    rows, columns = nearest(frame, window)
    for one, other in zip(
        (rows, columns), mutual_matches(frame.descriptor, window.descriptor), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_matcher_that_finds_nothing_finds_no_place(shown):
    _, arguments, _ = shown
    nothing = np.zeros(0, np.intp)
    assert take_look(*arguments, anywhere=True, match=lambda *_: (nothing, nothing)) is None


def test_near_the_footprint_the_matcher_sees_less_of_the_window(shown):
    truth, arguments, levels = shown
    counts = []

    def match(frame: LocalFeatures, window: LocalFeatures):
        counts.append(len(window))
        return nearest(frame, window)

    look = take_look(*arguments[:4], truth, anywhere=False, match=match)
    assert away_px(look, truth).max() < 1.5
    assert counts[0] < len(levels[look.level])
