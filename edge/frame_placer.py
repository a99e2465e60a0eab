"""Where a frame lies on the map: aligned in its turn (files), or beside the frame path (live).

Files can wait: `InlinePlacer` aligns every frame, and the same input gives the same fixes. A live
source cannot: `WorkerPlacer` hands frames to the alignment's thread and carries its newest result
to the frame at hand by the motion of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.alignment import Alignment
from edge.alignment_worker import AlignedFrame, WorkingAligner
from edge.file_search import FileSearch
from edge.frame_motion import FrameMotion
from edge.matching import project
from edge.tiles.lattice import WindowPlace
from edge.types import Float32, Float64, Frame, FramePose, Prior, ReferenceFeature
from edge.window_choice import WindowChoice

MOST_ALIGNED = 6  # windows tried for one frame
OLDEST_S = 3.0  # an alignment older than this is not carried to a new frame
STARVED_S = 2.0  # without a finished frame: the thread gets too little of the cores
STEP_SIGMA_PX = 0.4  # of a frame, for each step of the picture's motion
SEARCHED = "not aligned: every yaw and zoom was tried"
LONG_SEARCH = "; --telemetry with yaw_deg and gsd_m makes that short"
CUT_SHORT = (
    "not aligned, and not searched in full: an earlier search there failed, so the rest is spread "
    "over the frames"
)
LATE = "not aligned in time: a live frame does not wait for its place on the map"
_NOWHERE_PX = -1e6


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """A frame on the map."""

    alignment: Alignment  # of this frame or an earlier one
    place: WindowPlace  # the window of the alignment
    to_aligned: Float64  # [3, 3], pixels of this frame -> pixels of the aligned one
    steps: int = 0  # frames between the two

    @property
    def homography(self) -> Float64:
        """Pixels of this frame -> pixels of the window. [3, 3]"""
        return np.asarray(self.alignment.homography @ self.to_aligned)

    @property
    def inliers(self) -> int:
        """Matches behind the alignment."""
        return self.alignment.inliers

    def prior(self, click_xy_px: Float32 | Float64) -> Prior:
        """Window position and inverse variance of each click of this frame. [N, 2]"""
        clicks = np.asarray(click_xy_px, np.float64).reshape(-1, 2)
        if self.steps == 0:
            return self.alignment.prior(clicks)
        depth = np.column_stack([clicks, np.ones(len(clicks))]) @ self.to_aligned[2]
        carried = np.full_like(clicks, _NOWHERE_PX)
        seen = depth > 1e-3
        carried[seen] = project(self.to_aligned, clicks[seen])
        known = self.alignment.prior(carried)
        spread = (STEP_SIGMA_PX * self.alignment.scale * self.steps) ** 2
        inv_var = np.where(seen, known.inv_var / (1.0 + known.inv_var * spread), 0.0)
        return Prior(known.xy_px, inv_var.astype(np.float32), known.source, known.inliers)


class AlignerThread(Protocol):
    """The part of an `AlignmentWorker` that is needed here."""

    def offer(
        self, frame: Frame, features: tuple[ReferenceFeature, ...], pose: FramePose | None = None
    ) -> None:
        """Hand the newest frame over."""
        ...

    def latest(self) -> AlignedFrame | None:
        """What was found out about the newest finished frame."""
        ...

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until no frame waits or is being worked on; False: timed out."""
        ...

    def roam(self) -> None:
        """Let the thread take any core from now on."""
        ...

    def close(self) -> None:
        """End the thread."""
        ...


class InlinePlacer:
    """Aligns every frame in its turn."""

    def __init__(self, aligner: WorkingAligner) -> None:
        self._aligner = aligner
        self._search = FileSearch(aligner)
        self._last: tuple[Alignment, WindowPlace] | None = None
        self.note = ""  # of the last frame

    def place(self, frame: Frame, pose: FramePose, windows: WindowChoice) -> PlacedFrame | None:
        """Try the place of the last frame, else search; the first that fits is it.

        Raises:
            FeatureStoreError: the windows were stored without local features.
        """
        places = list(windows.places)
        found = None
        if self._last is not None:
            last, there = self._last
            if there in places:
                places.remove(there)
                places.insert(0, there)
            found = self._track(frame, last, windows, places[:MOST_ALIGNED])
        if found is None:
            found = self._search.find(frame.image, pose, windows, places[:MOST_ALIGNED])
        self._last, self.note = found, ""
        if found is None:
            known = pose.yaw_deg is not None and pose.gsd_m is not None
            self.note = SEARCHED if self._search.in_full else CUT_SHORT
            if not known:
                self.note += LONG_SEARCH
            return None
        return PlacedFrame(*found, np.eye(3))

    def _track(
        self, frame: Frame, last: Alignment, windows: WindowChoice, places: list[WindowPlace]
    ) -> tuple[Alignment, WindowPlace] | None:
        for place in places:
            found = self._aligner.track(frame.image, windows.feature(place), last)
            if found is not None:
                return found, place
        return None

    def close(self) -> None:
        """Nothing is held."""


class WorkerPlacer:
    """Aligns in another thread. A frame waits for it only where the thread would starve."""

    def __init__(self, worker: AlignerThread, *, patience_s: float = 0.0) -> None:
        """Take a running thread.

        Args:
            worker: the thread.
            patience_s: how long a frame waits where nothing was finished for `STARVED_S`. A frame
                path that keeps all cores busy leaves an alignment of low priority next to nothing,
                and a late frame with a place on the map is worth more than a quick one without.
        """
        self._worker = worker
        self._patience_s = patience_s
        self._fed_s: float | None = None  # capture time of the last frame that was finished
        self._motion = FrameMotion()
        self._places: dict[str, WindowPlace] = {}
        self.note = ""  # of the last frame

    def place(self, frame: Frame, pose: FramePose, windows: WindowChoice) -> PlacedFrame | None:
        """Offer the frame, and carry the newest alignment to it; None: there is none that reaches.

        Raises:
            FeatureStoreError: the windows were stored without local features.
        """
        placed = self._carried(frame, pose, windows)
        self.note = LATE if placed is None else ""
        return placed

    def _carried(self, frame: Frame, pose: FramePose, windows: WindowChoice) -> PlacedFrame | None:
        self._motion.add(frame)
        features = tuple(windows.feature(place) for place in windows.places[:MOST_ALIGNED])
        self._places.update(windows.used)
        self._worker.offer(frame, features, pose)
        latest = self._worker.latest()
        if self._fed_s is None or latest is not None:
            self._fed_s = frame.time_s if latest is None else latest.time_s
        if frame.time_s - self._fed_s > STARVED_S:
            self._worker.roam()
            if self._patience_s > 0:
                self._worker.wait(self._patience_s)
                latest = self._worker.latest()
        if latest is None or latest.alignment is None:
            return None
        way = self._motion.since(latest.frame_index)
        place = self._places.get(latest.alignment.window_id)
        if way is None or place is None or frame.time_s - latest.time_s > OLDEST_S:
            return None
        return PlacedFrame(latest.alignment, place, way[0], way[1])

    def close(self) -> None:
        """End the thread."""
        self._worker.close()
