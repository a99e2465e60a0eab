"""Parts of a run that do nothing: what a loop around them costs is the harness itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.scenarios.closed_loop import ClosedLoop
from benchmarks.scenarios.queries import Query
from edge.executors.run_clock import RunClock
from edge.feature_cache import PlacedFeature
from edge.tiles.lattice import WindowPlace
from edge.types import Click, Fix, Frame, ReferenceFeature, Timings, Verdict

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
