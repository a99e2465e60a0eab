"""Look at every candidate frame once, in shards that survive a kill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from calibration.selection.candidate import Candidate, FeatureMaker, seen
from calibration.selection.listing import ListedSource, VideoFile, picture_time_s
from calibration.selection.look import look_at
from calibration.selection.reasons import PoorImage
from calibration.selection.request import SelectionRequest
from calibration.selection.shot import Shot, month_in_path, shot_of
from edge.errors import SourceError
from edge.frames import breaks_off, read_image
from edge.letterbox import Letterbox, letterbox
from edge.types import Frame, Uint8

SHARD = 32  # candidates; a kill costs at most so many


class Shards(Protocol):
    """Where finished shards are kept."""

    def get(self, name: str) -> list[Candidate] | None:
        """A shard of an earlier run; None: not there, or not whole."""
        ...

    def put(self, name: str, candidates: list[Candidate]) -> None:
        """Keep a shard."""
        ...


def workers() -> int:
    """Pictures that are decoded at a time."""
    return max(1, min(4, os.cpu_count() or 1))


def scan_frames(
    listed: tuple[ListedSource, ...],
    request: SelectionRequest,
    shards: Shards,
    features: FeatureMaker | None,
    report: Callable[[int], None],
) -> list[Candidate]:
    """The candidates of all sources, in their order; `report` gets how many are done."""
    found: list[Candidate] = []
    with ThreadPoolExecutor(workers()) as pool:
        for source in listed:
            for shard in _pictures(source, request, shards, features, pool):
                found += shard
                report(len(found))
            for item, video in enumerate(source.videos):
                for shard in _video(source, item, video, request, shards, features):
                    found += shard
                    report(len(found))
    return found


def inside(boxed: Letterbox, size_px: tuple[int, int]) -> Uint8:
    """A letterboxed frame without its borders."""
    (wide_scale, _, left), (_, high_scale, top) = boxed.affine.tolist()
    wide, high = round(wide_scale * size_px[0]), round(high_scale * size_px[1])
    return boxed.image[int(top) : int(top) + high, int(left) : int(left) + wide]


def _pictures(
    source: ListedSource,
    request: SelectionRequest,
    shards: Shards,
    features: FeatureMaker | None,
    pool: ThreadPoolExecutor,
) -> Iterator[list[Candidate]]:
    wanted = range(0, len(source.pictures), source.stride)
    for number in range(0, len(wanted), SHARD):
        name = f"source-{source.index:03d}-pictures-{number // SHARD:05d}"
        shard = shards.get(name)
        if shard is None:
            part = wanted[number : number + SHARD]
            looked = pool.map(lambda n: _picture(source, n, request), part)
            shard = [_with_feature(each, pixels, features) for each, pixels in looked]
            shards.put(name, shard)
        yield shard


def _picture(
    source: ListedSource, index: int, request: SelectionRequest
) -> tuple[Candidate, Uint8 | None]:
    path = source.pictures[index]
    place: dict[str, Any] = {
        "source": source.index,
        "item": index,
        "place": (index, 0),
        "name": path.name,
        "words": f"frame {index}",
    }
    try:
        image, shot = read_image(path), shot_of(path)
    except (SourceError, OSError) as error:
        detail = error.found if isinstance(error, SourceError) else str(error)
        return Candidate(**place, poor=PoorImage.UNREADABLE.value, detail=detail), None
    frame = Frame(image, index, picture_time_s(index), str(path), timed=False)
    return _candidate(source, frame, shot, place, request)


def _video(
    source: ListedSource,
    item: int,
    video: VideoFile,
    request: SelectionRequest,
    shards: Shards,
    features: FeatureMaker | None,
) -> Iterator[list[Candidate]]:
    """Shards of one video; it is decoded from its start where one of them is missing."""
    wanted = -(-video.count // video.stride)
    names = [
        f"source-{source.index:03d}-video-{item:03d}-{n:05d}" for n in range(-(-wanted // SHARD))
    ]
    kept = [shards.get(name) for name in names]
    missing = {n for n, shard in enumerate(kept) if shard is None}
    if not missing:
        yield from (shard for shard in kept if shard is not None)
        return
    shot = Shot(month_in_path(video.path))
    fresh: list[Candidate] = []
    number = 0
    for index, image in frames_of(video, lambda n: n // video.stride // SHARD in missing):
        while number < index // video.stride // SHARD:  # the shard before this frame is complete
            yield _kept_or_put(shards, names[number], kept[number], fresh)
            number, fresh = number + 1, []
        place = _video_place(source, item, video, index)
        if image is None:
            detail = f"the video breaks off after {index} of {video.count} frames"
            fresh.append(Candidate(**place, poor=PoorImage.UNREADABLE.value, detail=detail))
            continue
        frame = Frame(image, index, index / video.fps, str(video.path))
        each, pixels = _candidate(source, frame, shot, place, request)
        fresh.append(_with_feature(each, pixels, features))
    for rest in range(number, len(names)):
        yield _kept_or_put(shards, names[rest], kept[rest], fresh)
        fresh = []


def frames_of(
    video: VideoFile, wanted: Callable[[int], bool]
) -> Iterator[tuple[int, Uint8 | None]]:
    """Every stride-th frame that is wanted; the rest is passed over without converting it.

    Where the video breaks off, one last item has no image.
    """
    capture = cv2.VideoCapture(str(video.path))
    try:
        for index in range(video.count):
            if not capture.grab():
                if breaks_off(index, video.count):
                    yield index, None
                return
            if index % video.stride or not wanted(index):
                continue
            read, image = capture.retrieve()
            if not read:
                yield index, None
                return
            yield index, np.ascontiguousarray(np.asarray(image, np.uint8)[:, :, ::-1])
    finally:
        capture.release()


def _kept_or_put(
    shards: Shards, name: str, kept: list[Candidate] | None, fresh: list[Candidate]
) -> list[Candidate]:
    if kept is not None:
        return kept
    shards.put(name, fresh)
    return fresh


def _video_place(source: ListedSource, item: int, video: VideoFile, index: int) -> dict[str, Any]:
    return {
        "source": source.index,
        "item": len(source.pictures) + item,
        "place": (index, 0),
        "name": video.path.name,
        "words": f"frame {index}",
    }


def _candidate(
    source: ListedSource,
    frame: Frame,
    shot: Shot,
    place: dict[str, Any],
    request: SelectionRequest,
) -> tuple[Candidate, Uint8]:
    boxed = letterbox(frame.image, *request.frame_px)
    size = (frame.image.shape[1], frame.image.shape[0])
    look = look_at(inside(boxed, size))
    pose = source.telemetry.pose(frame) if source.telemetry is not None else None
    height = pose.alt_m if pose is not None and pose.alt_m is not None else shot.altitude_m
    fields: dict[str, Any] = seen(look, boxed.image)
    made = Candidate(
        **place,
        **fields,
        size_px=size,
        season=source.given.season or shot.season,
        altitude_m=None if height is None else round(height, 2),
        frame_affine=tuple(map(float, boxed.affine.reshape(-1).tolist())),
    )
    return made, boxed.image


def _with_feature(
    candidate: Candidate, pixels: Uint8 | None, features: FeatureMaker | None
) -> Candidate:
    return with_feature(candidate, pixels, None if features is None else features.frame)


def with_feature(
    candidate: Candidate, pixels: Uint8 | None, make: Callable[[Uint8], Any] | None
) -> Candidate:
    """The candidate with the vector of the network, where there is one and the picture is fit."""
    if make is None or pixels is None or candidate.poor:
        return candidate
    import msgspec

    vector = np.asarray(make(pixels), np.float32).reshape(-1)
    return msgspec.structs.replace(candidate, feature=vector.tobytes())


def source_paths(listed: ListedSource) -> tuple[Path, ...]:
    """Files by `Candidate.item`: the pictures, then the videos."""
    return (*listed.pictures, *(video.path for video in listed.videos))
