"""Lays each frame on a window before its clicks are located: for files, which can wait."""

from __future__ import annotations

from typing import Protocol

from edge.alignment import Alignment
from edge.tiles.lattice import WindowPlace
from edge.types import Frame, FramePose, ReferenceFeature, Uint8
from edge.window_choice import WindowChoice

MOST_ALIGNED = 6  # windows tried for one frame


class FrameAligner(Protocol):
    """The part of an `Aligner` that is needed here."""

    def align(
        self,
        frame_image: Uint8,
        feature: ReferenceFeature,
        pose: FramePose = ...,
        last: Alignment | None = None,
    ) -> Alignment | None:
        """Lay a frame on one window."""
        ...


class InlinePlacer:
    """Aligns every frame, synchronously: the same input gives the same fixes."""

    def __init__(self, aligner: FrameAligner) -> None:
        self._aligner = aligner
        self._last: tuple[Alignment, WindowPlace] | None = None

    def place(
        self, frame: Frame, pose: FramePose, windows: WindowChoice
    ) -> tuple[Alignment, WindowPlace] | None:
        """Try the last window first, then the others; the first that fits is it.

        Raises:
            FeatureStoreError: the windows were stored without local features.
        """
        places = list(windows.places)
        last = None
        if self._last is not None:
            last, there = self._last
            if there in places:
                places.remove(there)
                places.insert(0, there)
        for place in places[:MOST_ALIGNED]:
            found = self._aligner.align(frame.image, windows.feature(place), pose, last)
            if found is not None:
                self._last = found, place
                return self._last
        self._last = None
        return None
