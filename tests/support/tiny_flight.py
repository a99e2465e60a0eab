"""A pairs file for the tiny bundle: a map of noise, and frames that were cut out of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

MAP_PX, FRAME_PX = 128, 64
CORNERS_PX = ((0, 0), (32, 16), (64, 64))  # of the frames, on the grid of the tiny bundle
GSD_M = 0.3


def write_tiny_pairs(folder: Path, name: str = "noise") -> Path:
    """Three frames with one, two and three clicks each; the last click is on nothing mapped."""
    random = np.random.default_rng(5)
    image = random.integers(0, 256, (MAP_PX, MAP_PX, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "map.png"), image)
    objects, frames = [], []
    for number, (left, top) in enumerate(CORNERS_PX):
        cut = image[top : top + FRAME_PX, left : left + FRAME_PX]
        cv2.imwrite(str(folder / f"frame{number}.png"), cut)
        clicks = []
        for count in range(number + 1):
            x, y = 20.0 + 12 * count, 30.0
            known = f"thing-{number}-{count}" if (number, count) != (2, 2) else None
            clicks.append({"object_id": known, "x": x, "y": y})
            if known:
                box = [left + x - 8, top + y - 8, left + x + 8, top + y + 8]
                objects.append({"id": known, "class": "thing", "box_xyxy_px": box})
        side = {"width": FRAME_PX, "height": FRAME_PX}
        frames.append({"file": f"frame{number}.png", **side, "clicks": clicks})
    size = {"width": MAP_PX, "height": MAP_PX}
    entry = {
        "schema": "tilefix-pairs/1",
        "map": {"file": "map.png", **size, "gsd_m": GSD_M},
        "objects": objects,
        "frames": frames,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(entry))
    return path
