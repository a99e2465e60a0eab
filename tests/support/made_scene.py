"""A pairs file with pictures: noise, and frames that are cut out of it. For the tests of peers."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from edge.geodesy import AffineGeometry

MAP_PX = 256
FRAME_PX = 96
COSINE = 0.6157  # of the latitude 52 degrees
CORNERS = ((20, 30), (120, 60), (90, 140))  # of the frames on the map


def town_image(side_px: int = MAP_PX) -> np.ndarray:
    """Noise with structure of several sizes, so that every place looks like itself alone."""
    rng = np.random.default_rng(0)
    image = np.zeros((side_px, side_px, 3), np.float32)
    for cells, weight in ((8, 70), (24, 50), (64, 50)):
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        image += weight * cv2.resize(noise, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 128, 0, 255).astype(np.uint8)


def write_scene(
    folder: Path,
    *,
    gsd_m: float = 0.3,
    clicks: int = 3,
    placed: bool = False,
    side_px: int = MAP_PX,
) -> Path:
    """Write a map, frames cut out of it and their labels; returns the pairs file."""
    folder.mkdir(parents=True, exist_ok=True)
    image = town_image(side_px)
    step = gsd_m / COSINE
    geometry = AffineGeometry((2_226_390.0, step, 0.0, 6_800_125.0, 0.0, -step), 3857)
    cv2.imwrite(str(folder / "map.png"), image[..., ::-1])
    objects, frames = [], []
    for number, (left, top) in enumerate(CORNERS):
        name = f"frame_{number}.png"
        cut = image[top : top + FRAME_PX, left : left + FRAME_PX]
        cv2.imwrite(str(folder / name), cut[..., ::-1])
        listed = []
        for click in range(clicks):
            x, y = 20.0 + 23 * click, 70.0 - 19 * click
            box = [left + x - 8, top + y - 6, left + x + 8, top + y + 6]
            objects.append({"id": f"o{number}-{click}", "box_xyxy_px": box})
            listed.append({"object_id": f"o{number}-{click}", "x": x, "y": y})
        frame = {"file": name, "width": FRAME_PX, "height": FRAME_PX, "clicks": listed}
        if placed:
            middle = np.array([[left + FRAME_PX / 2, top + FRAME_PX / 2]])
            frame["lon_lat_deg"] = geometry.lon_lat_deg(middle)[0].tolist()
        frames.append(frame)
    values = {
        "schema": "tilefix-pairs/1",
        "map": {"file": "map.png", "width": side_px, "height": side_px, "gsd_m": gsd_m},
        "objects": objects,
        "frames": frames,
    }
    if placed:
        values["map"] |= {"epsg": 3857, "geotransform": list(geometry.geotransform)}
    path = folder / "pairs.json"
    path.write_text(json.dumps(values))
    return path
