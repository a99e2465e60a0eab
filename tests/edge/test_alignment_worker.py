from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from edge.alignment_worker import FORGET_AFTER, AlignmentWorker
from edge.errors import FeatureStoreError
from edge.pose_search import PoseHypothesis
from edge.types import Frame, FramePose, ReferenceFeature

IMAGE = np.zeros((48, 64, 3), np.uint8)
PATIENCE_S = 10.0


def frame(index):
    return Frame(IMAGE, index, index / 10, "test")


def window(name="w"):
    return ReferenceFeature({}, None, 1024, 1024, name, "m", "x", 1.0)


class Found:
    """Stands for an Alignment."""

    def __init__(self, window_id, call):
        self.window_id = window_id
        self.call = call


class Scripted:
    """An aligner that answers as told and can be held up."""

    def __init__(self, attempts=(), tracks=()):
        self.attempts, self.tracks = list(attempts), list(tracks)
        self.calls = []
        self.entered, self.go = threading.Semaphore(0), threading.Event()
        self.go.set()

    def _answer(self, kind, script, feature):
        self.calls.append(kind)
        self.entered.release()
        assert self.go.wait(PATIENCE_S)
        answer = script.pop(0) if script else None
        if isinstance(answer, Exception):
            raise answer
        return Found(feature.window_id, kind) if answer else None

    def attempt(self, frame_image, feature, hypothesis):
        return self._answer("attempt", self.attempts, feature)

    def track(self, frame_image, feature, last):
        return self._answer("track", self.tracks, feature)


def offer_each(worker, frames):
    results = []
    for index in frames:
        worker.offer(frame(index), (window(),))
        assert worker.wait(PATIENCE_S)
        results.append(worker.latest())
    return results


def test_the_result_of_a_frame_is_picked_up_when_ready():
    with AlignmentWorker(Scripted(attempts=[True])) as worker:
        assert worker.latest() is None
        (result,) = offer_each(worker, [7])
    assert result.frame_index == 7 and result.time_s == pytest.approx(0.7)
    assert result.alignment.window_id == "w"


def test_neither_offer_nor_latest_waits_and_the_newest_frame_wins():
    slow = Scripted()
    slow.go.clear()
    with AlignmentWorker(slow) as worker:
        worker.offer(frame(0), (window(),))
        assert slow.entered.acquire(timeout=PATIENCE_S)  # the thread is at work on frame 0
        start = time.perf_counter()
        for index in range(1, 6):
            worker.offer(frame(index), (window(),))
            assert worker.latest() is None
        assert time.perf_counter() - start < 1.0
        slow.go.set()
        assert worker.wait(PATIENCE_S)
        assert worker.latest().frame_index == 5
        assert worker.dropped == 4
    assert len(slow.calls) == 2  # frames 0 and 5


def test_a_found_frame_is_tracked_and_a_lost_one_searched_again():
    scripted = Scripted(attempts=[None, True, True], tracks=[True])
    with AlignmentWorker(scripted) as worker:
        results = offer_each(worker, range(3 + FORGET_AFTER + 1))
    expected = ["attempt", "attempt", "track"] + ["track"] * FORGET_AFTER + ["attempt"]
    assert scripted.calls == expected
    aligned = [result.alignment is not None for result in results]
    assert aligned == [False, True, True] + [False] * FORGET_AFTER + [True]


def test_tracking_goes_over_to_the_next_window():
    scripted = Scripted(attempts=[True], tracks=[None, True])
    with AlignmentWorker(scripted) as worker:
        offer_each(worker, [0])
        worker.offer(frame(1), (window("next"), window("w")))
        assert worker.wait(PATIENCE_S)
        assert worker.latest().alignment.window_id == "next"
    assert scripted.calls == ["attempt", "track", "track"]


def test_a_wrong_yaw_of_a_live_source_is_doubted_after_one_round():
    """The compass says north; the camera looks south."""

    class LooksSouth(Scripted):
        def attempt(self, frame_image, feature, hypothesis):
            self.calls.append(hypothesis.yaw_deg % 360)
            south = abs(hypothesis.yaw_deg % 360 - 180) <= 22.5
            return Found(feature.window_id, "attempt") if south else None

    looks_south = LooksSouth(tracks=[True] * 9)
    with AlignmentWorker(looks_south) as worker:
        for index in range(12):  # four zooms are open, the fifth step ends the round
            worker.offer(frame(index), (window(),), FramePose(yaw_deg=0.0))
            assert worker.wait(PATIENCE_S)
        assert worker.latest().alignment is not None
    attempts = [call for call in looks_south.calls if call != "track"]
    assert attempts[:4] == [0.0] * 4 and attempts[-1] == 180.0 and len(attempts) <= 8


def test_no_windows_no_alignment():
    scripted = Scripted(attempts=[True])
    with AlignmentWorker(scripted) as worker:
        worker.offer(frame(0), ())
        assert worker.wait(PATIENCE_S)
        assert worker.latest().alignment is None
    assert scripted.calls == []


def test_a_failure_reaches_the_frame_path_once_and_work_goes_on():
    trouble = FeatureStoreError("no features", expected="some", found="none", do="encode")
    with AlignmentWorker(Scripted(attempts=[trouble, True])) as worker:
        worker.offer(frame(0), (window(),))
        with pytest.raises(FeatureStoreError, match="no features"):
            worker.wait(PATIENCE_S)
        (result,) = offer_each(worker, [1])
    assert result.frame_index == 1 and result.alignment is not None


def test_a_failure_is_not_lost_to_the_frame_after_it():
    trouble = FeatureStoreError("no features", expected="some", found="none", do="encode")
    slow = Scripted(attempts=[trouble, True])
    slow.go.clear()
    with AlignmentWorker(slow) as worker:
        worker.offer(frame(0), (window(),))
        assert slow.entered.acquire(timeout=PATIENCE_S)
        worker.offer(frame(1), (window(),))  # waits while the first one fails
        slow.go.set()
        assert slow.entered.acquire(timeout=PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while worker._busy or worker._waiting is not None:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        with pytest.raises(FeatureStoreError, match="no features"):
            worker.latest()
        assert worker.latest().frame_index == 1


def test_closing_ends_the_thread_and_drops_what_waits():
    slow = Scripted()
    slow.go.clear()
    worker = AlignmentWorker(slow)
    worker.offer(frame(0), (window(),))
    assert slow.entered.acquire(timeout=PATIENCE_S)
    worker.offer(frame(1), (window(),))
    threading.Timer(0.05, slow.go.set).start()
    worker.close()
    assert len(slow.calls) == 1
    assert all(thread.name != "alignment" for thread in threading.enumerate())


def test_a_real_aligner_follows_a_flight(aligner, town, drawn_town):
    size = 480, 360
    with AlignmentWorker(aligner, attempts_per_frame=33) as worker:
        for index in range(3):
            truth = drawn_town.view(10.0 + 6 * index, 0.4, (240 + 10 * index, 250), size)
            picture = drawn_town.photograph(town.image, truth, size)
            shown = Frame(picture, index, float(index), "test", FramePose(yaw_deg=10.0))
            worker.offer(shown, (town.feature,))
            assert worker.wait(60.0)
            found = worker.latest().alignment
            assert found is not None
            assert abs((found.yaw_deg - 10 - 6 * index + 180) % 360 - 180) < 1.0
    assert PoseHypothesis(found.yaw_deg, found.scale).scale == pytest.approx(0.4, rel=0.03)
