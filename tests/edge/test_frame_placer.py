"""Where a frame lies: in its turn for files, carried by the picture's motion for live sources."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest
from moving_camera import camera, seen_by

from edge.alignment_worker import AlignedFrame, AlignmentWorker
from edge.feature_cache import FeatureCache
from edge.frame_placer import (
    CUT_SHORT,
    LATE,
    LONG_SEARCH,
    SEARCHED,
    STEP_SIGMA_PX,
    InlinePlacer,
    PlacedFrame,
    WorkerPlacer,
)
from edge.matching import project
from edge.tiles.lattice import WindowPlace
from edge.types import FramePose, Prior, PriorSource
from edge.window_choice import WindowChoice


@dataclass(frozen=True)
class FakeAlignment:
    """Pixels of the frame are pixels of the window, 10 further right; sigma 2 px."""

    window_id: str
    inliers: int = 50
    scale: float = 0.5

    @property
    def homography(self):
        return np.array([[1.0, 0, 10], [0, 1.0, 0], [0, 0, 1.0]])

    def prior(self, clicks):
        xy = project(self.homography, np.asarray(clicks, np.float64)).astype(np.float32)
        return Prior(xy, np.full(len(xy), 0.25, np.float32), PriorSource.ALIGNMENT, self.inliers)


def test_a_carried_alignment_answers_for_the_frame_at_hand_less_surely():
    place = WindowPlace(0, 0)
    to_aligned = np.array([[1.0, 0, -30], [0, 1.0, 5], [0, 0, 1.0]])
    carried = PlacedFrame(FakeAlignment("w"), place, to_aligned, steps=5)
    prior = carried.prior([[100.0, 50.0], [0.0, 0.0]])
    assert prior.xy_px.tolist() == [[80.0, 55.0], [-20.0, 5.0]]
    sigma = np.sqrt(1 / prior.inv_var)
    assert sigma == pytest.approx(np.hypot(2.0, STEP_SIGMA_PX * 0.5 * 5))
    assert (prior.source, prior.inliers) == (PriorSource.ALIGNMENT, 50)
    assert carried.homography[:, 2].tolist() == [-20.0, 5.0, 1.0]
    assert PlacedFrame(FakeAlignment("w"), place, np.eye(3)).prior([[1, 1]]).inv_var[0] == 0.25


def test_a_click_behind_the_horizon_of_the_carried_frame_gets_no_prior():
    to_aligned = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, -0.01, 1.0]])
    carried = PlacedFrame(FakeAlignment("w"), WindowPlace(0, 0), to_aligned, steps=1)
    prior = carried.prior([[10.0, 10.0], [10.0, 150.0]])
    assert prior.inv_var[0] > 0 and prior.inv_var[1] == 0
    assert np.isfinite(prior.xy_px).all()


@pytest.fixture
def choice(parts):
    localizer = parts.FakeLocalizer()
    cache = FeatureCache(localizer, parts.PlainGrid())
    places = [WindowPlace(parts.LEFT_PX + 512 * n, parts.TOP_PX) for n in range(3)]
    return WindowChoice(places, cache)


class ScriptedAligner:
    """Aligns in the windows it is told to, at one yaw or any."""

    def __init__(self, *fits, yaw_deg=None):
        self.fits = set(fits)
        self.yaw_deg = yaw_deg
        self.asked = []

    def attempt(self, image, feature, hypothesis):
        self.asked.append((feature.window_id, hypothesis.yaw_deg, round(hypothesis.scale, 3)))
        fits = feature.window_id in self.fits and self.yaw_deg in (None, hypothesis.yaw_deg)
        return FakeAlignment(feature.window_id) if fits else None

    def track(self, image, feature, last):
        self.asked.append((feature.window_id, "tracked"))
        return FakeAlignment(feature.window_id) if feature.window_id in self.fits else None

    def take(self):
        asked, self.asked = self.asked, []
        return asked


def names_of(parts):
    return [f"z19/x{parts.LEFT_PX + 512 * n}/y{parts.TOP_PX}" for n in range(3)]


KNOWN = FramePose(yaw_deg=10.0, gsd_m=0.2036)


def test_inline_the_window_of_the_last_frame_is_tried_first(parts, choice):
    names = names_of(parts)
    aligner = ScriptedAligner(names[1])
    placer = InlinePlacer(aligner)
    placed = placer.place(parts.frame(0), KNOWN, choice)
    assert placed.place == choice.places[1] and placed.steps == 0
    assert [each[0] for each in aligner.take()] == names[:2]
    placer.place(parts.frame(1), KNOWN, choice)
    assert aligner.take() == [(names[1], "tracked")]
    aligner.fits.clear()
    assert placer.place(parts.frame(2), KNOWN, choice) is None
    aligner.take()
    placer.place(parts.frame(3), KNOWN, choice)
    assert aligner.take()[0][:2] == (names[0], 10.0)  # a lost track is forgotten


def test_inline_a_failed_search_is_spread_over_the_next_frames(parts, choice):
    aligner = ScriptedAligner()
    placer = InlinePlacer(aligner)
    assert placer.place(parts.frame(0), FramePose(), choice) is None
    every = aligner.take()
    assert len(set(every)) == len(every) == 32 * 3
    assert [each[0] for each in every[:3]] == names_of(parts)  # a hypothesis in all windows
    assert placer.note == SEARCHED + LONG_SEARCH, "no yaw is known"
    later = []
    for index in range(1, 13):
        assert placer.place(parts.frame(index), FramePose(), choice) is None
        later.append(aligner.take())
        assert placer.note == CUT_SHORT + LONG_SEARCH
    assert {len(each) for each in later} == {8}
    second_round = [each for frame in later for each in frame]
    assert len(set(second_round)) == 96 and not set(second_round) & set(every)  # yaws in between
    placer.place(parts.frame(13), FramePose(), choice)
    assert aligner.take() == every[:8]  # and again from the start


def test_inline_a_new_place_is_searched_in_full_and_a_neighbour_is_not(parts, choice):
    aligner = ScriptedAligner()
    placer = InlinePlacer(aligner)
    placer.place(parts.frame(0), FramePose(), choice)
    aligner.take()

    def moved(first, last):
        places = [WindowPlace(parts.LEFT_PX + 512 * n, parts.TOP_PX) for n in range(first, last)]
        return WindowChoice(places, FeatureCache(parts.FakeLocalizer(), parts.PlainGrid()))

    hypotheses = []
    for first in (1, 2, 1, 2):
        placer.place(parts.frame(1), FramePose(), moved(first, first + 3))
        asked = aligner.take()
        assert len(asked) == 8
        hypotheses.append(asked[-1][1:])
    assert len(set(hypotheses)) == 4  # the search goes on though the windows change
    placer.place(parts.frame(2), FramePose(), moved(6, 7))
    assert len(aligner.take()) == 32


def test_inline_a_wrong_yaw_of_telemetry_is_doubted_once(parts, choice):
    names = names_of(parts)
    aligner = ScriptedAligner(names[0], yaw_deg=180.0)
    assert InlinePlacer(aligner).place(parts.frame(0), KNOWN, choice).place == choice.places[0]
    asked = aligner.take()
    assert [yaw for _, yaw, _ in asked[:3]] == [10.0] * 3  # what telemetry says comes first
    aligner = ScriptedAligner()
    placer = InlinePlacer(aligner)
    counts = []
    for index in range(3):
        assert placer.place(parts.frame(index), KNOWN, choice) is None
        asked = aligner.take()
        assert [yaw for _, yaw, _ in asked[:3]] == [10.0] * 3
        counts.append(len(asked))
    assert counts == [3 + 8 * 3, 8, 8]


class SlowAligner:
    """The worker's part; its first frame takes until `may_finish`."""

    def __init__(self):
        self.may_finish = threading.Event()

    def attempt(self, image, feature, hypothesis):
        self.may_finish.wait(5)
        return FakeAlignment(feature.window_id)

    def track(self, image, feature, last):
        return FakeAlignment(feature.window_id)


