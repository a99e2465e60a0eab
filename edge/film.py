"""Overlay pictures on their way to disk: a video of all frames, a picture of the best one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import OutputError
from edge.sinks import write_whole
from edge.types import Uint8

SLOWEST_FPS, FASTEST_FPS = 1.0, 30.0


class OverlayFilm:
    """`overlay.png` of the frame with the most accepted fixes; from two frames on `overlay.mp4`."""

    NAMES = ("overlay.png", "overlay.mp4")

    def __init__(self, folder: Path) -> None:
        self.picture, self.video = (folder / name for name in self.NAMES)
        self.count = 0
        self._first: tuple[Uint8, float] | None = None
        self._writer: Any = None
        self._best = -1

    def write(self, image: Uint8, time_s: float, accepted: int) -> None:
        """Add one picture, RGB [H, W, 3], of the same size as those before.

        Raises:
            OutputError: no room, or no encoder.
        """
        if accepted > self._best:
            self._best = accepted
            write_image(self.picture, image)
        if self.count == 0:
            self._first = image, time_s
        elif self._writer is None and self._first is not None:
            first, first_s = self._first
            rate = 1.0 / max(time_s - first_s, 1e-3)
            self._writer = self._open(first, min(max(rate, SLOWEST_FPS), FASTEST_FPS))
            self._writer.write(_bgr(first))
            self._first = None
        if self._writer is not None:
            self._writer.write(_bgr(image))
        self.count += 1

    def close(self) -> None:
        """Finish the video."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _open(self, image: Uint8, fps: float) -> Any:
        size = image.shape[1], image.shape[0]
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self.video), code, fps, size)
        if not writer.isOpened():
            raise OutputError(
                f"the video {self.video} cannot be written",
                expected="an OpenCV with the encoder mp4v, and a folder that may be written to",
                found=f"OpenCV {cv2.__version__} opens no video there",
                do="leave --overlay out, or install opencv-python-headless from PyPI",
            )
        return writer


def write_image(path: Path, image: Uint8) -> None:
    """Write an RGB picture under a temporary name and rename it.

    Raises:
        OutputError: it cannot be written.
    """
    write_whole(path, encode_image(image, path.suffix))


def encode_image(image: Uint8, suffix: str, quality: int | None = None) -> bytes:
    """An RGB picture as the bytes of a file; `quality` 0 to 100 for JPEG."""
    flags = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, data = cv2.imencode(suffix, _bgr(image), flags)
    return bytes(data.tobytes())


def _bgr(image: Uint8) -> Uint8:
    return np.ascontiguousarray(image[:, :, ::-1])
