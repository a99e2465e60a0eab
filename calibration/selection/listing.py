"""What the sources of a request hold, before any picture is opened."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

import cv2

from calibration.selection.coverage import even_parts
from calibration.selection.request import ImageSource, SelectionRequest
from edge.errors import SourceError, TelemetryError, UsageError
from edge.frames import IMAGE_SUFFIXES, PICTURE_FPS, Video, natural, open_source
from edge.telemetry import Telemetry
from edge.tiles.identity import file_identity, folder_identity

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".ts", ".webm")


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A video and the frames of it that are looked at: 0, stride, 2 stride, ..."""

    path: Path
    count: int
    fps: float
    stride: int


@dataclass(frozen=True, slots=True)
class ListedSource:
    """One source: its pictures and its videos, and which of them are looked at."""

    index: int
    given: ImageSource
    pictures: tuple[Path, ...]
    stride: int  # every stride-th picture
    videos: tuple[VideoFile, ...]
    telemetry: Telemetry | None
    identity: str  # of the files' names and, sampled, of their content

    @property
    def found(self) -> int:
        """Frames that there are."""
        return len(self.pictures) + sum(video.count for video in self.videos)

    @property
    def looked_at(self) -> int:
        """Frames that the scan opens."""
        each = sum(-(-video.count // video.stride) for video in self.videos)
        return -(-len(self.pictures) // self.stride) + each


def list_sources(request: SelectionRequest) -> tuple[ListedSource, ...]:
    """List the files of all sources, and spread the candidates evenly over the sources.

    Raises:
        UsageError: a camera or a stream; telemetry of more than one video.
        SourceError: a source that is missing or empty, or a video that cannot be opened.
        TelemetryError: one that tells no altitude; see `Telemetry.read`.
    """
    files = [_files(source, request.option) for source in request.sources]
    opened = [[_opened(path) for path in videos] for _, videos in files]
    counts = [
        len(pictures) + sum(count for count, _ in videos)
        for (pictures, _), videos in zip(files, opened, strict=True)
    ]
    quotas = even_parts(counts, request.most_frame_candidates)
    listed = []
    for index, source in enumerate(request.sources):
        pictures, paths = files[index]
        stride = max(1, -(-counts[index] // max(quotas[index], 1)))
        videos = tuple(
            VideoFile(path, count, fps, stride)
            for path, (count, fps) in zip(paths, opened[index], strict=True)
        )
        _check_telemetry(source, len(pictures), len(videos))
        telemetry = None if source.telemetry is None else _altitudes(source.telemetry)
        identity = _identity(source, pictures, paths)
        listed.append(ListedSource(index, source, pictures, stride, videos, telemetry, identity))
    return tuple(listed)


def picture_time_s(index: int) -> float:
    """The time that a picture of a folder counts as, for telemetry."""
    return index / PICTURE_FPS


def _files(source: ImageSource, option: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Pictures and videos of a source, each in the natural order of their names."""
    text = str(source.path)
    live = re.match(r"[a-z]+:/|/dev/|\d+$", text)  # a Path has only one slash after rtsp:
    if live and not source.path.exists():
        raise UsageError(
            f"{text} is a live source",
            expected="recorded flights: a folder of pictures or videos, or a video",
            found="a camera or a stream, which is different each time",
            do="record it to a video first, for example with ffmpeg",
        )
    if not source.path.exists():
        raise SourceError(
            f"the source {source.path} does not exist",
            expected="a folder of pictures or videos, a picture, or a video",
            found="no such file or folder",
            do=f"check the path given with {option}",
        )
    if not source.path.is_dir():
        open_source(source.path).close()  # says what is wrong with it
        alone = (source.path,)
        return (alone, ()) if source.path.suffix.lower() in IMAGE_SUFFIXES else ((), alone)
    names = [x for x in source.path.iterdir() if not x.name.startswith(".") and x.is_file()]
    pictures = tuple(sorted((x for x in names if _is(x, IMAGE_SUFFIXES)), key=natural))
    videos = tuple(sorted((x for x in names if _is(x, VIDEO_SUFFIXES)), key=natural))
    if not pictures and not videos:
        suffixes = ", ".join((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
        raise SourceError(
            f"the folder {source.path} holds no pictures and no videos",
            expected=f"files that end in {suffixes}",
            found=f"{len(names)} other files",
            do="give the folder that they lie in; folders inside it are not searched",
        )
    return pictures, videos


def _opened(path: Path) -> tuple[int, float]:
    """Number of frames and frames per second of a video."""
    video = Video(path)
    video.close()
    if video.count is not None:
        return video.count, video.fps
    capture = cv2.VideoCapture(str(path))  # a container without an index: only counting tells
    try:
        count = 0
        while capture.grab():
            count += 1
        return count, video.fps
    finally:
        capture.release()


def _check_telemetry(source: ImageSource, pictures: int, videos: int) -> None:
    if source.telemetry is None or videos == 0 or (videos == 1 and pictures == 0):
        return
    raise UsageError(
        f"the telemetry {source.telemetry} cannot belong to all of {source.path}",
        expected="pictures alone, or one video, since frames are known by their number",
        found=f"{pictures} pictures and {videos} videos",
        do="give each video as a source of its own, with its own telemetry",
    )


def _altitudes(path: Path) -> Telemetry:
    telemetry = Telemetry.read(path)
    if not telemetry.tells_altitude:
        raise TelemetryError(
            f"the telemetry {path} tells no altitude, and nothing else of it is asked for here",
            expected="a column alt_m with a number in it",
            found="none in any row",
            do="add the column alt_m, or leave --telemetry out",
        )
    return telemetry


def _identity(source: ImageSource, pictures: tuple[Path, ...], videos: tuple[Path, ...]) -> str:
    """Sha256 over the names of all files and, sampled, over their content."""
    values: list[object] = [source.site, source.season, [file_identity(path) for path in videos]]
    if pictures:
        sizes = [(path.name, path.stat().st_size) for path in pictures]
        values.append(folder_identity(pictures[0].parent, sizes))
    if source.telemetry is not None:
        values.append(file_identity(source.telemetry))
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _is(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.suffix.lower() in suffixes
