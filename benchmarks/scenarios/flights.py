"""What the benchmarks fly: the pictures of a pairs file as a camera gives them, and its map.

The bundled flight brings a tile map and telemetry, and is flown as `tilefix run` flies. Any other
pairs file is one map of which every window is tried, as in `tilefix demo --pairs`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.assembly import Assembly, ExecutorChoice, PriorChoice, assemble
from edge.bundle import Bundle
from edge.clicks import ClickSchedule
from edge.demo_flight import bundled_folder
from edge.errors import BenchmarkError
from edge.feature_cache import FeatureCache, StoredFeatures
from edge.frames import open_source
from edge.pairs import Pairs, read_pairs
from edge.pairs_grid import AllWindows, PairsGrid
from edge.pairs_images import read_frame, read_map, window_for
from edge.telemetry import Telemetry
from edge.tiles.opening import open_map
from edge.types import Click, Frame, FramePose, Uint8
from edge.window_choice import LatticeWindows, WindowSupply

Wrap = Callable[[FeatureCache], Any]  # what the windows ask in place of their cache


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a flight."""

    image_bgr: Uint8  # [H, W, 3], as OpenCV hands out what a camera sends
    clicks: tuple[Click, ...]  # that are labelled in it
    pose: FramePose
    source: str
    time_s: float  # since the first one


@dataclass(frozen=True, slots=True)
class Flight:
    """Pictures, clicks and map, opened."""

    pairs: Pairs
    sha256: str  # of the pairs file
    shots: tuple[Shot, ...]
    folder: Path | None  # of a recorded flight, with map.mbtiles; None: a pairs file alone

    @property
    def name(self) -> str:
        """Of the pairs file; of a recorded flight that of its folder."""
        return self.folder.name if self.folder is not None else self.pairs.name

    def assemble(
        self,
        bundle: Bundle,
        executor: ExecutorChoice,
        *,
        prior: PriorChoice,
        live: bool = False,
        wrap: Wrap = lambda cache: cache,
        store: StoredFeatures | None = None,
    ) -> Assembly:
        """A pipeline over the map of this flight; see `edge.assembly.assemble`."""
        how = {"prior": prior, "live": live, "executor": executor, "store": store}
        if self.folder is None:
            size = bundle.manifest.window
            pairs_grid = PairsGrid(window_for(read_map(self.pairs), size.gsd_m, size.width_px))

            def every(cache: FeatureCache) -> WindowSupply:
                return AllWindows(wrap(cache), pairs_grid.places)

            return assemble(bundle, pairs_grid, every, track=False, **how)
        tiles = open_map(self.folder / "map.mbtiles")
        try:
            size = bundle.manifest.window
            grid = tiles.grid(size.gsd_m)

            def near(cache: FeatureCache) -> WindowSupply:
                return LatticeWindows(wrap(cache), grid, size.width_px)

            return replace(assemble(bundle, grid, near, **how), tiles=tiles)
        except BaseException:
            tiles.close()
            raise


def open_flight(pairs_path: Path | None, most: int | None = None) -> Flight:
    """Read a pairs file with its pictures into memory; None: the bundled flight.

    Args:
        pairs_path: the file.
        most: only so many pictures.

    Raises:
        PairsError, DataError, SourceError: it cannot be read.
        BenchmarkError: nothing is clicked in it.
    """
    folder = bundled_folder() if pairs_path is None else None
    path = pairs_path or bundled_folder() / "truth.json"
    pairs = read_pairs(path)
    frames = _recorded(folder) if folder is not None else _labelled(pairs)
    shots = tuple(_shot(*each) for each in list(frames)[:most])
    if not shots:
        raise BenchmarkError(
            f"there is nothing to locate in {path}",
            expected="at least one frame with clicks",
            found=f"{len(pairs.frames)} frames, none of them with clicks",
            do="give another file with --pairs",
        )
    return Flight(pairs, hashlib.sha256(path.read_bytes()).hexdigest(), shots, folder)


Taken = tuple[Frame, Sequence[Click], FramePose, float]


def _recorded(folder: Path) -> list[Taken]:
    clicks = ClickSchedule.read(folder / "clicks.csv")
    telemetry = Telemetry.read(folder / "telemetry.csv")
    found: list[Taken] = []
    for frame in open_source(folder / "frames"):
        pose = telemetry.pose(frame) or FramePose()
        found.append((frame, clicks.take(frame), pose, frame.time_s))
    return [each for each in found if each[1]]


def _labelled(pairs: Pairs) -> list[Taken]:
    clicked = [frame for frame in pairs.frames if frame.clicks]
    found: list[Taken] = []
    for number, frame in enumerate(clicked):
        read = read_frame(pairs, frame, number)
        found.append((read, frame.as_clicks(), FramePose(), float(number)))
    return found


def _shot(frame: Frame, clicks: Sequence[Click], pose: FramePose, time_s: float) -> Shot:
    bgr = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), np.uint8)
    return Shot(bgr, tuple(clicks), pose, frame.source, time_s)
