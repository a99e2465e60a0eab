"""Real frames with known homographies, for the study and the benchmark of frame alignment.

The data are those of the project's development set (two sites, frames of 1600 px, one map each,
homographies of the full-size frames by SIFT); they are not committed. `TILEFIX_DATA` names the
folder that holds `brighton` and `caliterra`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.matching import project
from edge.types import FILL_RGB, Bool, Float64, ReferenceWindow, Uint8

FULL_SIZE_PX = {"brighton": (4000, 2250), "caliterra": (4000, 3000)}
SITES = tuple(FULL_SIZE_PX)
FRAME_SIDE_PX = 640
WINDOW_PX = 1024


@dataclass(frozen=True, slots=True)
class TrueFrame:
    """A frame and where it lies."""

    name: str
    image: Uint8  # [H, W, 3] RGB, 640 px wide
    to_window: Float64  # [3, 3], frame -> window, approximate (planar, by SIFT)
    share_on_map: float  # of its area


@dataclass(frozen=True, slots=True)
class Site:
    """A window of a map with the frames that were taken over it."""

    name: str
    window: ReferenceWindow
    mapped: Bool  # [1024, 1024], where the window shows the site
    gsd_m: float
    frames: tuple[TrueFrame, ...]


def data_folder() -> Path | None:
    """The folder of the data, or None."""
    named = os.environ.get("TILEFIX_DATA")
    return Path(named) if named and (Path(named) / "brighton").is_dir() else None


def read_site(
    folder: Path, name: str, *, gsd_m: float = 0.3, crowd: Uint8 | None = None, every: int = 1
) -> Site:
    """The whole map at `gsd_m` amid a window of 1024 px, and its frames.

    Args:
        folder: of the data.
        name: one of `SITES`.
        gsd_m: ground size of a window pixel.
        crowd: [1024, 1024, 3] other imagery for the rest of the window; None: no imagery there.
        every: take each such frame only.
    """
    path = next((folder / name / "map").glob("*.[jp][pn]g"))
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    affine = json.loads((folder / name / "map" / "georef.json").read_text())["affine"]
    zoom = float(np.hypot(affine[0], affine[1])) / gsd_m
    white = (picture >= 250).all(axis=2).astype(np.uint8)  # these maps are white where empty
    empty = cv2.morphologyEx(white, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    size = round(picture.shape[1] * zoom), round(picture.shape[0] * zoom)
    how = cv2.INTER_AREA if zoom < 1.0 else cv2.INTER_CUBIC
    picture = cv2.resize(picture, size, interpolation=how)
    there = cv2.resize(1 - empty, size, interpolation=cv2.INTER_NEAREST)
    there = cv2.erode(there, np.ones((3, 3), np.uint8)) > 0
    left, top = (WINDOW_PX - size[0]) // 2, (WINDOW_PX - size[1]) // 2
    image = (
        np.full((WINDOW_PX, WINDOW_PX, 3), FILL_RGB, np.uint8) if crowd is None else crowd.copy()
    )
    image[top : top + size[1], left : left + size[0]][there] = picture[there]
    mapped = np.zeros((WINDOW_PX, WINDOW_PX), bool)
    mapped[top : top + size[1], left : left + size[0]] = there
    valid = mapped if crowd is None else np.ones_like(mapped)
    kind = "padded" if crowd is None else "crowded"
    window = ReferenceWindow(image, valid, None, f"{name}/{kind}", name)
    place = np.array([[zoom, 0, left], [0, zoom, top], [0, 0, 1.0]])
    return Site(name, window, mapped, gsd_m, _frames(folder / name, place, mapped, every))


def read_crowd(folder: Path, gsd_m: float = 0.3) -> Uint8:
    """Imagery of a third place, to fill windows with. [1024, 1024, 3]."""
    mosaic = cv2.imread(str(folder / "fair_oam" / "site1_0_z21.tif"), cv2.IMREAD_COLOR)
    zoom = 0.0744 / gsd_m
    mosaic = cv2.resize(mosaic, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    mosaic = cv2.cvtColor(mosaic, cv2.COLOR_BGR2RGB)
    both = np.vstack([mosaic, mosaic[::-1]])
    return np.ascontiguousarray(both[:WINDOW_PX, :WINDOW_PX])


def _frames(folder: Path, place: Float64, mapped: Bool, every: int) -> tuple[TrueFrame, ...]:
    frames = []
    known = json.loads((folder / "sift_homographies_frame_to_map.json").read_text())
    for key in sorted(known)[::every]:
        stem = Path(key.removeprefix("images_")).stem
        image = cv2.imread(str(folder / "frames_1600" / f"{stem}.jpg"), cv2.IMREAD_COLOR)
        height = round(image.shape[0] * FRAME_SIDE_PX / image.shape[1])
        image = cv2.resize(image, (FRAME_SIDE_PX, height), interpolation=cv2.INTER_AREA)
        full = FULL_SIZE_PX[folder.name]
        enlarge = np.diag([full[0] / FRAME_SIDE_PX, full[1] / height, 1.0])
        to_window = place @ np.array(known[key]["H"]) @ enlarge
        on_map = _on_map(project(to_window, grid_px(image, 12)), mapped)
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        frames.append(TrueFrame(stem, image, to_window, float(on_map.mean())))
    return tuple(frames)


def grid_px(image: Uint8, count: int = 7) -> Float64:
    """A grid of points in a frame. -> [count^2, 2]."""
    steps = np.linspace(0.08, 0.92, count)
    x, y = np.meshgrid(steps * image.shape[1], steps * image.shape[0])
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def _on_map(window_px: Float64, mapped: Bool) -> Bool:
    inside = ((window_px >= 0) & (window_px < WINDOW_PX)).all(axis=1)
    index = np.clip(window_px, 0, WINDOW_PX - 1).astype(int)
    return np.asarray(inside & mapped[index[:, 1], index[:, 0]])


def errors_px(homography: Float64, site: Site, frame: TrueFrame) -> tuple[Float64, Float64]:
    """Frame points that lie on the map, and the error of each in window pixels. [N, 2], [N]."""
    points = grid_px(frame.image)
    truth = project(frame.to_window, points)
    seen = _on_map(truth, site.mapped)
    miss = np.linalg.norm(project(homography, points[seen]) - truth[seen], axis=1)
    return points[seen], miss
