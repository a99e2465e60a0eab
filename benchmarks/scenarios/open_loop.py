"""Periodic: frames come at the camera's rate, and time counts from when they were due.

The frame path is that of `tilefix run` on a live source: a thread reads the camera into a mailbox
that holds the newest frame (`edge.live`), the pipeline locates, and frame alignment runs beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.lines import Punctuality
from benchmarks.record.series import pack
from benchmarks.scenarios.camera import ScheduledCamera
from benchmarks.scenarios.closed_loop import split
from benchmarks.scenarios.drive import COMPLETE, INTERRUPTED, Driven, lost
from benchmarks.scenarios.flights import Shot
from benchmarks.scenarios.recorder import ABSENT, START_DELAY, TOTAL, Recorder, Row, row
from benchmarks.scenarios.rules import Rules
from edge.errors import ExecutorError
from edge.executors.run_clock import RunClock
from edge.frame_result import FrameResult
from edge.graceful_stop import GracefulStop
from edge.live import LiveSource
from edge.types import Click, Frame, FramePose

NAME = "scheduled camera"


class Processing(Protocol):
    """The part of a `Pipeline` that a frame needs."""

    def process(self, frame: Frame, clicks: Sequence[Click], pose: FramePose) -> FrameResult:
        """Locate the clicks of a frame."""
        ...


class FramePath:
    """One frame through the pipeline."""

    def __init__(
        self,
        pipeline: Processing,
        clock: RunClock,
        scheduled_ns: Callable[[int], int],
    ) -> None:
        """Take the parts: `clock` of the localizer, `scheduled_ns` when a frame was due."""
        self._pipeline = pipeline
        self._clock = clock
        self._scheduled_ns = scheduled_ns
        self.placed = False  # whether alignment gave the last frame a place

    def step(self, frame: Frame, clicks: Sequence[Click], pose: FramePose, taken_ns: int) -> Row:
        """Locate, and say what it took; `taken_ns`: when the frame left the mailbox.

        Raises:
            ExecutorError: the device failed.
        """
        clock, due_ns = self._clock, self._scheduled_ns(frame.index)
        engine_ns, copy_ns, gpu_ns = clock.engine_ns, clock.copy_ns, clock.gpu_ns
        start_ns = time.perf_counter_ns()
        result = self._pipeline.process(frame, clicks, pose)
        end_ns = time.perf_counter_ns()
        timings, self.placed = result.timings, result.placed is not None
        before_ms = (timings.window_ms or 0.0) + (timings.encode_ms or 0.0)
        before_ms += timings.align_ms or 0.0
        return row(
            end_ns - due_ns,
            ABSENT if gpu_ns is None or clock.gpu_ns is None else clock.gpu_ns - gpu_ns,
            taken_ns - due_ns,
            capture=start_ns - taken_ns,
            window=_ns(timings.window_ms),
            encode=_ns(timings.encode_ms),
            align=_ns(timings.align_ms),
            **split(
                timings,
                end_ns - start_ns - round(1e6 * before_ms),
                clock.engine_ns - engine_ns,
                None if copy_ns is None or clock.copy_ns is None else clock.copy_ns - copy_ns,
            ),
        )


@dataclass(frozen=True, slots=True)
class Flown:
    """How an open loop went."""

    driven: Driven
    punctuality: Punctuality


def fly(
    shots: Sequence[Shot],
    clicks: Sequence[tuple[Click, ...]],
    path_of: Callable[[Callable[[int], int]], FramePath],
    rules: Rules,
    rate_hz: float,
    recorder: Recorder,
    stop: GracefulStop,
    *,
    seed: int,
    beside: tuple[str, ...],
    begin: Callable[[], None] = lambda: None,
) -> Flown:
    """Fly until the camera has given all frames that the rules ask for.

    Args:
        shots: what the camera shows.
        clicks: of each shot.
        path_of: makes the frame path, given when each frame is due.
        rules: how many frames, and how many before them are warm-up.
        rate_hz: of the camera.
        recorder: takes the rows.
        stop: asks for an end after the frame at work.
        seed: of the camera's shaking.
        beside: what runs beside the frame path.
        begin: called between warm-up and measurement.
    """
    warmup, wanted = rules.frames(rate_hz)
    camera = ScheduledCamera(shots, rate_hz, warmup + wanted, seed)
    path = path_of(camera.scheduled_ns)
    camera.start()
    source = LiveSource(lambda: camera, NAME)
    last, aligned, begun, error, ended = -1, 0, False, None, INTERRUPTED
    try:
        frames = iter(source)
        while (frame := stop.next_of(frames)) is not None:
            # Colours are turned after a frame left the mailbox, which is when its age was read.
            taken_ns = camera.given_ns(frame.index) + round(1e6 * (source.age_ms or 0.0))
            if not begun and frame.index >= warmup:
                begun = True
                begin()
            last = frame.index
            at = camera.at(last)
            found = path.step(frame, clicks[at], shots[at].pose, taken_ns)
            if last == warmup - 1:  # between two frames, so that it makes none late
                begun = True
                begin()
            if last >= warmup:
                recorder.add(found)
                aligned += path.placed
            if last == warmup + wanted - 1:
                ended = COMPLETE
                break
    except ExecutorError as failure:
        ended, error = lost(failure), failure
    finally:
        source.close()
    duration_s = max(0.0, 1e-9 * (time.perf_counter_ns() - camera.scheduled_ns(warmup)))
    given = wanted if ended == COMPLETE else max(last + 1 - warmup, 0)
    driven = Driven(ended, warmup, duration_s, error)
    return Flown(driven, punctuality(recorder, rate_hz, given, beside, aligned))


def punctuality(
    recorder: Recorder, rate_hz: float, scheduled: int, beside: tuple[str, ...], aligned: int
) -> Punctuality:
    """What came in time of `scheduled` frames, of which the recorder has those that were done."""
    age_ns = recorder.column(TOTAL)
    in_time = int((age_ns <= 1e9 / rate_hz).sum())
    return Punctuality(
        rate_hz=rate_hz,
        scheduled=scheduled,
        missed=scheduled - in_time,
        age=pack(age_ns),
        start_delay=pack(recorder.column(START_DELAY)),
        beside=beside,
        aligned=aligned,
    )


def jitter_ms(start_delay_ns: NDArray[np.int64]) -> float:
    """Standard deviation of the delays of the starts."""
    return 1e-6 * float(np.std(start_delay_ns)) if len(start_delay_ns) else 0.0


def _ns(value_ms: float | None) -> int:
    return ABSENT if value_ms is None else round(1e6 * value_ms)
