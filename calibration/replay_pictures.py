"""Which pictures of a selection an INT8 bundle carries, so that a device can judge its engines.

The judge locates 64 frames, each in two of sixteen windows. A bundle takes sixteen of these frames
and two of the windows, those with most of the frames, and every frame is looked for in both: 128
clicks. Which, is decided by the selection alone, so a second run writes the same bytes.
"""

from __future__ import annotations

from calibration.judging.agreement import meetings
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
from calibration.selection.record import ChosenImage, SelectionFolder
from edge.engine_manifest import REPLAY_INDEX

FRAMES, WINDOWS = 16, 2


def replay_files(folder: SelectionFolder) -> dict[str, bytes]:
    """The pictures and their index by their names in a bundle; none where nothing is judged.

    Raises:
        CalibrationError: a picture of the selection was altered, or a frame cannot be clicked.
    """
    windows, frames = chosen(folder)
    if not frames:
        return {}
    selection = folder.selection
    files = {name_of(_file(each)): encode_webp(folder.read(each)) for each in (*windows, *frames)}
    met = tuple(_file(each) for each in windows)
    index = ReplayIndex(
        schema=SCHEMA,
        selection_sha256=selection.digest(),
        frame_px=selection.frame_px,
        window_px=selection.window_px,
        frames=tuple(
            ReplayFrame(
                file=_file(each),
                sha256=each.sha256,
                frame_affine=each.frame_affine,
                click_xy_px=_clicks(each, selection.frame_px),
                windows=met,
            )
            for each in frames
        ),
        windows=tuple(ReplayWindow(file=_file(each), sha256=each.sha256) for each in windows),
    )
    return {**files, REPLAY_INDEX: index_bytes(index)}


def chosen(folder: SelectionFolder) -> tuple[list[ChosenImage], list[ChosenImage]]:
    """Windows and frames among those that the judge's frames are looked for in."""
    busiest = sorted(meetings(folder), key=lambda each: -len(each[1]))
    frames = {frame.file: frame for _, met in busiest for frame in met}
    kept = sorted(list(frames)[:FRAMES])
    return [window for window, _ in busiest[:WINDOWS]], [frames[file] for file in kept]


def _clicks(image: ChosenImage, frame_px: tuple[int, int]) -> tuple[tuple[float, float], ...]:
    """The judge's clicks; every float32 is a number of JSON without rounding."""
    return tuple((float(x), float(y)) for x, y in seeded_clicks(image, frame_px, seed=0))


def _file(image: ChosenImage) -> str:
    return f"{image.file.rpartition('.')[0]}.webp"
