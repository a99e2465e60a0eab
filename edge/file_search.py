"""The search for the place of a frame of a file, whose yaw and zoom may be unknown.

A complete search takes many attempts, a tenth of a second each. A file can wait for one, but not
for one per frame: where a search has failed, the next frames there go on with it, a few attempts
each. The order of the frames alone decides which, so the same input gives the same fixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.alignment import Alignment
from edge.cold_search import Attempting
from edge.pose_search import PoseHypothesis, pose_hypotheses, window_gsd_m
from edge.tiles.lattice import WindowPlace
from edge.types import FramePose, Uint8
from edge.window_choice import WindowChoice

FIRST_ATTEMPTS = 192  # 32 hypotheses in six windows: what the first frame at a place may cost
DOUBT_ATTEMPTS = 64  # likewise where telemetry knows a yaw that does not fit
LATER_ATTEMPTS = 8  # of each further frame, until one is aligned or the place is another


class FileSearch:
    """Tries hypotheses, each in all windows, and keeps its place between frames."""

    def __init__(self, aligner: Attempting) -> None:
        self._aligner = aligner
        self._searched: set[WindowPlace] = set()  # in vain
        self._places: tuple[WindowPlace, ...] = ()  # of the search under way, and where it is
        self._hypothesis = self._window = self._rounds = 0
        self.in_full = True  # the last frame was tried against all that it may be

    def find(
        self, image: Uint8, pose: FramePose, windows: WindowChoice, places: Sequence[WindowPlace]
    ) -> tuple[Alignment, WindowPlace] | None:
        """Where a frame lies, or None as far as tried.

        What telemetry says of the yaw is tried first, on every frame. It may be wrong, so the
        search goes on without it.

        Args:
            image: uint8 [H, W, 3] RGB.
            pose: telemetry of the frame.
            windows: where features come from; only those that are tried are fetched.
            places: the windows in question, likely ones first.

        Raises:
            FeatureStoreError: the windows were stored without local features.
        """
        if not places:
            return None
        told = self._told(image, pose, windows, places)
        found, spent = told if told is not None else (None, 0)
        if found is None:
            new = self._searched.isdisjoint(places)
            if new:
                self._restart(places)
            whole = FIRST_ATTEMPTS if told is None else DOUBT_ATTEMPTS
            most = whole if new else max(0, LATER_ATTEMPTS - spent)
            found = self._go_on(image, pose, windows, places, most)
        self._searched = set() if found is not None else self._searched | set(places)
        return found

    def _told(
        self, image: Uint8, pose: FramePose, windows: WindowChoice, places: Sequence[WindowPlace]
    ) -> tuple[tuple[Alignment, WindowPlace] | None, int] | None:
        """What the known yaw comes to, and the attempts it took; None: no yaw is known."""
        if pose.yaw_deg is None:
            return None
        spent = 0
        for hypothesis in _hypotheses(image, pose, windows, places):
            for place in places:
                found = self._aligner.attempt(image, windows.feature(place), hypothesis)
                spent += 1
                if found is not None:
                    return (found, place), spent
        return None, spent

    def _go_on(
        self,
        image: Uint8,
        pose: FramePose,
        windows: WindowChoice,
        places: Sequence[WindowPlace],
        most: int,
    ) -> tuple[Alignment, WindowPlace] | None:
        """The next `most` attempts without a yaw, or fewer at the end of a round."""
        open_pose = replace(pose, yaw_deg=None)
        shifted = self._rounds % 2 == 1
        round_ = _hypotheses(image, open_pose, windows, places, shifted=shifted)
        if tuple(places) != self._places:  # neighbours came in: they share the hypothesis at hand
            self._places, self._window = tuple(places), 0
        if self._hypothesis >= len(round_):
            self._hypothesis = self._window = 0
        self.in_full = most >= len(round_) * len(places)
        for _ in range(most):
            hypothesis, place = round_[self._hypothesis], places[self._window]
            self._window += 1
            if self._window == len(places):
                self._window, self._hypothesis = 0, self._hypothesis + 1
            found = self._aligner.attempt(image, windows.feature(place), hypothesis)
            if found is not None:
                return found, place
            if self._hypothesis == len(round_):
                self._hypothesis, self._rounds = 0, self._rounds + 1
                break
        return None

    def _restart(self, places: Sequence[WindowPlace]) -> None:
        self._places = tuple(places)
        self._hypothesis = self._window = self._rounds = 0


def _hypotheses(
    image: Uint8,
    pose: FramePose,
    windows: WindowChoice,
    places: Sequence[WindowPlace],
    *,
    shifted: bool = False,
) -> tuple[PoseHypothesis, ...]:
    size = image.shape[1], image.shape[0]
    gsd_m = window_gsd_m(windows.feature(places[0]))
    return tuple(pose_hypotheses(pose, size, gsd_m, shifted=shifted))
