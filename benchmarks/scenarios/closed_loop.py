"""Single-stream, multi-stream and soak: a frame with its clicks, located as soon as it is there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from benchmarks.scenarios.queries import Query
from benchmarks.scenarios.recorder import ABSENT, Row, row
from edge.executors.run_clock import RunClock
from edge.feature_cache import PlacedFeature
from edge.tiles.lattice import WindowPlace
from edge.types import Click, Fix, Frame, ReferenceFeature, Timings


class Locating(Protocol):
    """The part of a `Localizer` that a query needs."""

    clock: RunClock

    def localize(
        self, frame: Frame, clicks: Sequence[Click], feature: ReferenceFeature
    ) -> list[Fix]:
        """Fixes of the clicks in one window."""
        ...


class Caching(Protocol):
    """The part of a `StatedCache` that a query needs."""

    def get(self, place: WindowPlace) -> PlacedFeature:
        """The feature of a window."""
        ...


class ClosedLoop:
    """Takes a picture as a camera gives it, fetches its window, locates its clicks."""

    def __init__(self, queries: Sequence[Query], cache: Caching, localizer: Locating) -> None:
        self._queries = queries
        self._cache = cache
        self._localizer = localizer

    def step(self, index: int) -> Row:
        """One query.

        Raises:
            ExecutorError: the device failed.
        """
        query = self._queries[index % len(self._queries)]
        clock = self._localizer.clock
        start_ns = time.perf_counter_ns()
        shot = query.shot
        # As edge.live hands out what a camera sends.
        image = np.asarray(cv2.cvtColor(shot.image_bgr, cv2.COLOR_BGR2RGB), np.uint8)
        frame = Frame(image, index, shot.time_s, shot.source, shot.pose)
        captured_ns = time.perf_counter_ns()
        placed = self._cache.get(query.place)
        engine_ns, copy_ns, gpu_ns = clock.engine_ns, clock.copy_ns, clock.gpu_ns
        found_ns = time.perf_counter_ns()
        fixes = self._localizer.localize(frame, query.clicks, placed.feature)
        end_ns = time.perf_counter_ns()
        encoded = placed.encode_ms
        return row(
            end_ns - start_ns,
            ABSENT if gpu_ns is None or clock.gpu_ns is None else clock.gpu_ns - gpu_ns,
            capture=captured_ns - start_ns,
            window=round(1e6 * placed.window_ms),
            encode=ABSENT if encoded is None else round(1e6 * encoded),
            **split(
                fixes[0].timings,
                end_ns - found_ns,
                clock.engine_ns - engine_ns,
                None if copy_ns is None or clock.copy_ns is None else clock.copy_ns - copy_ns,
            ),
        )


def split(
    timings: Timings, locating_ns: int, engine_ns: int, copy_ns: int | None
) -> dict[str, int]:
    """The stages of `Localizer.localize`; what is neither before nor in the engine comes after."""
    preprocess_ns = round(1e6 * (timings.preprocess_ms or 0.0))
    left_ns = locating_ns - preprocess_ns - engine_ns - (copy_ns or 0)
    return {
        "preprocess": preprocess_ns,
        "copy": ABSENT if copy_ns is None else copy_ns,
        "engine": engine_ns,
        "postprocess": max(left_ns, 0),
    }
