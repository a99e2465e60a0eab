"""The search for a frame whose yaw and zoom nobody knows, a step at a time.

All hypotheses together take seconds; a flight has a new frame every tenth of one. So the search
keeps its place between frames: each step tries the next hypothesis on the newest frame, and the
camera may turn meanwhile, as long as it stays within reach of the step it is at.

A yaw that telemetry tells is trusted for one round. It may be wrong, as it may in files
(`edge.file_search`): after a round in vain every second attempt tries the yaws that it denies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, cycle
from typing import Protocol

from edge.alignment import Alignment
from edge.pose_search import PoseHypothesis, pose_hypotheses, window_gsd_m
from edge.types import FramePose, ReferenceFeature, Uint8


class Attempting(Protocol):
    """The part of an `Aligner` that a search needs."""

    def attempt(
        self, frame_image: Uint8, feature: ReferenceFeature, hypothesis: PoseHypothesis
    ) -> Alignment | None:
        """Try one yaw and zoom."""
        ...


@dataclass(frozen=True, slots=True)
class _Trial:
    hypothesis: PoseHypothesis  # its yaw counts from the told one where `told`
    window: ReferenceFeature
    told: bool  # the yaw is that of telemetry, or near it


class ColdSearch:
    """Tries the hypotheses one after the other, over several windows if there are.

    For every hypothesis all windows are tried before the next one, since the likely hypotheses come
    first. When all are through, `rounds` counts one more; the next step begins another round, every
    other one with yaws between those of the first.
    """

    def __init__(self, aligner: Attempting) -> None:
        self._aligner = aligner
        self._left: Iterator[_Trial] | None = None  # of this round
        self._told: Iterator[_Trial] | None = (
            None  # in doubt: what telemetry tells, again and again
        )
        self._asked: tuple[tuple[str, ...], FramePose, tuple[int, int]] | None = None
        self.tried = 0  # attempts of this round
        self.rounds = 0  # rounds that ended without success
        self.doubts_yaw = False  # telemetry told a yaw, and a round with it was in vain

    def step(
        self,
        frame_image: Uint8,
        features: ReferenceFeature | tuple[ReferenceFeature, ...],
        pose: FramePose | None = None,
        *,
        attempts: int = 1,
    ) -> Alignment | None:
        """Try the next hypotheses; the alignment, or None so far.

        The search begins anew when the windows, the ground sampling distance, the size of the frame
        or whether the yaw is known change. A known yaw may change: the newest one counts.

        Args:
            frame_image: uint8 [H, W, 3] RGB, the newest frame.
            features: the windows in question, likely ones first.
            pose: telemetry of the frame.
            attempts: how many pairs of hypothesis and window to try now.
        """
        pose = pose if pose is not None else FramePose()
        windows = features if isinstance(features, tuple) else (features,)
        size = frame_image.shape[1], frame_image.shape[0]
        # Position, yaw and small changes of the rest leave the search where it is.
        known = FramePose(
            yaw_deg=None if pose.yaw_deg is None else 0.0,
            gsd_m=None if pose.gsd_m is None else float(f"{pose.gsd_m:.1g}"),
        )
        asked = tuple(window.window_id for window in windows), known, size
        if asked != self._asked:
            self._asked = asked
            self.doubts_yaw = self.doubts_yaw and pose.yaw_deg is not None
            self.restart()
        for _ in range(attempts):
            if self._left is None:
                self._begin_round(pose, size, windows)
            trial = self._next_trial()
            if trial is None:
                self._left = None
                self.rounds += 1
                self.doubts_yaw = pose.yaw_deg is not None
                return None
            self.tried += 1
            hypothesis = trial.hypothesis
            if trial.told and pose.yaw_deg is not None:
                hypothesis = replace(hypothesis, yaw_deg=pose.yaw_deg + hypothesis.yaw_deg)
            found = self._aligner.attempt(frame_image, trial.window, hypothesis)
            if found is not None:
                self._left, self.rounds = None, 0
                self.doubts_yaw = self.doubts_yaw and not trial.told
                return found
        return None

    def restart(self) -> None:
        """Begin at the first hypothesis with the next step. A doubted yaw stays doubted."""
        self._left = None
        self.tried, self.rounds = 0, 0

    def _begin_round(
        self, pose: FramePose, size_px: tuple[int, int], windows: tuple[ReferenceFeature, ...]
    ) -> None:
        self.tried, self._told = 0, None
        odd = self.rounds % 2 == 1
        if pose.yaw_deg is None or not self.doubts_yaw:
            self._left = _trials(pose, size_px, windows, shifted=odd)
            return
        # The first round in doubt is an odd one: it takes the plain yaws.
        open_pose = replace(pose, yaw_deg=None)
        self._left = _trials(open_pose, size_px, windows, shifted=not odd)
        near = (_trials(pose, size_px, windows, shifted=beside) for beside in (False, True))
        self._told = cycle(chain.from_iterable(near))

    def _next_trial(self) -> _Trial | None:
        """The next one of the round, in doubt in turn with what telemetry tells; None: its end."""
        if self._told is not None and self.tried % 2 == 0:
            told = next(self._told, None)
            if told is not None:
                return told
        return next(self._left, None) if self._left is not None else None


def _trials(
    pose: FramePose,
    size_px: tuple[int, int],
    windows: tuple[ReferenceFeature, ...],
    *,
    shifted: bool,
) -> Iterator[_Trial]:
    gsd_m = window_gsd_m(windows[0]) if windows else None
    told = pose.yaw_deg is not None
    from_told = replace(pose, yaw_deg=0.0) if told else pose
    for hypothesis in pose_hypotheses(from_told, size_px, gsd_m, shifted=shifted):
        for window in windows:
            yield _Trial(hypothesis, window, told)
