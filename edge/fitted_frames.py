"""Camera frames in the size of a model; one that is asked about again is not fitted again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge.letterbox import Letterbox, letterbox
from edge.types import Frame, Uint8


class FittedFrames:
    """Fits frames into a size, and remembers the last one."""

    def __init__(
        self, width_px: int, height_px: int, keep: Callable[[Uint8], None] | None = None
    ) -> None:
        """`keep` is told each picture of a new frame: the very array, which stays unaltered."""
        self._size = width_px, height_px
        self._keep = keep
        self._last: tuple[Frame, Letterbox] | None = None

    def of_image(self, image: Uint8) -> Letterbox:
        """Fit a picture that is nobody's frame.

        Raises:
            SourceError: see `letterbox`.
        """
        return letterbox(image, *self._size)

    def of_frame(self, frame: Frame) -> Letterbox:
        """Fit a frame, or know it again.

        Raises:
            SourceError: see `letterbox`.
        """
        if self._last is None or frame is not self._last[0]:
            fitted = self.of_image(frame.image)
            if fitted.image is frame.image:  # it is its owner's, who may use it for something else
                fitted = replace(fitted, image=frame.image.copy())
            self._last = frame, fitted
            if self._keep is not None:
                self._keep(fitted.image)
        return self._last[1]
