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

from benchmarks.record.frame_ages import pack_numbers
from benchmarks.record.lines import COMPLETE
from benchmarks.record.observed import Punctuality
from benchmarks.record.percentiles import LEAST_COUNT
from benchmarks.record.series import pack
from benchmarks.scenarios.camera import ScheduledCamera
from benchmarks.scenarios.closed_loop import split
from benchmarks.scenarios.drive import INTERRUPTED, Driven, lost
from benchmarks.scenarios.flight_log import FlightLog
from benchmarks.scenarios.flights import Shot
from benchmarks.scenarios.recorder import ABSENT, START_DELAY, TOTAL, Recorder, Row, row
from benchmarks.scenarios.rules import Rules
from edge.cores import staying_on
from edge.errors import ExecutorError
from edge.executors.run_clock import RunClock
from edge.frame_result import FrameResult
from edge.graceful_stop import GracefulStop
from edge.live import STALL_S, LiveSource
from edge.types import Click, Frame, FramePose

NAME = "scheduled camera"
STALLED = 3  # periods of a slow camera, after which it is taken for silent


class Processing(Protocol):
    """The part of a `Pipeline` that a frame needs."""

    def process(self, frame: Frame, clicks: Sequence[Click], pose: FramePose) -> FrameResult:
        """Locate the clicks of a frame."""
        ...


class Giving(Protocol):
    """The part of a `ScheduledCamera` that a frame needs."""

    def scheduled_ns(self, index: int) -> int:
        """When the frame of that number is due."""
        ...

    def given_ns(self, index: int) -> int:
        """When it was handed out."""
        ...

    def at(self, index: int) -> int:
        """Number of the shot that it shows."""
        ...


class FramePath:
    """One frame after another through the pipeline."""

    def __init__(
        self,
        pipeline: Processing,
        clock: RunClock,
        camera: Giving,
        shots: Sequence[Shot],
        clicks: Sequence[tuple[Click, ...]],
        log: FlightLog,
        warmup: int,
    ) -> None:
        """Take the parts.

        Args:
            pipeline: locates.
            clock: of the localizer.
            camera: gives the frames.
            shots: that the camera shows.
            clicks: of each shot.
            log: keeps the answers of frames that are measured.
            warmup: frames before the first of these.
        """
        self._pipeline, self._clock, self._camera = pipeline, clock, camera
        self._shots, self._clicks = shots, clicks
        self._log, self._warmup = log, warmup

    def step(self, frame: Frame, age_ms: float | None) -> Row:
        """Locate, and say what it took; `age_ms`: since it was given, as it left the mailbox.

        Raises:
            ExecutorError: the device failed.
        """
        clock, camera, index = self._clock, self._camera, frame.index
        due_ns, at = camera.scheduled_ns(index), camera.at(index)
        # Colours are turned after a frame left the mailbox, which is when its age was read.
        taken_ns = camera.given_ns(index) + round(1e6 * (age_ms or 0.0))
        engine_ns, copy_ns, gpu_ns = clock.engine_ns, clock.copy_ns, clock.gpu_ns
        start_ns = time.perf_counter_ns()
        result = self._pipeline.process(frame, self._clicks[at], self._shots[at].pose)
        end_ns = time.perf_counter_ns()
        if index >= self._warmup:
            self._log.add(index - self._warmup, result)
        timings = result.timings
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
    log: FlightLog


def fly(
    shots: Sequence[Shot],
    clicks: Sequence[tuple[Click, ...]],
    pipeline: Processing,
    clock: RunClock,
    rules: Rules,
    rate_hz: float,
    recorder: Recorder,
    stop: GracefulStop,
    *,
    seed: int,
    beside: tuple[str, ...],
    cores: tuple[int, ...] = (),
    begin: Callable[[], None] = lambda: None,
    end: Callable[[], None] = lambda: None,
) -> Flown:
    """Fly until the camera has given all frames that the rules ask for.

    Args:
        shots: what the camera shows.
        clicks: of each shot.
        pipeline: locates.
        clock: of the localizer.
        rules: how many frames, and how many before them are warm-up.
        rate_hz: of the camera.
        recorder: takes the rows.
        stop: asks for an end after the frame at work.
        seed: of the camera's shaking.
        beside: what runs beside the frame path.
        cores: that the frame path stays on, as in a live run; (): any.
        begin: called between warm-up and measurement.
        end: called after the last frame.
    """
    warmup, wanted = rules.frames(rate_hz)
    camera = ScheduledCamera(shots, rate_hz, warmup + wanted, seed)
    log = FlightLog([camera.at(warmup + n) for n in range(wanted)], len(clicks[0]))
    path = FramePath(pipeline, clock, camera, shots, clicks, log, warmup)
    camera.start()
    source = LiveSource(lambda: camera, NAME, max(STALL_S, STALLED / rate_hz))
    last, begun, error, ended = -1, False, None, INTERRUPTED
    try:
        with staying_on(cores):
            frames = iter(source)
            while (frame := stop.next_of(frames)) is not None:
                if not begun and frame.index >= warmup:
                    begun = True
                    begin()
                last = frame.index
                found = path.step(frame, source.age_ms)
                if last == warmup - 1:  # between two frames, so that it makes none late
                    begun = True
                    begin()
                if last >= warmup:
                    recorder.add(found)
                if last == warmup + wanted - 1:
                    ended = COMPLETE
                    break
    except ExecutorError as failure:
        ended, error = lost(failure), failure
    finally:
        source.close()
    duration_s = max(0.0, 1e-9 * (time.perf_counter_ns() - camera.scheduled_ns(warmup)))
    end()
    given = wanted if ended == COMPLETE else max(last + 1 - warmup, 0)
    driven = Driven(ended, warmup, duration_s, error)
    return Flown(driven, punctuality(recorder, rate_hz, given, beside, log), log)


def punctuality(
    recorder: Recorder, rate_hz: float, scheduled: int, beside: tuple[str, ...], log: FlightLog
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
        aligned=int(log.aligned.sum()),
        frames=pack_numbers(log.frames(scheduled)),
    )


def jitter_ms(start_delay_ns: NDArray[np.int64]) -> float | None:
    """Standard deviation of the delays of the starts; None: of too few frames for a median."""
    enough = len(start_delay_ns) >= LEAST_COUNT[50.0]
    return 1e-6 * float(np.std(start_delay_ns)) if enough else None


def _ns(value_ms: float | None) -> int:
    return ABSENT if value_ms is None else round(1e6 * value_ms)