def test_live_a_frame_never_waits_for_its_alignment_and_gets_an_earlier_one(parts, choice):
    aligner = SlowAligner()
    placer = WorkerPlacer(AlignmentWorker(aligner))
    for feature in choice.places:
        choice.feature(feature)
    try:
        start_s = time.monotonic()
        for index in range(3):
            assert (
                placer.place(seen_by(camera(index), index, 0.1 * index), FramePose(), choice)
                is None
            )
            assert placer.note == LATE
        assert time.monotonic() - start_s < 1.5
        aligner.may_finish.set()
        placer._worker.wait(5)
        placed = placer.place(seen_by(camera(3), 3, 0.3), FramePose(), choice)
        assert placed.place == choice.places[0] and placer.note == ""
        assert placed.steps == 1  # of the frames that waited only the newest was aligned
        spots = np.array([[320.0, 240.0]])
        true = project(np.linalg.inv(camera(2)) @ camera(3), spots)
        assert project(placed.to_aligned, spots) == pytest.approx(true, abs=1.5)
    finally:
        placer.close()


class FixedWorker:
    """Always the same answer."""

    def __init__(self, answer):
        self.answer = answer

    def offer(self, frame, features, pose=None):
        pass

    def latest(self):
        return self.answer

    def roam(self):
        pass

    def close(self):
        pass


@pytest.mark.parametrize(
    ("index", "time_s", "window", "found"),
    [(0, 0.0, 0, True), (0, -4.0, 0, False), (99, 0.0, 0, False), (0, 0.0, None, False)],
)
def test_old_unknown_or_foreign_alignments_are_not_carried(
    parts, choice, index, time_s, window, found
):
    name = f"z19/x{parts.LEFT_PX}/y{parts.TOP_PX}" if window is not None else "elsewhere"
    placer = WorkerPlacer(FixedWorker(AlignedFrame(index, time_s, FakeAlignment(name))))
    placer.place(seen_by(camera(0), 0, 0.0), FramePose(), choice)
    placed = placer.place(seen_by(camera(1), 1, 0.1), FramePose(), choice)
    assert (placed is not None) is found
    assert placer.note == ("" if found else LATE)
