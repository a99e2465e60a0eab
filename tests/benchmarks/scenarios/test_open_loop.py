"""Periodic: the camera's clock, what is missed, and what counts as late."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.record.frame_ages import (
    NEVER_NS,
    all_ages_ns,
    percentile_or_never_ms,
    unpack_numbers,
)
from benchmarks.record.series import unpack
from benchmarks.scenarios import open_loop
from benchmarks.scenarios.camera import SHAKE_PX, ScheduledCamera
from benchmarks.scenarios.flight_log import FlightLog
from benchmarks.scenarios.open_loop import FramePath, fly, jitter_ms, punctuality
from benchmarks.scenarios.queries import draw_clicks
from benchmarks.scenarios.recorder import START_DELAY, TOTAL, Recorder, row
from benchmarks.scenarios.rules import LOCKING_S, Rules
from edge.errors import ExecutorError
from edge.executors.run_clock import RunClock
from edge.tiles.lattice import WindowPlace
from edge.types import Timings, Verdict

RATE_HZ = 200.0
PLACES = {"w": WindowPlace(1000, 2000, 64, 64)}
TIMINGS = Timings(window_ms=0.1, align_ms=0.2, preprocess_ms=0.3, total_ms=1.0)


@pytest.fixture
def quick_start(monkeypatch):
    """A warm-up of a few frames."""
    monkeypatch.setattr("benchmarks.scenarios.rules.LOCKING_S", 0.02)


def rules(frames):
    seconds = frames / RATE_HZ
    return Rules(frames, seconds, seconds, warmup_s=0.0)


def answer(index, number):
    """A box that tells whose it is; every second click is accepted, and every third has none."""
    box = None if number % 3 == 2 else (float(index), float(number), index + 4.0, number + 4.0)
    verdict = Verdict.ACCEPTED if number % 2 == 0 else Verdict.NOT_HERE
    return SimpleNamespace(box_xyxy_px=box, window_id="w", verdict=verdict)


class Pipeline:
    """Takes its time, keeps what it was given."""

    def __init__(self, works=lambda index: None):
        self.works = works
        self.given = []

    def process(self, frame, clicks, pose):
        self.given.append((frame, clicks, pose))
        self.works(frame.index)
        placed = object() if frame.index % 2 else None
        fixes = tuple(answer(frame.index, n) for n in range(len(clicks)))
        return SimpleNamespace(timings=TIMINGS, placed=placed, fixes=fixes, places=PLACES)


def clicks_of(flight):
    """As many in each shot."""
    return [draw_clicks(shot, 3, np.random.default_rng(0)) for shot in flight.shots]


def flown(flight, stop, pipeline, frames=30, **how):
    recorder = Recorder()
    found = fly(
        flight.shots,
        clicks_of(flight),
        pipeline,
        RunClock(),
        rules(frames),
        RATE_HZ,
        recorder,
        stop,
        seed=0,
        beside=("alignment",),
        **how,
    )
    return found, recorder


# --- the camera ----------------------------------------------------------------------------------


def test_the_flight_goes_forth_and_back_at_its_own_pace(flight):
    """Pictures at 0, 1 and 2 s; the camera gives two frames a second."""
    camera = ScheduledCamera(flight.shots, 2.0, 100)
    assert [camera.at(n) for n in range(10)] == [0, 0, 1, 1, 2, 1, 1, 0, 0, 0]


def test_one_picture_is_shown_for_ever(flight):
    camera = ScheduledCamera(flight.shots[:1], 2.0, 100)
    assert {camera.at(n) for n in range(50)} == {0}


def test_no_frame_comes_before_it_is_due_and_none_after_the_last(flight):
    camera = ScheduledCamera(flight.shots, 500.0, 5)
    camera.start()
    for index in range(5):
        read, image = camera.read()
        assert read and image.shape == flight.shots[0].image_bgr.shape
        assert time.perf_counter_ns() >= camera.scheduled_ns(index)
        assert camera.given_ns(index) >= camera.scheduled_ns(index)
    assert camera.scheduled_ns(4) - camera.scheduled_ns(0) == 8_000_000
    assert camera.read() == (False, None)


def test_who_reads_late_gets_the_next_frame_at_once_and_the_schedule_stays(flight):
    camera = ScheduledCamera(flight.shots, 100.0, 4)
    camera.start_ns = time.perf_counter_ns() - 1_000_000_000
    due = [camera.scheduled_ns(n) for n in range(4)]
    for _ in range(4):
        assert camera.read()[0]
    assert [camera.scheduled_ns(n) for n in range(4)] == due


def test_the_picture_moves_a_little_from_frame_to_frame(flight):
    shot = flight.shots[0]
    camera = ScheduledCamera([shot], 1000.0, 20)
    camera.start()
    seen = [np.array(camera.read()[1]) for _ in range(20)]
    assert len({image.tobytes() for image in seen}) > 5
    inner = slice(2 * SHAKE_PX, -2 * SHAKE_PX)
    for image in seen:
        moved = [
            np.roll(shot.image_bgr, (down, right), (0, 1))[inner, inner]
            for down in range(-SHAKE_PX, SHAKE_PX + 1)
            for right in range(-SHAKE_PX, SHAKE_PX + 1)
        ]
        assert any((image[inner, inner] == each).all() for each in moved)


# --- the loop ------------------------------------------------------------------------------------


def test_every_frame_of_the_measurement_is_accounted_for(flight, stop, quick_start):
    begun = []
    pipeline = Pipeline()
    marks = {"begin": lambda: begun.append("begin"), "end": lambda: begun.append("end")}
    found, recorder = flown(flight, stop, pipeline, **marks)
    late = found.punctuality
    assert found.driven.ended == "complete"
    assert late.scheduled == 30 and late.rate_hz == RATE_HZ and late.beside == ("alignment",)
    assert late.age.count == late.start_delay.count == recorder.count <= 30
    done = [frame.index for frame, _, _ in pipeline.given if frame.index >= 4]
    assert late.aligned == sum(index % 2 for index in done), "those of the warm-up do not count"
    assert begun == ["begin", "end"]
    assert unpack_numbers(late.frames).tolist() == [index - 4 for index in done]
    assert found.driven.warmup_queries == 4
    assert (unpack(late.age) >= unpack(late.start_delay)).all()


def test_the_frame_path_gets_what_the_camera_shows(flight, stop, quick_start):
    pipeline = Pipeline()
    flown(flight, stop, pipeline)
    camera, made = ScheduledCamera(flight.shots, RATE_HZ, 1), clicks_of(flight)
    for frame, clicks, pose in pipeline.given:
        at = camera.at(frame.index)
        shot = flight.shots[at]
        assert clicks == made[at] and pose == shot.pose
        assert frame.image.flags.c_contiguous and frame.image.shape == shot.image_bgr.shape


def test_a_slow_frame_path_misses_frames_and_takes_the_newest(flight, stop, quick_start):
    """Each frame takes three periods: two of three are overtaken, and the third is late itself."""
    pipeline = Pipeline(lambda index: time.sleep(3 / RATE_HZ))
    found, recorder = flown(flight, stop, pipeline)
    late = found.punctuality
    assert late.scheduled == 30
    assert recorder.count <= 14, "the others were replaced in the mailbox"
    assert late.missed == 30, "none was done within a period of when it was due"
    indices = [frame.index for frame, _, _ in pipeline.given]
    assert indices == sorted(indices) and indices[-1] == 33, "the last one is always the newest"
    frames = unpack_numbers(late.frames)
    assert frames.tolist() == [index - 4 for index in indices if index >= 4]
    assert late.unanswered == 30 - len(frames) > 10
    ages = all_ages_ns(late)
    assert (ages[frames] == unpack(late.age)).all(), "each at the number of its frame"
    assert (np.delete(ages, frames) == NEVER_NS).all()
    assert percentile_or_never_ms(ages, 50.0) == np.inf, "most were never answered"


def test_the_log_holds_every_answer_in_pixels_of_the_grid(flight, stop, quick_start):
    pipeline = Pipeline()
    found, _ = flown(flight, stop, pipeline)
    boxes, accepted = found.log.boxes_px(30), found.log.accepted(30)
    frames = unpack_numbers(found.punctuality.frames)
    for number in frames:
        left, top = 1000.0 + number + 4, 2000.0
        assert boxes[number, 0].tolist() == [left, top, left + 4, top + 4]
        assert boxes[number, 1].tolist() == [left, top + 1, left + 4, top + 5]
        assert np.isnan(boxes[number, 2]).all() and accepted[number].tolist() == [1, 0, 0]
    others = np.setdiff1d(np.arange(30), frames)
    assert np.isnan(boxes[others]).all() and not accepted[others].any()


def test_a_slow_camera_is_not_taken_for_a_broken_one(flight, stop, quick_start, monkeypatch):
    """Three periods may pass in silence, where that is more than what live sources allow."""
    seen = []
    source = open_loop.LiveSource

    def watched(camera, name, stall_s):
        seen.append(stall_s)
        return source(camera, name, stall_s)

    monkeypatch.setattr(open_loop, "LiveSource", watched)
    monkeypatch.setattr(open_loop, "STALL_S", 0.001)
    flown(flight, stop, Pipeline(), frames=2)
    monkeypatch.setattr(open_loop, "STALL_S", 5.0)
    flown(flight, stop, Pipeline(), frames=2)
    assert seen == [3 / RATE_HZ, 5.0]


def test_latency_counts_from_when_a_frame_was_due_and_not_from_when_it_was_taken(flight):
    due_ns = time.perf_counter_ns() - 50_000_000
    camera = SimpleNamespace(
        scheduled_ns=lambda index: due_ns,
        given_ns=lambda index: due_ns + 15_000_000,
        at=lambda index: 0,
    )
    log = FlightLog([0] * 4, 3)
    how = camera, flight.shots, clicks_of(flight), log, 3
    path = FramePath(Pipeline(), RunClock(), *how)
    recorder = Recorder()
    recorder.add(path.step(SimpleNamespace(index=3), 5.0))
    assert log.answered.tolist() == [True, False, False, False], "the first after the warm-up"
    assert recorder.column(TOTAL)[0] >= 50_000_000
    assert recorder.column(START_DELAY).tolist() == [20_000_000]
    assert recorder.column("window").tolist() == [100_000]
    assert recorder.column("align").tolist() == [200_000]
    assert recorder.column("preprocess").tolist() == [300_000]
    assert recorder.column("encode").size == 0


def test_missed_is_late_or_overtaken():
    recorder = Recorder()
    for age_ms in (1.0, 9.9, 10.0, 10.1, 30.0):
        recorder.add(row(round(1e6 * age_ms), start_delay_ns=1000))
    log = FlightLog([0] * 8, 1)
    log.answered[[0, 1, 3, 4, 6]] = True
    log.aligned[[0, 3]] = True
    late = punctuality(recorder, 100.0, 8, (), log)
    assert late.aligned == 2 and late.unanswered == 3
    assert unpack_numbers(late.frames).tolist() == [0, 1, 3, 4, 6]
    assert late.missed == 5, "two late ones, and three that were never done"
    assert unpack(late.age).tolist() == [1_000_000, 9_900_000, 10_000_000, 10_100_000, 30_000_000]


def test_a_stop_counts_only_the_frames_until_then(flight, stop, quick_start):
    def ask(index):
        stop.requested = index >= 13

    found, recorder = flown(flight, stop, Pipeline(ask), frames=1000)
    assert found.driven.ended == "interrupted"
    assert 1 <= recorder.count <= found.punctuality.scheduled < 100


def test_a_lost_device_is_marked_and_the_camera_is_let_go(flight, stop, quick_start):
    def fail(index):
        if index >= 10:
            raise ExecutorError("the device is gone", expected="a", found="status 46", do="b")

    before = threading.active_count()
    found, recorder = flown(flight, stop, Pipeline(fail), frames=1000)
    assert found.driven.ended == "device lost: the device is gone; status 46"
    assert found.driven.error is not None
    assert recorder.count >= 1
    assert found.punctuality.missed >= found.punctuality.scheduled - recorder.count
    assert threading.active_count() == before


def test_an_alignment_has_time_to_lock_before_anything_is_counted():
    warmup, _ = Rules(warmup_s=0.0).frames(10.0)
    assert warmup == round(10 * LOCKING_S)


def test_jitter_is_the_spread_of_the_starts():
    assert jitter_ms(np.array([1_000_000, 3_000_000] * 5)) == 1.0
    assert jitter_ms(np.array([1_000_000] * 9)) is None, "nine say nothing of a spread"
    assert jitter_ms(np.array([], np.int64)) is None


def test_shots_that_are_apart_in_time_are_kept_apart(flight):
    shots = [replace(shot, time_s=10.0 * n) for n, shot in enumerate(flight.shots)]
    camera = ScheduledCamera(shots, 1.0, 100)
    assert [camera.at(n) for n in (0, 9, 10, 19, 20, 21, 30, 40)] == [0, 0, 1, 1, 2, 1, 1, 0]
