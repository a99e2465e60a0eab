"""What the demo flies: the bundled flight over its tile map, or the frames of a pairs file."""

from __future__ import annotations

import importlib.resources
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.assembly import Assembly, PriorChoice, assemble, assemble_on_map
from edge.bundle import Bundle
from edge.clicks import ClickSchedule
from edge.errors import DataError
from edge.frame_result import FrameResult
from edge.frames import open_source
from edge.pairs import PairsFrame, read_pairs
from edge.pairs_grid import AllWindows, PairsGrid
from edge.pairs_images import read_frame, read_map, window_for
from edge.telemetry import Telemetry
from edge.truth import Truth, by_geometry
from edge.types import Click, Float64, Frame, FramePose

Task = tuple[Frame, tuple[Click, ...], FramePose]


@dataclass(frozen=True, slots=True)
class DemoFlight:
    """Frames with clicks and truth, and the pipeline to locate them."""

    title: str
    words: str  # what it is, in a sentence
    assembly: Assembly
    truth: Truth
    tasks: Iterator[Task]
    count: int  # frames
    clicks: int
    bundle: Bundle


def bundled_flight(bundle: Bundle, prior: PriorChoice) -> DemoFlight:
    """The flight that comes with tilefix.

    Raises:
        DataError: this installation carries none.
    """
    return recorded_flight(bundled_folder(), bundle, prior)


def bundled_folder() -> Path:
    """Where the flight lies that comes with tilefix.

    Raises:
        DataError: this installation carries none.
    """
    folder = Path(str(importlib.resources.files("edge"))) / "demo_data" / "flight"
    if not (folder / "truth.json").is_file():
        raise DataError(
            "this installation of tilefix carries no demo flight",
            expected=str(folder / "truth.json"),
            found="no such file",
            do="install tilefix from its wheel, or give --pairs FILE",
        )
    return folder


def recorded_flight(folder: Path, bundle: Bundle, prior: PriorChoice) -> DemoFlight:
    """A flight on disk: map.mbtiles, frames/, clicks.csv, telemetry.csv and truth.json."""
    pairs = read_pairs(folder / "truth.json")
    clicks = ClickSchedule.read(folder / "clicks.csv")
    telemetry = Telemetry.read(folder / "telemetry.csv")
    source = open_source(folder / "frames")
    assembly = assemble_on_map(bundle, folder / "map.mbtiles", prior=prior)

    def tasks() -> Iterator[Task]:
        for frame in source:
            yield frame, clicks.take(frame), telemetry.pose(frame) or FramePose()

    return DemoFlight(
        title="A flight over an invented town",
        words=f"{source.count} frames with {len(clicks)} clicks. Map and camera are rendered from "
        "the same procedural town, in another season and light; some of what is clicked was built "
        "after the map was made and is not on it.",
        assembly=assembly,
        truth=Truth(pairs, by_geometry(pairs), bundle.manifest.window.gsd_m),
        tasks=tasks(),
        count=source.count or 0,
        clicks=len(clicks),
        bundle=bundle,
    )


def pairs_flight(bundle: Bundle, prior: PriorChoice, path: Path, images: Path | None) -> DemoFlight:
    """The frames of a pairs file over its whole map: nothing says where to look.

    Raises:
        PairsError: see `edge.pairs.read_pairs`.
    """
    pairs = read_pairs(path, images)
    size = bundle.manifest.window
    grid = PairsGrid(window_for(read_map(pairs), size.gsd_m, size.width_px))
    # The clicks carry the names of their labels, for the tables: a tracker would know by them which
    # click is which object, and hand the truth on from frame to frame.
    assembly = assemble(
        bundle, grid, lambda cache: AllWindows(cache, grid.places), prior=prior, track=False
    )

    def to_window(xy_px: Float64, result: FrameResult) -> Float64:
        if result.place is None:
            raise ValueError("the frame has no window")
        corner = np.array([result.place.left_px, result.place.top_px])
        return np.asarray(grid.to_grid(xy_px) - corner)

    labelled = [(n, frame) for n, frame in enumerate(pairs.frames) if frame.clicks]

    def tasks() -> Iterator[Task]:
        for number, frame in labelled:
            read = read_frame(pairs, frame, number)
            yield read, _named(frame), FramePose()

    count = sum(len(frame.clicks) for _, frame in labelled)
    return DemoFlight(
        title=pairs.name,
        words=f"{len(labelled)} frames with {count} clicks from {path.name}. The window is the "
        "whole map: no position and no telemetry say where to look.",
        assembly=assembly,
        truth=Truth(pairs, to_window, size.gsd_m),
        tasks=tasks(),
        count=len(labelled),
        clicks=count,
        bundle=bundle,
    )


def _named(frame: PairsFrame) -> tuple[Click, ...]:
    """The clicks of a frame under the names of their objects; what is absent is called absent."""
    names = [click.object_id or "absent" for click in frame.clicks]
    twice = {name for name, count in Counter(names).items() if count > 1}
    found = [f"{name}#{n}" if name in twice else name for n, name in enumerate(names)]
    return tuple(
        Click(name, click.x_px, click.y_px) for name, click in zip(found, frame.clicks, strict=True)
    )
