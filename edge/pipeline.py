"""From a frame and its clicks to fixes: windows, features, priors, localizer, step after step.

The windows come from the position of the frame and the lattice (`edge.window_choice`). If the frame
can be aligned with one of them, that tells which window holds each click; else every window is
tried, and for each click the best acceptance wins.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from edge.errors import WindowError
from edge.frame_placer import PlacedFrame
from edge.frame_result import FrameResult, window_shown
from edge.priors import shifted
from edge.tiles.lattice import WindowPlace
from edge.types import Click, Fix, Frame, FramePose, Prior, Timings, Verdict
from edge.window_choice import WindowChoice, WindowSupply
from edge.window_locator import Locator, Shares, WindowLocator

HURRIED = "a live frame without a place has little time: only its likeliest windows were tried"


class FramePlacer(Protocol):
    """Lays frames on windows: inline, or beside the frame path."""

    @property
    def note(self) -> str:
        """Why the last frame has no place, for people; empty where that is nothing to tell."""
        ...

    def place(self, frame: Frame, pose: FramePose, windows: WindowChoice) -> PlacedFrame | None:
        """Where the frame lies; None: unknown, or not known yet."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Pipeline:
    """Locates the clicks of one frame after another. Remembers tracks; one thread at a time."""

    def __init__(
        self,
        locator: Locator,
        windows: WindowSupply,
        placer: FramePlacer | None,
        *,
        track: bool = True,
        budget_ms: float | None = None,
    ) -> None:
        """Join the parts.

        Args:
            locator: an opened localizer.
            windows: offers the windows of the map.
            placer: lays frames on windows; None: no priors at all, the head decides alone.
            track: the last fix of a click's id is a prior for the next; not where ids are labels.
            budget_ms: of a live frame without a place, after which no further window is tried; a
                frame with one takes as few windows as will do. None: files, which can wait.
        """
        self._locator = WindowLocator(locator, priors=placer is not None, track=track)
        self._windows = windows
        self._placer = placer
        self._budget_ms = budget_ms

    def process(self, frame: Frame, clicks: Sequence[Click], pose: FramePose) -> FrameResult:
        """Locate the clicks of a frame.

        Raises:
            ClickError: a click that is not a number, lies outside the frame, or is there twice.
            MapError, FeatureStoreError, ExecutorError: see the parts.
        """
        start_s = time.perf_counter()
        clicks = tuple(clicks)
        frame = replace(frame, pose=pose)  # the localizer asks the frame for its ground size
        try:
            choice = self._windows.choose(pose)
        except WindowError as error:
            return self._nowhere(frame, clicks, error, start_s)
        placed, align_ms, begun_ms, notes = None, None, 0.0, [choice.note]
        if self._placer is not None:
            begun_ms = self._locator.begin(frame) if clicks else 0.0
            align_s = time.perf_counter()
            placed = self._placer.place(frame, pose, choice)
            align_ms = 1e3 * (time.perf_counter() - align_s) - choice.fetch_ms
        if placed is None:
            fixes, shares, tried = self._try_all(frame, clicks, pose, choice)
            if clicks and tried < len(choice.places):
                notes.append(HURRIED)
        else:
            fixes, shares = self._go_there(frame, clicks, pose, choice, placed)
        timings = Timings(
            window_ms=choice.window_ms,
            encode_ms=choice.encode_ms,
            align_ms=align_ms,
            preprocess_ms=begun_ms + shares[0],
            localize_ms=shares[1],
            total_ms=1e3 * (time.perf_counter() - start_s),
        )
        fixes = [replace(fix, timings=timings) for fix in fixes]
        self._locator.learn(frame, fixes)
        shown = window_shown(fixes, choice, placed.place if placed else None)
        return FrameResult(
            frame=frame,
            clicks=clicks,
            fixes=tuple(fixes),
            place=shown,
            feature=choice.feature(shown) if shown is not None else None,
            placed=placed,
            timings=timings,
            note="; ".join(note for note in notes if note),
            place_note=self._placer.note if self._placer is not None else "",
            places=choice.used,
        )

    def _go_there(
        self,
        frame: Frame,
        clicks: tuple[Click, ...],
        pose: FramePose,
        choice: WindowChoice,
        placed: PlacedFrame,
    ) -> tuple[list[Fix], Shares]:
        """Each click in the window that the alignment puts it in."""
        xy_px = np.array([(click.x_px, click.y_px) for click in clicks], np.float64)
        prior, aligned_in = placed.prior(xy_px.reshape(-1, 2)), placed.place
        by_place: dict[WindowPlace, list[int]] = {}
        outside: dict[int, Fix] = {}
        hurried, known = self._budget_ms is not None, prior.inv_var > 0
        homes = choice.homes(prior.xy_px, known, aligned_in, together=hurried)
        for index, place in enumerate(homes):
            if place is None:
                reason = "the alignment puts it outside the map"
                outside[index] = self._locator.without_window(frame, clicks[index], reason)
            else:
                by_place.setdefault(place, []).append(index)
        found: dict[int, Fix] = dict(outside)
        shares = [0.0, 0.0]
        for place, indices in by_place.items():
            own = Prior(prior.xy_px[indices], prior.inv_var[indices], prior.source, prior.inliers)
            left, top = place.left_px - aligned_in.left_px, place.top_px - aligned_in.top_px
            some = [clicks[index] for index in indices]
            fixes, spent = self._locator.locate(
                frame, some, choice.feature(place), pose, shifted(own, left, top)
            )
            found.update(zip(indices, fixes, strict=True))
            shares = [shares[0] + spent[0], shares[1] + spent[1]]
        return [found[index] for index in range(len(clicks))], (shares[0], shares[1])

    def _try_all(
        self, frame: Frame, clicks: tuple[Click, ...], pose: FramePose, choice: WindowChoice
    ) -> tuple[list[Fix], Shares, int]:
        """The windows in turn; for each click the best acceptance wins, else the likelier one.

        Also what it took, and how many windows were tried.
        """
        best: list[Fix] = []
        shares = [0.0, 0.0]
        tried = 0
        for place in choice.places if clicks else ():
            if best and self._budget_ms is not None and sum(shares) > self._budget_ms:
                break
            fixes, spent = self._locator.locate(frame, clicks, choice.feature(place), pose, None)
            pairs = zip(best, fixes, strict=True) if best else ()
            better = [new if _rank(new) > _rank(old) else old for old, new in pairs]
            best = better if best else fixes
            shares = [shares[0] + spent[0], shares[1] + spent[1]]
            tried += 1
        return best, (shares[0], shares[1]), tried

    def _nowhere(
        self, frame: Frame, clicks: tuple[Click, ...], error: WindowError, start_s: float
    ) -> FrameResult:
        timings = Timings(total_ms=1e3 * (time.perf_counter() - start_s))
        reason = f"{error.what}: {error.found}"
        note = f"{error.what} ({error.expected})"  # the same of every such frame: notes are counted
        fixes = [self._locator.without_window(frame, click, reason) for click in clicks]
        fixes = [replace(fix, timings=timings) for fix in fixes]
        return FrameResult(frame, clicks, tuple(fixes), None, None, None, timings, note)


def _rank(fix: Fix) -> tuple[int, float]:
    """A window without imagery says nothing: any other answer is better."""
    return int(fix.verdict is not Verdict.NO_COVERAGE), fix.acceptance_probability
