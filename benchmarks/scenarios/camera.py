"""A camera that gives a frame at every beat of its clock, whether or not anybody is ready.

It shows a recorded flight at its own pace: between two pictures of the flight the same one comes
again, moved by a pixel or two as a hovering drone moves it, and at the end the flight goes back the
way it came, so that nothing jumps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import cv2
import numpy as np

from benchmarks.scenarios.flights import Shot
from edge.types import Uint8

SHAKE_PX = 2


class ScheduledCamera:
    """In place of a `cv2.VideoCapture` for `edge.live.LiveSource`; read it from one thread."""

    def __init__(self, shots: Sequence[Shot], rate_hz: float, frames: int, seed: int = 0) -> None:
        """Show a flight.

        Args:
            shots: its pictures, in the order of their times.
            rate_hz: of the camera.
            frames: after so many it gives no more.
            seed: of the shaking.
        """
        self._shots = shots
        self._rate_hz = rate_hz
        self._frames = frames
        self._times_s = np.array([shot.time_s - shots[0].time_s for shot in shots])
        self._shake = np.random.default_rng(seed).integers(0, 2 * SHAKE_PX + 1, (997, 2)).tolist()
        pad = (SHAKE_PX,) * 4
        self._padded = [
            cv2.copyMakeBorder(shot.image_bgr, *pad, cv2.BORDER_REPLICATE) for shot in shots
        ]
        self._next = 0
        self._given_ns = np.zeros(frames, np.int64)
        self.start_ns = 0  # of the schedule; 0: not begun

    def scheduled_ns(self, index: int) -> int:
        """When the frame of that number is due, on the clock of `time.perf_counter_ns`."""
        return self.start_ns + round(1e9 * index / self._rate_hz)

    def given_ns(self, index: int) -> int:
        """When the frame of that number was handed out: never before it was due."""
        return int(self._given_ns[index])

    def start(self) -> None:
        """The first frame is due now."""
        self.start_ns = time.perf_counter_ns()

    def read(self) -> tuple[bool, Uint8 | None]:
        """Wait until the next frame is due; False after the last one."""
        index = self._next
        if index >= self._frames:
            return False, None
        self._next += 1
        while (left_ns := self.scheduled_ns(index) - time.perf_counter_ns()) > 0:
            time.sleep(1e-9 * left_ns)
        self._given_ns[index] = time.perf_counter_ns()
        down, right = self._shake[index % len(self._shake)]
        at = self.at(index)
        high, wide = self._shots[at].image_bgr.shape[:2]
        return True, self._padded[at][down : down + high, right : right + wide]

    def release(self) -> None:
        """Nothing is held."""

    def at(self, index: int) -> int:
        """Number of the shot that the frame of a number shows."""
        length_s = float(self._times_s[-1])
        if length_s <= 0:
            return 0
        flown_s = index / self._rate_hz % (2 * length_s)
        at_s = min(flown_s, 2 * length_s - flown_s)
        return int(np.searchsorted(self._times_s, at_s, side="right")) - 1
