"""Where frames come from: a picture, a folder of pictures, a video, a camera, a network stream.

Files are never dropped: every frame is handed out, in order. Live sources never lag: a thread reads
them as fast as they come, and whoever asks gets the newest frame (`edge.live`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from edge.errors import SourceError
from edge.types import Frame, Uint8

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
SOURCES = "a picture, a folder of pictures, a video, a camera index (0), or an RTSP URL"
_SHORTFALL = 0.05  # share of the stated frames that a video may lack: the statement is a guess
_NO_RATE_FPS = 30.0
LeaveOut = Callable[[SourceError], None]
PICTURE_FPS = 1.0  # what pictures of a folder count as, for telemetry by time


class FrameSource(Protocol):
    """A row of frames. Iterate once, then close."""

    @property
    def name(self) -> str:
        """File or device, for people; without passwords."""
        ...

    @property
    def live(self) -> bool:
        """Whether frames that nobody takes in time are dropped."""
        ...

    @property
    def count(self) -> int | None:
        """How many frames there are, as far as known."""
        ...

    @property
    def dropped(self) -> int:
        """How many frames were overtaken by newer ones; 0 for files."""
        ...

    @property
    def age_ms(self) -> float | None:
        """How old the last frame was when it was handed out; None for files."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises:
            SourceError: a frame that cannot be read, or a live source that stays silent.
        """
        ...

    def close(self) -> None:
        """Let go of file or device; iteration in another thread ends."""
        ...


class _Files:
    """What sources of files have in common."""

    live = False
    dropped = 0
    age_ms: float | None = None


class Pictures(_Files):
    """One picture, or all pictures of a folder in the natural order of their names."""

    def __init__(
        self, paths: tuple[Path, ...], name: str, leave_out: LeaveOut | None = None
    ) -> None:
        self.name = name
        self.count: int | None = len(paths)
        self._paths = paths
        self._leave_out = leave_out

    def __iter__(self) -> Iterator[Frame]:
        left_out = 0
        for index, path in enumerate(self._paths):
            try:
                image = read_image(path)
            except SourceError as error:  # noqa: PERF203 - one bad file hides no other
                if self._leave_out is None or len(self._paths) == 1:
                    raise
                self._leave_out(error)
                left_out += 1
            else:
                yield Frame(image, index, index / PICTURE_FPS, str(path), timed=False)
        if left_out == len(self._paths):
            raise SourceError(
                f"not one picture of {self.name} can be read",
                expected="whole JPEG, PNG, TIFF, BMP or WebP files",
                found=f"{left_out} that cannot be read",
                do="copy the folder again",
            )

    def close(self) -> None:
        """Nothing is held."""


class Video(_Files):
    """Every frame of a video file."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._capture = cv2.VideoCapture(str(path))
        stated = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if self._capture.isOpened() else 0.0
        self.count: int | None = int(stated) if 0 < stated < 1e9 else None
        rate = self._capture.get(cv2.CAP_PROP_FPS) if self._capture.isOpened() else 0.0
        self.fps = rate if 0 < rate < 1e4 else _NO_RATE_FPS
        if not self._capture.isOpened():
            raise SourceError(
                f"the video {path} cannot be read",
                expected=SOURCES,
                found=f"a file of {path.stat().st_size} bytes that no decoder opens",
                do="play it elsewhere to check it; re-encode it as H.264 in MP4 with ffmpeg",
            )

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            read, image = self._capture.read()
            if not read:
                break
            yield Frame(_rgb(image), index, index / self.fps, self.name)
            index += 1
        stated = self.count or 0
        if index == 0 or breaks_off(index, stated):
            raise SourceError(
                f"the video {self.name} breaks off",
                expected=f"{stated} frames" if stated else "at least one frame",
                found=f"{index} that can be decoded",
                do="copy or re-encode it again; what was done so far is kept",
            )

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def open_source(source: str | os.PathLike[str], leave_out: LeaveOut | None = None) -> FrameSource:
    """Open a source by what it is: a digit is a camera, `://` a stream, else a path.

    Args:
        source: what the user gave.
        leave_out: where given, it is handed the error of each picture of a folder that cannot be
            read, and the others come: one bad file must not end a flight. Its index stays its own.

    Raises:
        SourceError: it does not exist, is empty, or cannot be read.
    """
    text = os.fspath(source)
    if "://" in text or text.startswith("/dev/") or (text.isdecimal() and not Path(text).exists()):
        from edge.live import open_live

        return open_live(text)
    path = Path(text)
    if path.is_dir():
        return _folder(path, leave_out)
    if not path.is_file():
        raise SourceError(
            f"the source {path} does not exist",
            expected=SOURCES,
            found="no such file or folder",
            do="check the path given with --source",
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return Pictures((path,), str(path))
    return Video(path)


def read_image(path: Path) -> Uint8:
    """A picture as RGB, turned upright as its EXIF says. [H, W, 3] uint8.

    Raises:
        SourceError: missing, truncated, or not a picture.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _bad_picture(path, f"{type(error).__name__}: {error.strerror}") from error
    if data[:2] == b"\xff\xd8" and not _jpeg_is_whole(data):
        raise _bad_picture(path, f"a JPEG that breaks off after {len(data)} bytes")
    image = None
    if data:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error as error:  # a header that states more pixels than OpenCV takes, above all
            raise _bad_picture(path, f"what OpenCV refuses: {error.err}") from error
    if image is None:
        raise _bad_picture(path, f"{len(data)} bytes that no decoder understands")
    return _rgb(image)


def _folder(path: Path, leave_out: LeaveOut | None) -> Pictures:
    found = [
        item
        for item in path.iterdir()
        if item.suffix.lower() in IMAGE_SUFFIXES and not item.name.startswith(".")
    ]
    if not found:
        raise SourceError(
            f"the folder {path} holds no pictures",
            expected=f"files that end in {', '.join(IMAGE_SUFFIXES)}",
            found=f"{sum(1 for _ in path.iterdir())} other files",
            do="give the folder that the pictures lie in; folders inside it are not searched",
        )
    return Pictures(tuple(sorted(found, key=natural)), str(path), leave_out)


def breaks_off(frames: int, stated: int) -> bool:
    """Whether a video of so many frames lacks more of those that it states than a guess may."""
    return frames < stated * (1 - _SHORTFALL) - 2


def natural(path: Path) -> list[tuple[int, str]]:
    """The order of names in which 2.jpg comes before 10.jpg."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _rgb(image: object) -> Uint8:
    """What OpenCV hands out, as RGB."""
    return np.asarray(cv2.cvtColor(np.asarray(image, np.uint8), cv2.COLOR_BGR2RGB), np.uint8)


def _jpeg_is_whole(data: bytes) -> bool:
    """Whether the picture's scans end. Decoders fill what is missing with grey and say nothing."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(b"\xff\xd9", at) >= 0


def _bad_picture(path: Path, found: str) -> SourceError:
    return SourceError(
        f"the picture {path} cannot be read",
        expected="a whole JPEG, PNG, TIFF, BMP or WebP",
        found=found,
        do="copy it again, or take it out of the folder",
    )
