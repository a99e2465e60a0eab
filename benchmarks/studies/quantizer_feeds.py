"""The pictures that every tool finds its ranges on, as files that any of them can read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from calibration.judging.sensitivity import spread_over
from calibration.ranges.inputs import encoder_feeds, localizer_feeds
from calibration.selection.record import SelectionFolder
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.types import Uint8

SEED = 0  # of the clicks and of which window's features a frame meets


@dataclass(frozen=True, slots=True)
class Pictures:
    """A part of a selection to find ranges on, and windows that are not in it."""

    seen: SelectionFolder
    judged: tuple[Uint8, ...]  # [1024, 1024, 3] uint8 each


def part_of(folder: SelectionFolder, frames: int, windows: int, judged: int) -> Pictures:
    """Frames and windows evenly from the first to the last, and further windows between these.

    Args:
        folder: the whole selection.
        frames: to find the localizer's ranges on.
        windows: to find the encoder's ranges on.
        judged: windows to compare features on.
    """
    seen = spread_over(folder.windows, windows)
    others = [each for each in folder.windows if each not in seen]
    images = (*spread_over(folder.frames, frames), *seen)
    part = msgspec.structs.replace(folder.selection, images=images)
    pixels = tuple(folder.read(each) for each in spread_over(others, judged))
    return Pictures(replace(folder, selection=part), pixels)


def write_feeds(bundle: Bundle, folder: SelectionFolder, scratch: Path) -> dict[str, Path]:
    """All inputs of both graphs for each picture; kind of graph -> folder of .npz files.

    Frames come as a calibration feeds them: four seeded clicks, no prior, and the float32 features
    of one of the windows.

    Args:
        bundle: the float bundle.
        folder: the part of the selection.
        scratch: folder for the files.
    """
    from edge.executors.onnxruntime import OnnxRuntimeExecutor

    localizer = OnnxRuntimeExecutor(bundle.graph(LOCALIZER), "fp32", threads=1)
    needs = [each.name for each in localizer.inputs]
    frames = localizer_feeds(bundle, folder, needs, scratch / "features", SEED, 1)
    written = {}
    for kind, feeds in ((ENCODER, encoder_feeds(folder)), (LOCALIZER, frames)):
        written[kind] = scratch / kind
        written[kind].mkdir()
        for number, feed in enumerate(feeds):
            arrays: dict[str, Any] = dict(feed.read())
            np.savez(written[kind] / f"{number:04d}.npz", **arrays)
    return written
