"""Parts of a run that do nothing: what a loop around them costs is the harness itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.scenarios.camera import ScheduledCamera
from benchmarks.scenarios.closed_loop import ClosedLoop
from benchmarks.scenarios.flight_log import FlightLog
from benchmarks.scenarios.open_loop import FramePath
from benchmarks.scenarios.queries import Query
from benchmarks.scenarios.recorder import Row
from edge.executors.run_clock import RunClock
from edge.feature_cache import PlacedFeature
from edge.frame_result import FrameResult
from edge.tiles.lattice import WindowPlace
from edge.types import Click, Fix, Frame, FramePose, ReferenceFeature, Timings, Verdict

IDLE_FRAMES = 64  # that the log of an idle flight holds

_FIX = Fix(
    click_id="",
    click_xy_px=(0.0, 0.0),
    frame_index=0,
    frame_source="",
    capture_time_s=0.0,
    window_id=None,
    box_xyxy_px=None,
    lon_lat_deg=None,
    corners_lon_lat_deg=(),
    error_radius_m=None,
    acceptance_probability=0.0,
    verdict=Verdict.NO_WINDOW,
    reason="",
    timings=Timings(preprocess_ms=0.0, localize_ms=0.0, total_ms=0.0),
)


class IdleLocalizer:
    """Answers at once."""

    def __init__(self) -> None:
        self.clock = RunClock(0, 0, 0)

    def localize(
        self, frame: Frame, clicks: Sequence[Click], feature: ReferenceFeature
    ) -> list[Fix]:
        """One fix without a place."""
        return [_FIX]


class IdleCache:
    """Has every window at hand."""

    def __init__(self, place: WindowPlace) -> None:
        feature = ReferenceFeature({}, None, 1, 1, "", "", "", 1.0)
        self._placed = PlacedFeature(place, feature, 0.0)

    def get(self, place: WindowPlace) -> PlacedFeature:
        """A feature without tensors."""
        return self._placed


def idle_loop(query: Query) -> ClosedLoop:
    """The closed loop around nothing."""
    tiny = replace(query.shot, image_bgr=np.zeros((1, 1, 3), np.uint8))
    return ClosedLoop([replace(query, shot=tiny)], IdleCache(query.place), IdleLocalizer())


class IdlePipeline:
    """Answers at once, with a box for every click."""

    def __init__(self, place: WindowPlace, clicks: int) -> None:
        fix = replace(_FIX, window_id="w", box_xyxy_px=(0.0, 0.0, 1.0, 1.0))
        self._fixes, self._places = (fix,) * clicks, {"w": place}

    def process(self, frame: Frame, clicks: Sequence[Click], pose: FramePose) -> FrameResult:
        """The same fixes for every frame."""
        clicks = tuple(clicks)
        timings = _FIX.timings
        return FrameResult(
            frame, clicks, self._fixes, None, None, None, timings, places=self._places
        )


def idle_flight(query: Query, clicks: int) -> Callable[[int], Row]:
    """The open loop around nothing, as a step; what the source of a live run does is not in it."""
    shots = (replace(query.shot, image_bgr=np.zeros((1, 1, 3), np.uint8)),)
    camera = ScheduledCamera(shots, 1e9, IDLE_FRAMES)
    camera.start_ns = time.perf_counter_ns()
    log = FlightLog([0] * IDLE_FRAMES, clicks)
    pipeline = IdlePipeline(query.place, clicks)
    every = [(query.clicks[0],) * clicks]
    path = FramePath(pipeline, RunClock(0, 0, 0), camera, shots, every, log, 0)
    frames = [
        Frame(np.zeros((1, 1, 3), np.uint8), index, 0.0, "idle") for index in range(IDLE_FRAMES)
    ]

    def step(index: int) -> Row:
        return path.step(frames[index % IDLE_FRAMES], 0.0)

    return step
