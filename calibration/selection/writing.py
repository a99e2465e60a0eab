"""Decode the chosen pictures once more, check that they are those of the scan, and write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from calibration.selection.candidate import Candidate
from calibration.selection.listing import ListedSource
from calibration.selection.record import (
    FOLDERS,
    FRAME,
    WINDOW,
    ChosenImage,
    decode_png,
    encode_png,
    pixels_sha256,
)
from calibration.selection.scan import frames_of, source_paths, workers
from calibration.selection.windows import ListedMap, read_window
from calibration.selection.working_folder import WorkingFolder
from edge.errors import CalibrationError
from edge.frames import read_image
from edge.letterbox import letterbox
from edge.tiles.lattice import WindowPlace
from edge.types import Uint8

Report = Callable[[int], None]


def chosen_image(kind: str, number: int, candidate: Candidate, site: str) -> ChosenImage:
    """The line of selection.json for one picture."""
    return ChosenImage(
        kind=kind,
        file=f"{FOLDERS[kind]}/{number:04d}.png",
        sha256=candidate.sha256,
        source=candidate.name,
        place=candidate.words,
        brightness=candidate.brightness,
        contrast=candidate.contrast,
        sharpness=candidate.sharpness,
        site=site,
        season=candidate.season,
        altitude_m=candidate.altitude_m,
        frame_affine=candidate.frame_affine,
    )


def write_frames(
    work: WorkingFolder,
    listed: Sequence[ListedSource],
    chosen: Sequence[tuple[Candidate, ChosenImage]],
    frame_px: tuple[int, int],
    report: Report,
) -> None:
    """Write the chosen frames that are not there yet.

    Raises:
        CalibrationError: a picture is no longer the one that was scanned.
        SourceError: it can no longer be read.
        OutputError: no room.
    """
    missing = [(each, image) for each, image in chosen if not _is_there(work.path, image)]
    done = len(chosen) - len(missing)
    report(done)
    pictures = [pair for pair in missing if pair[0].item < len(listed[pair[0].source].pictures)]
    with ThreadPoolExecutor(workers()) as pool:

        def write(pair: tuple[Candidate, ChosenImage]) -> None:
            path = listed[pair[0].source].pictures[pair[0].item]
            _write(work, pair[1], letterbox(read_image(path), *frame_px).image, path)

        for _ in pool.map(write, pictures):
            done += 1
            report(done)
    of_videos: dict[tuple[int, int], list[tuple[Candidate, ChosenImage]]] = {}
    for pair in missing:
        if pair[0].item >= len(listed[pair[0].source].pictures):
            of_videos.setdefault((pair[0].source, pair[0].item), []).append(pair)
    for (source, item), pairs in of_videos.items():
        for image, pixels in _from_video(listed[source], item, pairs):
            path = source_paths(listed[source])[item]
            _write(work, image, letterbox(pixels, *frame_px).image, path)
            done += 1
            report(done)


def write_windows(
    work: WorkingFolder,
    listed: Sequence[ListedMap],
    chosen: Sequence[tuple[Candidate, ChosenImage]],
    report: Report,
) -> None:
    """Write the chosen windows that are not there yet.

    Raises:
        CalibrationError: a window is no longer the one that was scanned.
        MapError: the map broke.
        OutputError: no room.
    """
    missing = [(each, image) for each, image in chosen if not _is_there(work.path, image)]
    done = len(chosen) - len(missing)
    report(done)
    with ThreadPoolExecutor(workers()) as pool:

        def write(pair: tuple[Candidate, ChosenImage]) -> None:
            candidate, image = pair
            of = listed[candidate.source]
            place = WindowPlace(*candidate.place, *candidate.size_px)
            _write(work, image, read_window(of, place).image, of.given.path)

        for _ in pool.map(write, missing):
            done += 1
            report(done)


def numbered(
    kind: str, candidates: Sequence[Candidate], sites: Sequence[str]
) -> list[tuple[Candidate, ChosenImage]]:
    """Candidates in the order of their sources with their places in the folder."""
    ordered = sorted(candidates, key=lambda each: (each.source, each.item, each.place))
    return [
        (each, chosen_image(kind, number, each, sites[each.source]))
        for number, each in enumerate(ordered)
    ]


def _from_video(
    source: ListedSource, item: int, pairs: list[tuple[Candidate, ChosenImage]]
) -> Iterator[tuple[ChosenImage, Uint8]]:
    video = source.videos[item - len(source.pictures)]
    wanted = {candidate.place[0]: image for candidate, image in pairs}
    for index, pixels in frames_of(video, wanted.__contains__):
        if pixels is not None:
            yield wanted.pop(index), pixels
        if not wanted:
            return
    raise _changed(video.path, next(iter(wanted.values())))


def _write(work: WorkingFolder, image: ChosenImage, pixels: Uint8, source: Path) -> None:
    if pixels_sha256(pixels) != image.sha256:
        raise _changed(source, image)
    work.write(image.file, encode_png(pixels))


def _is_there(folder: Path, image: ChosenImage) -> bool:
    pixels = decode_png(folder / image.file)
    return pixels is not None and pixels_sha256(pixels) == image.sha256


def _changed(source: Path, image: ChosenImage) -> CalibrationError:
    kind = {FRAME: "frame", WINDOW: "window"}[image.kind]
    return CalibrationError(
        f"{source} changed while pictures were selected from it",
        expected=f"the {kind} that was scanned, {image.place}, pixels of sha256 {image.sha256}",
        found="other pixels, or none",
        do="remove the folder that ends in .part, and select again while nobody writes there",
    )
