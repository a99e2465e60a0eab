"""Drone-like views cut from georeferenced mosaics with building polygons.

A mosaic is flat, so its views have perspective but no parallax: the procedural scenes bring that.
The reference is the same ground, coarser, turned, recoloured, blurred and recompressed; the frame
is a pinhole view from a random height, tilt and heading. Some windows are cut elsewhere, so that
none of the clicked objects is in them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import DataError
from edge.types import FILL_RGB
from training.datasets.appearance import degrade
from training.datasets.props import scatter
from training.datasets.sample import PairSample

PROPS_SEED = 20

Polygon = NDArray[np.float64]  # [K, 2] mosaic pixels
Floats = NDArray[np.float32]
Clickable = tuple[Floats, Floats, NDArray[np.bool_], Floats]


@dataclass(frozen=True, slots=True)
class Mosaic:
    """One orthophoto with the outlines of its buildings."""

    name: str
    image: NDArray[np.uint8]  # [H, W, 3] RGB
    gsd_m: float
    polygons: tuple[Polygon, ...]

    @staticmethod
    def read(
        image_path: Path, labels_path: Path | None, gsd_m: float, props_per_hectare: float = 0.0
    ) -> Mosaic:
        """Read a picture and a JSON list of objects with `poly` in its pixels; None: no list.

        Raises:
            DataError: a file that cannot be read.
        """
        level = cv2.utils.logging.getLogLevel()  # OpenCV warns of each GeoTIFF tag it does not know
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            bgr = cv2.imread(str(image_path), cv2.IMREAD_COLOR)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if bgr is None:
            raise DataError(
                f"the mosaic {image_path} cannot be read",
                expected="a picture that OpenCV reads (GeoTIFF, PNG, JPEG)",
                found="no picture" if image_path.exists() else "no such file",
                do="check the path given with --mosaics",
            )
        objects = json.loads(labels_path.read_text()) if labels_path is not None else []
        # an outline that the picture cuts off has no honest box
        polygons = tuple(
            np.asarray(o["poly"], np.float64)
            for o in objects
            if len(o["poly"]) > 3 and o.get("fully_inside", True)
        )
        rgb = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8)
        rng = np.random.default_rng(PROPS_SEED)
        rgb, props = scatter(rgb, polygons, gsd_m, rng, props_per_hectare)
        return Mosaic(image_path.stem, rgb, gsd_m, polygons + props)


def read_folder(folder: Path, props_per_hectare: float = 0.0) -> list[Mosaic]:
    """All mosaics of a folder with a `manifest.csv` (columns file, gsd) and `*_buildings.json`.

    A picture without a list of buildings is ground for props, and left out where there are none.
    """
    import csv

    manifest = folder / "manifest.csv"
    if not manifest.exists():
        raise DataError(
            f"{folder} is not a mosaic folder",
            expected="a manifest.csv with the columns file and gsd",
            found="no manifest.csv",
            do="give the folder that holds the mosaics",
        )
    mosaics = []
    with manifest.open(newline="") as stream:
        for row in csv.DictReader(stream):
            labels = folder / (row["file"].replace("_z21.tif", "") + "_buildings.json")
            if labels.exists() or props_per_hectare > 0:
                path, gsd_m = folder / row["file"], float(row["gsd"])
                known = labels if labels.exists() else None
                mosaics.append(Mosaic.read(path, known, gsd_m, props_per_hectare))
    return mosaics


def look_at_ground(
    centre_xy: NDArray[np.float64],
    yaw_rad: float,
    tilt_rad: float,
    focal_px: float,
    distance_px: float,
    frame_px: tuple[int, int],
) -> NDArray[np.float64]:
    """Homography from mosaic pixels (y down) to the pixels of a pinhole camera above flat ground.

    Args:
        centre_xy: mosaic pixel at the middle of the frame.
        yaw_rad: heading of the frame's top, clockwise from the mosaic's top.
        tilt_rad: 0 looks straight down.
        focal_px: focal length in frame pixels.
        distance_px: from camera to `centre_xy`, in mosaic pixels.
        frame_px: width, height.

    Returns:
        [3, 3].
    """
    to_centre = np.array([[1, 0, -centre_xy[0]], [0, 1, -centre_xy[1]], [0, 0, 1.0]])
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    # ground in camera axes before tilting: x right, y towards the bottom of the frame
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    ct, st = np.cos(tilt_rad), np.sin(tilt_rad)
    # a ground point (x, y) lies at camera coordinates (x, y cos, distance - y sin): far is up
    lift = np.array([[1, 0, 0], [0, ct, 0], [0, -st, distance_px]])
    camera = np.array([[focal_px, 0, frame_px[0] / 2], [0, focal_px, frame_px[1] / 2], [0, 0, 1.0]])
    return camera @ lift @ turn @ to_centre


def _project(matrix: NDArray[np.float64], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    return cv2.perspectiveTransform(xy[None].astype(np.float64), matrix)[0]


def _warp(
    mosaic: Mosaic, matrix: NDArray[np.float64], size: tuple[int, int], shrink: float
) -> NDArray[np.uint8]:
    """Warp with antialiasing: blur first by what the warp shrinks."""
    inverse = np.linalg.inv(matrix)
    corners = _project(inverse, np.array([[0, 0], [size[0], 0], [*size], [0, size[1]]], float))
    low = np.floor(corners.min(0) - 8).astype(int).clip(0)
    high = np.minimum(np.ceil(corners.max(0) + 8).astype(int), mosaic.image.shape[1::-1])
    if (high <= low).any():
        return np.full((size[1], size[0], 3), FILL_RGB, np.uint8)
    piece = mosaic.image[low[1] : high[1], low[0] : high[0]]
    factor = max(1.0, shrink)
    small = piece
    if factor > 1.3:  # area averaging by whole mosaic pixels is the cheapest antialiasing
        small = cv2.resize(piece, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    scale = np.array(
        [
            [piece.shape[1] / small.shape[1], 0, low[0]],
            [0, piece.shape[0] / small.shape[0], low[1]],
            [0, 0, 1.0],
        ]
    )
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])  # OpenCV counts from pixel centres
    full = np.linalg.inv(half) @ matrix @ scale @ half
    return cv2.warpPerspective(
        small,
        full,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=FILL_RGB,
    ).astype(np.uint8)


def sample_pair(
    mosaics: list[Mosaic],
    rng: np.random.Generator,
    *,
    frame_px: tuple[int, int] = (512, 512),
    window_px: int = 640,
    gsd_m: float = 0.25,
    clicks: int = 8,
    absent_share: float = 0.2,
) -> PairSample:
    """Draw one sample.

    Args:
        mosaics: where to cut from; sites are drawn in proportion to their buildings.
        rng: source of all chance.
        frame_px: width and height of the frame.
        window_px: side of the window.
        gsd_m: nominal ground size of a window pixel; drawn within a factor 1.25 of it.
        clicks: at most so many objects.
        absent_share: share of samples whose window shows another place.
    """
    weights = np.array([len(m.polygons) for m in mosaics], float)
    for _ in range(50):
        mosaic = mosaics[rng.choice(len(mosaics), p=weights / weights.sum())]
        target = mosaic.polygons[rng.integers(len(mosaic.polygons))].mean(0)
        frame_gsd = float(np.exp(rng.uniform(np.log(0.06), np.log(0.3))))
        focal = float(rng.uniform(0.7, 1.3)) * frame_px[0]
        distance = frame_gsd / mosaic.gsd_m * focal
        tilt = float(np.radians(rng.uniform(0, 55)))
        aim = target + rng.uniform(-0.3, 0.3, 2) * np.array(frame_px) * frame_gsd / mosaic.gsd_m
        to_frame = look_at_ground(aim, rng.uniform(0, 2 * np.pi), tilt, focal, distance, frame_px)

        scale = mosaic.gsd_m / (gsd_m * float(np.exp(rng.uniform(-0.22, 0.22))))
        absent = rng.random() < absent_share
        centre = target + rng.uniform(-0.42, 0.42, 2) * window_px / scale
        if absent:
            centre = rng.uniform(0.1, 0.9, 2) * mosaic.image.shape[1::-1]
        turn = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(turn) * scale, np.sin(turn) * scale
        to_window = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
        if rng.random() < 0.5:
            to_window = np.diag([-1.0, 1.0, 1.0]) @ to_window
            to_frame = np.array([[-1.0, 0, frame_px[0]], [0, 1, 0], [0, 0, 1]]) @ to_frame
        to_window[:2, 2] = window_px / 2 - to_window[:2, :2] @ centre
        found = _clickable(mosaic, to_frame, to_window, frame_px, window_px, rng, clicks)
        if found is None or (not absent and not found[2].any()):
            continue
        click, box, present, expected = found
        frame = _warp(mosaic, to_frame, frame_px, frame_gsd / mosaic.gsd_m)
        if (frame == FILL_RGB).all(2).mean() > 0.4:
            continue
        window = _warp(mosaic, to_window, (window_px, window_px), 1 / scale)
        hole = (window == FILL_RGB).all(2)
        window = degrade(window, rng, season=True)
        window[hole] = FILL_RGB
        return PairSample(
            degrade(frame, rng), window, click, box, present, expected, f"ortho/{mosaic.name}"
        )
    raise DataError(
        "no sample could be cut from the mosaics",
        expected="a view with a clickable building within 50 draws",
        found=f"none in {len(mosaics)} mosaics",
        do="check that the polygons lie on the pictures",
    )


def _clickable(
    mosaic: Mosaic,
    to_frame: NDArray[np.float64],
    to_window: NDArray[np.float64],
    frame_px: tuple[int, int],
    window_px: int,
    rng: np.random.Generator,
    most: int,
) -> Clickable | None:
    """Clicks, boxes, presence and expected places of the buildings in view."""
    clicks, boxes, present, expected = [], [], [], []
    for index in rng.permutation(len(mosaic.polygons)):
        polygon = mosaic.polygons[index]
        spread = np.ptp(polygon, axis=0)
        point = polygon.mean(0) + rng.normal(0, 0.08, 2) * spread
        if (
            cv2.pointPolygonTest(
                polygon.astype(np.float32), (float(point[0]), float(point[1])), False
            )
            < 0
        ):
            continue
        depth = to_frame[2] @ np.array([*point, 1.0])
        x, y = _project(to_frame, point[None])[0]
        if depth <= 0 or not (2 < x < frame_px[0] - 2 and 2 < y < frame_px[1] - 2):
            continue
        corners = _project(to_window, polygon)
        x1, y1 = corners.min(0)
        x2, y2 = corners.max(0)
        inside_w = min(x2, window_px) - max(x1, 0)
        inside_h = min(y2, window_px) - max(y1, 0)
        share = max(inside_w, 0) * max(inside_h, 0) / max((x2 - x1) * (y2 - y1), 1e-6)
        if 0.02 < share < 0.6 or min(x2 - x1, y2 - y1) < 4:
            continue  # half out of the window, or too small to box: neither present nor absent
        clicks.append((x, y))
        present.append(share >= 0.6)
        expected.append(_project(to_window, point[None])[0])
        whole = (max(x1, 0), max(y1, 0), min(x2, window_px), min(y2, window_px))
        boxes.append(whole if present[-1] else (0, 0, 0, 0))
        if len(clicks) == most:
            break
    if not clicks:
        return None
    return (
        np.array(clicks, np.float32),
        np.array(boxes, np.float32),
        np.array(present, bool),
        np.array(expected, np.float32),
    )
