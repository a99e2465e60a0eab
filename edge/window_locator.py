"""Clicks in one window, each with the best that is known of it beforehand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from edge.priors import Tracker, by_source, telemetry_prior
from edge.types import Click, Fix, Frame, FramePose, Prior, PriorSource, ReferenceFeature, Verdict

Shares = tuple[float, float]  # (preprocess, localize) ms


class Locator(Protocol):
    """The part of a `Localizer` that the pipeline needs."""

    @property
    def executor(self) -> str:
        """Name of the executor."""
        ...

    @property
    def precision(self) -> str:
        """Precision of the graphs."""
        ...

    def begin(self, frame: Frame) -> None:
        """Begin what needs a frame alone, where that can run beside."""
        ...

    def localize(
        self,
        frame: Frame,
        clicks: Sequence[Click],
        feature: ReferenceFeature,
        prior: Prior | None = None,
    ) -> list[Fix]:
        """Fixes of the clicks in one window."""
        ...


class WindowLocator:
    """Asks the localizer about one window after another. Remembers tracks; one thread at a time."""

    def __init__(self, locator: Locator, *, priors: bool, track: bool) -> None:
        """Take an opened localizer.

        Args:
            locator: the localizer.
            priors: False: the head decides alone, whatever is known beforehand.
            track: the last fix of a click's id is a prior for the next; not where ids are labels.
        """
        self._locator = locator
        self._priors = priors
        self._track = track
        self._tracker = Tracker()

    def begin(self, frame: Frame) -> float:
        """Begin with a frame whose place is looked for next; ms that it took of this thread.

        Raises:
            SourceError, ExecutorError: see `edge.localizer.Localizer.begin`.
        """
        start_s = time.perf_counter()
        self._locator.begin(frame)
        return 1e3 * (time.perf_counter() - start_s)

    def learn(self, frame: Frame, fixes: Sequence[Fix]) -> None:
        """Take note of the fixes of a frame, for the clicks of the next."""
        if self._track and frame.timed:  # pictures of a folder may lie days apart
            self._tracker.learn(fixes)

    def locate(
        self,
        frame: Frame,
        clicks: Sequence[Click],
        feature: ReferenceFeature,
        pose: FramePose,
        aligned: Prior | None,
    ) -> tuple[list[Fix], Shares]:
        """The clicks in one window with the best prior of each, and what it took.

        Raises:
            ClickError, ExecutorError: see `edge.localizer.Localizer.localize`.
        """
        priors: list[Prior] = []
        if self._priors:
            high, wide = frame.image.shape[:2]
            priors = [aligned] if aligned is not None else []
            if aligned is None or not (aligned.inv_var > 0).all():  # else nobody asks the others
                priors.append(self._tracker.prior(clicks, feature, frame.time_s))
                priors.append(telemetry_prior(clicks, (wide, high), feature, pose))
        fixes: dict[int, Fix] = {}
        preprocess_ms = localize_ms = 0.0
        for indices, prior in by_source(len(clicks), priors):
            some = [clicks[index] for index in indices]
            known = prior if prior.source is not PriorSource.NONE else None
            found = self._locator.localize(frame, some, feature, known)
            fixes.update(zip(indices, found, strict=True))
            preprocess_ms += found[0].timings.preprocess_ms or 0.0
            localize_ms += found[0].timings.localize_ms or 0.0
        return [fixes[index] for index in range(len(clicks))], (preprocess_ms, localize_ms)

    def without_window(self, frame: Frame, click: Click, reason: str) -> Fix:
        """The fix of a click that no window of the map holds."""
        return Fix(
            click_id=click.click_id,
            click_xy_px=(click.x_px, click.y_px),
            frame_index=frame.index,
            frame_source=frame.source,
            capture_time_s=frame.time_s,
            window_id=None,
            box_xyxy_px=None,
            lon_lat_deg=None,
            corners_lon_lat_deg=(),
            error_radius_m=None,
            acceptance_probability=0.0,
            verdict=Verdict.NO_WINDOW,
            reason=reason,
            executor=self._locator.executor,
            precision=self._locator.precision,
        )
