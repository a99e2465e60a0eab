"""The files of a demo beside its fixes: the page, and the map on it."""

from __future__ import annotations

import html
import platform
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge import __version__
from edge.demo_flight import DemoFlight
from edge.demo_report import DemoScore, ShownFrame
from edge.feature_cache import WindowReader
from edge.film import encode_image
from edge.machine import usable_cores
from edge.report_page import PageMap, page
from edge.sinks import write_whole
from edge.truth import Box

MOST_MAP_PX = 1400  # of the picture on the page
MOST_REGION_PX = 6000  # of the map
LEAST_REGION_PX = 300
MARGIN = 0.08


def write_results(
    folder: Path,
    flight: DemoFlight,
    frames: Sequence[ShownFrame],
    score: DemoScore,
    spent_s: float,
    ending: str = "",
) -> list[str]:
    """Write index.html; returns the names of all files of the demo.

    `ending` says how it ended, where that was before the last frame.

    Raises:
        OutputError: it cannot be written.
    """
    names = ["index.html", "overlay.png", "fixes.geojson", "fixes.jsonl"]
    if not frames:
        return names[2:]
    manifest = flight.bundle.manifest
    cores = usable_cores()
    footer = [
        f"Made by <code>tilefix demo</code>, version {html.escape(__version__)}, in "
        f"{spent_s:.0f} s on {cores} core{'s' if cores > 1 else ''} of this machine "
        f"({html.escape(platform.machine())}, {html.escape(platform.system())}); no network.",
        f"Model: bundle {html.escape(manifest.name)} {html.escape(manifest.version)}, "
        f"{html.escape(manifest.origin)}; licence {html.escape(manifest.licence)}.",
        "A fix is right if its box overlaps the true one by an IoU of more than 0.25. "
        "Fixes for your GIS: <code>fixes.geojson</code>, <code>fixes.jsonl</code>.",
    ]
    gsd_m = manifest.window.gsd_m
    chart = page_map(frames, flight.assembly.pictures, gsd_m)
    text = page(flight.title, f"{flight.words} {ending}".strip(), frames, score, chart, footer)
    write_whole(folder / "index.html", text.encode())
    return names


def page_map(frames: Sequence[ShownFrame], pictures: WindowReader, gsd_m: float) -> PageMap:
    """The part of the map that holds all boxes, as one picture.

    Args:
        frames: with at least one box, else the first window is shown.
        pictures: reads the map.
        gsd_m: ground size of a pixel where the map has no position.
    """
    boxes: list[Box] = [box for frame in frames for box in frame.boxes_px.values()]
    boxes += [box for frame in frames for box in frame.truth_px.values()]
    corners = np.array(boxes or [(0.0, 0.0, 1024.0, 1024.0)]).reshape(-1, 2)
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle, side = (low + high) / 2, (high - low) * (1 + 2 * MARGIN)
    side = np.clip(side, max(LEAST_REGION_PX, float(side.max()) * 0.6), MOST_REGION_PX)
    left, top = np.floor(middle - side / 2).astype(int).tolist()
    wide, tall = np.ceil(side).astype(int).tolist()
    read = pictures.read(left, top, wide, tall)
    if read.geometry is not None:
        centre = np.array([[wide / 2, tall / 2]], np.float64)
        gsd_m = float(read.geometry.metres_per_px(centre).mean())
    zoom = min(1.0, MOST_MAP_PX / max(wide, tall))
    size = max(1, round(wide * zoom)), max(1, round(tall * zoom))
    image = np.array(read.image)
    image[~read.valid] = (24, 30, 39)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    jpeg = encode_image(small, ".jpg", 82)
    return PageMap(jpeg, size[0], size[1], left, top, zoom, gsd_m / zoom)
