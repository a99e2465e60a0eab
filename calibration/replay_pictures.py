"""Which pictures an INT8 bundle carries, so that a device can judge its engines.

Where the judge decided on held-out samples, a few of these: frames in the windows that show what
was clicked, without the clicks on what they do not show, where boxes jump at the least change. So
half of the boxes that differ are a fault of the engine, and not of the pictures.

Without samples the judge locates 64 frames of the selection, each in two of sixteen windows. A
bundle takes sixteen of these frames and two of the windows, those with most of the frames, and
every frame is looked for in both: 128 clicks. Nobody knows what these windows show.

Which, is decided by the pictures alone, so a second run writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibration.judging.agreement import meetings
from calibration.judging.held_out import HeldOutSample, open_held_out
from calibration.ranges.inputs import seeded_clicks
from calibration.replay_index import (
    SCHEMA,
    ReplayFrame,
    ReplayIndex,
    ReplayWindow,
    encode_webp,
    index_bytes,
    name_of,
)
from calibration.selection.record import ChosenImage, Selection, SelectionFolder, pixels_sha256
from edge.engine_manifest import CALIBRATION, HELD_OUT, REPLAY_INDEX
from edge.letterbox import letterbox

FRAMES, WINDOWS = 16, 2
SAMPLES = 8
MOST_BYTES = 12_000_000  # of the samples' pictures: a window of 1024 px takes 1.5 MB


def replay_files(
    folder: SelectionFolder, samples: Sequence[Path] = (), every: int = 1
) -> dict[str, bytes]:
    """The pictures and their index by their names in a bundle; none where nothing is judged.

    Args:
        folder: of the calibration.
        samples: folders that the judge decided on; none: agreement on the selection decided.
        every: one of so many samples of each folder was judged.

    Raises:
        CalibrationError: a picture of the selection was altered, or a frame cannot be clicked.
        DataError: a sample that cannot be decoded.
    """
    held_out = open_held_out(samples, every)
    return _of_samples(held_out, folder.selection) if held_out else _of_selection(folder)


def _of_samples(samples: Sequence[HeldOutSample], selection: Selection) -> dict[str, bytes]:
    """Drawn by their digests, in which nothing of a place or a flight has a part."""
    files: dict[str, bytes] = {}
    frames: list[ReplayFrame] = []
    windows: list[ReplayWindow] = []
    size_bytes = 0
    for number, each in enumerate(sorted(samples, key=lambda x: x.sha256)[:SAMPLES]):
        sample = each.read()
        fitted = letterbox(sample.frame, *selection.frame_px)
        frame, window = (f"{kind}/{number:04}.webp" for kind in ("frames", "windows"))
        pictures = {
            name_of(frame): encode_webp(fitted.image),
            name_of(window): encode_webp(sample.window),
        }
        size_bytes += sum(map(len, pictures.values()))
        if files and size_bytes > MOST_BYTES:
            break
        files |= pictures
        clicks = sample.click_xy_px[sample.present].tolist()
        frames.append(
            ReplayFrame(
                file=frame,
                sha256=pixels_sha256(fitted.image),
                frame_affine=tuple(fitted.affine.ravel().tolist()),
                click_xy_px=tuple((x, y) for x, y in clicks),
                windows=(window,),
            )
        )
        windows.append(ReplayWindow(file=window, sha256=pixels_sha256(sample.window)))
    return {**files, REPLAY_INDEX: _index(HELD_OUT, selection, frames, windows)}


def _of_selection(folder: SelectionFolder) -> dict[str, bytes]:
    windows, frames = chosen(folder)
    if not frames:
        return {}
    selection = folder.selection
    files = {name_of(_file(each)): encode_webp(folder.read(each)) for each in (*windows, *frames)}
    met = tuple(_file(each) for each in windows)
    listed = [
        ReplayFrame(
            file=_file(each),
            sha256=each.sha256,
            frame_affine=each.frame_affine,
            click_xy_px=_clicks(each, selection.frame_px),
            windows=met,
        )
        for each in frames
    ]
    places = [ReplayWindow(file=_file(each), sha256=each.sha256) for each in windows]
    return {**files, REPLAY_INDEX: _index(CALIBRATION, selection, listed, places)}


def chosen(folder: SelectionFolder) -> tuple[list[ChosenImage], list[ChosenImage]]:
    """Windows and frames among those that the judge's frames are looked for in."""
    busiest = sorted(meetings(folder), key=lambda each: -len(each[1]))
    frames = {frame.file: frame for _, met in busiest for frame in met}
    kept = sorted(list(frames)[:FRAMES])
    return [window for window, _ in busiest[:WINDOWS]], [frames[file] for file in kept]


def _index(
    pictures: str,
    selection: Selection,
    frames: Sequence[ReplayFrame],
    windows: Sequence[ReplayWindow],
) -> bytes:
    """Every float32 in it is a number of JSON without rounding."""
    return index_bytes(
        ReplayIndex(
            schema=SCHEMA,
            pictures=pictures,
            selection_sha256=selection.digest(),
            frame_px=selection.frame_px,
            window_px=selection.window_px,
            frames=tuple(frames),
            windows=tuple(windows),
        )
    )


def _clicks(image: ChosenImage, frame_px: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """The judge's clicks."""
    return tuple((float(x), float(y)) for x, y in seeded_clicks(image, frame_px, seed=0))


def _file(image: ChosenImage) -> str:
    return f"{image.file.rpartition('.')[0]}.webp"
