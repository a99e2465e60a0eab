"""Live sources: a thread reads the camera, a mailbox of one slot holds the newest frame.

Whoever is slow gets fewer frames, never older ones: a frame that was not taken before the next one
came is dropped and counted. Cameras buffer frames of their own; reading without pause empties them.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from edge.errors import SourceError
from edge.types import Frame, Uint8

STALL_S = 5.0  # a live source that is silent for so long is an error
OPEN_TIMEOUT_MS = 8000
_RETRY_S = 0.5


class Camera(Protocol):
    """What `cv2.VideoCapture` offers of itself here."""

    def read(self) -> tuple[bool, Uint8 | None]:
        """Wait for the next picture, BGR."""
        ...

    def release(self) -> None:
        """Let go of the device."""
        ...


@dataclass(frozen=True, slots=True)
class _Letter:
    """A picture on its way, with the moment it came in."""

    image: Uint8  # BGR as read
    index: int
    unix_s: float
    monotonic_s: float


class Mailbox:
    """One slot. A new letter replaces the one nobody took."""

    def __init__(self) -> None:
        self._arrived = threading.Condition()
        self._letter: _Letter | None = None
        self._closed = False
        self.dropped = 0

    def put(self, letter: _Letter) -> None:
        """Leave the newest picture."""
        with self._arrived:
            if self._letter is not None:
                self.dropped += 1
            self._letter = letter
            self._arrived.notify()

    def take(self, timeout_s: float) -> _Letter | None:
        """The newest picture, waiting for it; None if none comes in time, or after the end."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._letter is not None or self._closed, timeout_s)
            letter, self._letter = self._letter, None
            return letter

    def close(self) -> None:
        """No more letters; a waiting reader wakes up."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()


class LiveSource:
    """Frames of a camera or stream, the newest first and only. Reopens it after a drop-out."""

    live = True
    count: int | None = None

    def __init__(
        self, open_camera: Callable[[], Camera | None], name: str, stall_s: float = STALL_S
    ) -> None:
        """Open the camera and begin to read.

        Args:
            open_camera: opens the device anew; None where it cannot be opened.
            name: device for people.
            stall_s: silence after which iteration raises.

        Raises:
            SourceError: it cannot be opened.
        """
        self.name = name
        self.age_ms: float | None = None  # of the last frame when it was handed out
        self.worst_age_ms = 0.0
        self.reopened = 0
        self._open = open_camera
        self._stall_s = stall_s
        self._mailbox = Mailbox()
        self._stop = threading.Event()
        camera = open_camera()
        if camera is None:
            raise SourceError(
                f"the live source {name} cannot be opened",
                expected="a camera index such as 0, a device such as /dev/video0, or a stream URL",
                found="no camera or stream answers there",
                do="tilefix doctor lists the cameras; try the URL with ffprobe",
            )
        self._reader = threading.Thread(
            target=self._read, args=(camera,), name=f"reader of {name}", daemon=True
        )
        self._reader.start()

    @property
    def dropped(self) -> int:
        """How many frames were overtaken by newer ones."""
        return self._mailbox.dropped

    def __iter__(self) -> Iterator[Frame]:
        while not self._stop.is_set():
            letter = self._mailbox.take(self._stall_s)
            if self._stop.is_set():
                return
            if letter is None:
                raise SourceError(
                    f"the live source {self.name} is silent",
                    expected=f"a frame within {self._stall_s:g} s",
                    found=f"none; it was opened again {self.reopened} times",
                    do="check cable, network and power of the camera; what was done is kept",
                )
            self.age_ms = 1e3 * (time.monotonic() - letter.monotonic_s)
            self.worst_age_ms = max(self.worst_age_ms, self.age_ms)
            # Colours are turned here, not in the reader: dropped frames cost nothing.
            image = np.asarray(cv2.cvtColor(letter.image, cv2.COLOR_BGR2RGB), np.uint8)
            yield Frame(image, letter.index, letter.unix_s, self.name)

    def close(self) -> None:
        """Stop reading and let go of the device."""
        self._stop.set()
        self._mailbox.close()
        self._reader.join(timeout=2.0)

    def _read(self, camera: Camera | None) -> None:
        index = 0
        while not self._stop.is_set():
            read, image = camera.read() if camera is not None else (False, None)
            if read and image is not None:
                self._mailbox.put(_Letter(image, index, time.time(), time.monotonic()))
                index += 1
                continue
            if camera is not None:
                camera.release()
            self._stop.wait(_RETRY_S)
            if not self._stop.is_set():
                camera = self._open()
                self.reopened += camera is not None
        if camera is not None:
            camera.release()


def open_live(source: str) -> LiveSource:
    """Open a camera by index or device, or a stream by URL.

    Raises:
        SourceError: nothing answers there.
    """
    return LiveSource(lambda: _capture(source), without_password(source))


def without_password(source: str) -> str:
    """A URL as it may be shown and stored: user and password of it become ***."""
    # The last @ before the path ends them, as FFmpeg reads it: a password may hold one itself.
    return re.sub(r"://[^/?#\s]+@", "://***@", source)


def _capture(source: str) -> Camera | None:
    capture: Any  # OpenCV's own types know more than this module asks for
    if "://" in source:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, OPEN_TIMEOUT_MS]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    else:
        capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    if not capture.isOpened():
        capture.release()
        return None
    camera: Camera = capture
    return camera
