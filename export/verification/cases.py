"""What is given to all runs alike: frames with clicks, and the windows these are looked for in.

Each click is there twice: once without a prior, where the head alone decides, and once with one at
a seeded place, so that the prior's arithmetic is compared too.
"""

from __future__ import annotations

import contextlib
import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.bundle import Bundle
from edge.clicks import ClickSchedule
from edge.errors import DataError, SourceError
from edge.frames import open_source
from edge.letterbox import letterbox
from edge.request import click_positions
from edge.telemetry import Telemetry
from edge.tiles.lattice import nearest
from edge.tiles.opening import open_map
from edge.types import Float32, Prior, PriorSource, Uint8

PRIOR_SIGMA_PX = 16.0
CLICKS = 8  # on a picture that comes without any
RANDOM_FRAMES = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One input of both graphs, in the sizes of the bundle."""

    name: str  # for people: "frame 3"
    window_name: str  # equal names mean equal windows: encoded once
    window: Uint8  # [H, W, 3]
    frame: Uint8  # [h, w, 3] letterboxed
    frame_affine: Float32  # [2, 3]
    click_xy_px: Float32  # [N, 2] pixels of the frame as it was taken
    prior: Prior  # of N


def demo_cases(bundle: Bundle, count: int | None = None, seed: int = 0) -> Iterator[Case]:
    """The frames of the bundled flight that have clicks, each with the window of its position.

    Args:
        bundle: states the sizes.
        count: of frames, spread over the flight; None: all.
        seed: of the priors.

    Raises:
        DataError: this installation carries no flight.
        MapError: its map has no zoom near the bundle's ground sampling distance.
    """
    folder = Path(str(importlib.resources.files("edge"))) / "demo_data" / "flight"
    if not (folder / "telemetry.csv").is_file():
        raise DataError(
            "this installation of tilefix carries no demo flight",
            expected=str(folder / "telemetry.csv"),
            found="no such file",
            do="install tilefix from its wheel, or give --inputs random",
        )
    clicks = ClickSchedule.read(folder / "clicks.csv")
    telemetry = Telemetry.read(folder / "telemetry.csv")
    source = open_source(folder / "frames")
    size = bundle.manifest.window
    random = np.random.default_rng(seed)
    with contextlib.closing(source), contextlib.closing(open_map(folder / "map.mbtiles")) as tiles:
        grid = tiles.grid(size.gsd_m)
        wanted = _spread(source.count or 0, count)
        for frame in source:
            taken, pose = clicks.take(frame), telemetry.pose(frame)
            if frame.index not in wanted or not taken or pose is None or pose.lon_lat_deg is None:
                continue
            place = nearest(grid, pose.lon_lat_deg, size.width_px)
            window = grid.read(place.left_px, place.top_px, size.width_px, size.height_px)
            name = f"frame {frame.index}"
            xy_px = click_positions(taken, frame.image, name)
            yield _case(bundle, name, window.window_id, window.image, frame.image, xy_px, random)


def folder_cases(
    bundle: Bundle, folder: Path, count: int | None = None, seed: int = 0
) -> Iterator[Case]:
    """Every picture of a folder as a frame, enlarged as its own window, with seeded clicks.

    Raises:
        SourceError: no pictures there, or one that cannot be read.
    """
    check_folder(folder)
    size = bundle.manifest.window
    random = np.random.default_rng(seed)
    with contextlib.closing(open_source(folder)) as source:
        wanted = _spread(source.count or 0, count)
        for frame in source:
            if frame.index not in wanted:
                continue
            high, wide = frame.image.shape[:2]
            xy_px = random.uniform(0, (wide, high), (CLICKS, 2)).astype(np.float32)
            window = letterbox(frame.image, size.width_px, size.height_px).image
            name = Path(frame.source).name
            yield _case(bundle, name, name, window, frame.image, xy_px, random)


def check_folder(folder: Path) -> None:
    """Refuse inputs that are no folder, before any work.

    Raises:
        SourceError: that is none.
    """
    if not folder.is_dir():
        raise SourceError(
            f"{folder} is no folder of pictures",
            expected="--inputs demo, random, or a folder",
            found="no such folder" if not folder.exists() else "a file",
            do="check the path",
        )


def random_cases(bundle: Bundle, count: int | None = None, seed: int = 0) -> Iterator[Case]:
    """Seeded pictures of soft blobs, frame and window of each cut from the same."""
    size, frame_size = bundle.manifest.window, bundle.manifest.frame
    random = np.random.default_rng(seed)
    for index in range(count or RANDOM_FRAMES):
        coarse = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        window = letterbox(coarse, size.width_px, size.height_px).image
        frame = letterbox(coarse[4:20, 4:20], frame_size.width_px, frame_size.height_px).image
        high, wide = frame.shape[:2]
        xy_px = random.uniform(0, (wide, high), (CLICKS, 2)).astype(np.float32)
        name = f"random {index}"
        yield _case(bundle, name, name, window, frame, xy_px, random)


def probe_cases(bundle: Bundle, seed: int = 0) -> Iterator[Case]:
    """Inputs that break careless arithmetic: no contrast, nothing but contrast, clicks in corners.

    On a flat picture a norm, a variance or max - min is zero; what divides by it makes NaN.
    """
    size, frame_size = bundle.manifest.window, bundle.manifest.frame
    random = np.random.default_rng(seed)
    corners = [(x, y) for x in (0, frame_size.width_px) for y in (0, frame_size.height_px)]
    xy_px = np.array([*corners, (frame_size.width_px / 2, frame_size.height_px / 2)], np.float32)
    shapes = [(each.height_px, each.width_px, 3) for each in (size, frame_size)]
    pictures: dict[str, list[Uint8]] = {
        "black": [np.zeros(shape, np.uint8) for shape in shapes],
        "white": [np.full(shape, 255, np.uint8) for shape in shapes],
        "noise": [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes],
        "black and white noise": [
            (255 * random.integers(0, 2, shape, dtype=np.uint8)).astype(np.uint8)
            for shape in shapes
        ],
    }
    for name, (window, frame) in pictures.items():
        yield _case(bundle, f"all {name}", name, window, frame, xy_px, random)


def _case(
    bundle: Bundle,
    name: str,
    window_name: str,
    window: Uint8,
    frame: Uint8,
    xy_px: Float32,
    random: np.random.Generator,
) -> Case:
    """Fit the frame, and put each click in twice: without and with a prior."""
    size = bundle.manifest.frame
    fitted = letterbox(frame, size.width_px, size.height_px)
    high, wide = window.shape[:2]
    n = len(xy_px)
    at = random.uniform(0, (wide, high), (n, 2)).astype(np.float32)
    known = np.full(n, PRIOR_SIGMA_PX**-2, np.float32)
    prior = Prior(
        np.concatenate([np.zeros((n, 2), np.float32), at]),
        np.concatenate([np.zeros(n, np.float32), known]),
        PriorSource.TELEMETRY,
    )
    return Case(
        name,
        window_name,
        np.ascontiguousarray(window),
        fitted.image,
        fitted.affine,
        np.concatenate([xy_px, xy_px]),
        prior,
    )


def _spread(total: int, count: int | None) -> set[int]:
    """`count` numbers below `total`, evenly apart."""
    if count is None or count >= total:
        return set(range(total))
    return {int(x) for x in np.linspace(0, total - 1, count).round()}
