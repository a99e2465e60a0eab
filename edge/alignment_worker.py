"""Alignment beside the frame path: a thread that takes the newest frame and lets old ones go.

The frame path hands a frame over (`offer`) and picks up what has become ready (`latest`); neither
ever waits. While tracking one look at the last place suffices; a lost track falls back to the cold
search, one attempt per frame. The thread has a low priority (see `edge.cores`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from edge.alignment import Alignment
from edge.cold_search import ColdSearch
from edge.cores import ANYBODYS, CoreShares, give_way, roam
from edge.pose_search import PoseHypothesis
from edge.types import Frame, FramePose, ReferenceFeature, Uint8

FORGET_AFTER = 3  # frames in a row that the last place no longer explains


class WorkingAligner(Protocol):
    """The part of an `Aligner` that the worker needs."""

    def attempt(
        self, frame_image: Uint8, feature: ReferenceFeature, hypothesis: PoseHypothesis
    ) -> Alignment | None:
        """Try one yaw and zoom."""
        ...

    def track(
        self, frame_image: Uint8, feature: ReferenceFeature, last: Alignment
    ) -> Alignment | None:
        """Try the place of the last alignment."""
        ...


@dataclass(frozen=True, slots=True)
class AlignedFrame:
    """What the worker found out about one frame."""

    frame_index: int
    time_s: float  # capture time of the frame
    alignment: Alignment | None  # None: not aligned (yet)


class AlignmentWorker:
    """Runs an aligner in a thread of its own; use it as a context manager."""

    def __init__(
        self,
        aligner: WorkingAligner,
        *,
        attempts_per_frame: int = 1,
        shares: CoreShares = ANYBODYS,
    ) -> None:
        """Start the thread; it stays on the cores of others than the graphs, if there are such."""
        self._aligner = aligner
        self._shares = shares
        self._attempts = attempts_per_frame
        self._search = ColdSearch(aligner)
        self._changed = threading.Condition()
        self._waiting: tuple[Frame, tuple[ReferenceFeature, ...], FramePose] | None = None
        self._result: AlignedFrame | None = None
        self._failure: BaseException | None = None
        self._busy = False
        self._closing = False
        self._last: Alignment | None = None
        self._lost = 0
        self.dropped = 0  # frames replaced by newer ones before their turn
        self._thread = threading.Thread(target=self._run, name="alignment", daemon=True)
        self._thread.start()

    def offer(
        self, frame: Frame, features: tuple[ReferenceFeature, ...], pose: FramePose | None = None
    ) -> None:
        """Hand the newest frame over, with the windows it may lie in, likely ones first.

        A frame that still waits is replaced. Returns at once.

        Raises:
            TilefixError: what the thread met with an earlier frame (raised here once).
        """
        with self._changed:
            self._raise_failure()
            if self._waiting is not None:
                self.dropped += 1
            self._waiting = frame, features, pose if pose is not None else frame.pose
            self._changed.notify_all()

    def latest(self) -> AlignedFrame | None:
        """What was found out about the newest finished frame; None before the first. At once.

        Raises:
            TilefixError: what the thread met with an earlier frame (raised here once).
        """
        with self._changed:
            self._raise_failure()
            return self._result

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until no frame waits or is being worked on; for files and tests. False: timed out.

        Raises:
            TilefixError: what the thread met with an earlier frame (raised here once).
        """
        with self._changed:
            idle = self._changed.wait_for(
                lambda: self._failure is not None or (self._waiting is None and not self._busy),
                timeout_s,
            )
            self._raise_failure()
            return idle

    def roam(self) -> None:
        """Let the thread, and the one that calls, take any core from now on: theirs is too full."""
        if self._shares.others and self._thread.native_id is not None:
            roam(self._shares, self._thread.native_id)
            self._shares = ANYBODYS

    def close(self) -> None:
        """Let the frame at work finish, drop the waiting one, end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def __enter__(self) -> AlignmentWorker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        give_way(self._shares.others)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._waiting is not None)
                if self._closing or self._waiting is None:
                    return
                frame, features, pose = self._waiting
                self._waiting, self._busy = None, True
            result, failure = None, None
            try:
                found = self._align(frame.image, features, pose)
                result = AlignedFrame(frame.index, frame.time_s, found)
            except Exception as error:  # handed to the frame path, which raises it
                failure = error
            with self._changed:
                self._busy = False
                if failure is not None:  # one that nobody has picked up yet stays
                    self._failure = failure
                if result is not None:
                    self._result = result
                self._changed.notify_all()

    def _align(
        self, image: Uint8, features: tuple[ReferenceFeature, ...], pose: FramePose
    ) -> Alignment | None:
        if not features:
            return None
        if self._last is not None:
            found = self._track(image, features, self._last)
            if found is not None:
                self._last, self._lost = found, 0
                return found
            self._lost += 1
            if self._lost >= FORGET_AFTER:
                self._last, self._lost = None, 0
                self._search.restart()
            return None
        found = self._search.step(image, features, pose, attempts=self._attempts)
        if found is not None:
            self._last, self._lost = found, 0
        return found

    def _track(
        self, image: Uint8, features: tuple[ReferenceFeature, ...], last: Alignment
    ) -> Alignment | None:
        """The last window first, for it needs one look only; then the likeliest other one."""
        same = [feature for feature in features if feature.window_id == last.window_id]
        others = [feature for feature in features if feature.window_id != last.window_id]
        for feature in [*same, *others][:2]:
            found = self._aligner.track(image, feature, last)
            if found is not None:
                return found
        return None
