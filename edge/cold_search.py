"""The search for a frame whose yaw and zoom nobody knows, a step at a time.

All hypotheses together take seconds; a flight has a new frame every tenth of one. So the search
keeps its place between frames: each step tries the next hypothesis on the newest frame, and the
camera may turn meanwhile, as long as it stays within reach of the step it is at.
"""

from __future__ import annotations

from collections.abc import Iterator
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


class ColdSearch:
    """Tries the hypotheses one after the other, over several windows if there are.

    For every hypothesis all windows are tried before the next one, since the likely hypotheses come
    first. When all are through, `exhausted` is True; the next step begins another round, every
    other one with yaws between those of the first.
    """

    def __init__(self, aligner: Attempting) -> None:
        self._aligner = aligner
        self._left: Iterator[tuple[PoseHypothesis, ReferenceFeature]] | None = None
        self._asked: tuple[tuple[str, ...], FramePose, tuple[int, int]] | None = None
        self.tried = 0  # attempts of this round
        self.rounds = 0  # rounds that ended without success
        self.exhausted = False  # the last step ended a round

    def step(
        self,
        frame_image: Uint8,
        features: ReferenceFeature | tuple[ReferenceFeature, ...],
        pose: FramePose | None = None,
        *,
        attempts: int = 1,
    ) -> Alignment | None:
        """Try the next hypotheses; the alignment, or None so far.

        The search begins anew when the windows, the knowledge of yaw or ground sampling distance,
        or the size of the frame change.

        Args:
            frame_image: uint8 [H, W, 3] RGB, the newest frame.
            features: the windows in question, likely ones first.
            pose: telemetry of the frame.
            attempts: how many pairs of hypothesis and window to try now.
        """
        pose = pose if pose is not None else FramePose()
        windows = features if isinstance(features, tuple) else (features,)
        size = frame_image.shape[1], frame_image.shape[0]
        # Position and small changes of telemetry leave the search where it is.
        known = FramePose(
            yaw_deg=None if pose.yaw_deg is None else round(pose.yaw_deg / 10.0) * 10.0,
            gsd_m=None if pose.gsd_m is None else float(f"{pose.gsd_m:.1g}"),
        )
        asked = tuple(window.window_id for window in windows), known, size
        if asked != self._asked:
            self._asked = asked
            self.restart()
        for _ in range(attempts):
            if self._left is None:
                self._left = _trials(pose, size, windows, shifted=self.rounds % 2 == 1)
                self.tried, self.exhausted = 0, False
            trial = next(self._left, None)
            if trial is None:
                self._left, self.exhausted = None, True
                self.rounds += 1
                return None
            self.tried += 1
            hypothesis, window = trial
            found = self._aligner.attempt(frame_image, window, hypothesis)
            if found is not None:
                self._left, self.rounds = None, 0
                return found
        return None

    def restart(self) -> None:
        """Begin at the first hypothesis with the next step."""
        self._left = None
        self.tried, self.rounds, self.exhausted = 0, 0, False


def _trials(
    pose: FramePose,
    size_px: tuple[int, int],
    windows: tuple[ReferenceFeature, ...],
    *,
    shifted: bool,
) -> Iterator[tuple[PoseHypothesis, ReferenceFeature]]:
    gsd_m = window_gsd_m(windows[0]) if windows else None
    for hypothesis in pose_hypotheses(pose, size_px, gsd_m, shifted=shifted):
        for window in windows:
            yield hypothesis, window
