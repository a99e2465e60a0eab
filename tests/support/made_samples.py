"""A folder of held-out samples as `tilefix datasets render` leaves it, of noise in any sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np

from training.datasets.pair_folder import LISTING, SampleLine

CAMERA_PX = (60, 34)  # width, height


def made_samples(
    path: Path,
    present: Sequence[Sequence[bool]],
    *,
    window_px: tuple[int, int] = (128, 128),
    seed: int = 0,
) -> Path:
    """Write one sample for each entry of `present`, with a click for each entry of that."""
    random = np.random.default_rng(seed)
    path.mkdir(parents=True)
    lines = []
    for number, there in enumerate(present):
        for kind, (wide, high) in (("frame", CAMERA_PX), ("window", window_px)):
            noise = random.integers(0, 256, (high, wide, 3), dtype=np.uint8)
            cv2.imwrite(str(path / f"{number:06d}_{kind}.jpg"), noise)
        clicks = random.uniform(0, CAMERA_PX, (len(there), 2))
        boxes = [(8.0, 8.0, 24.0, 24.0) if each else (0.0,) * 4 for each in there]
        expected = [(16.0, 16.0) if each else None for each in there]
        line = SampleLine(
            f"{number:06d}",
            "town of the samples",
            [(x, y) for x, y in clicks.tolist()],
            boxes,
            list(there),
            expected,
        )
        lines.append(msgspec.json.encode(line) + b"\n")
    (path / LISTING).write_bytes(b"".join(lines))
    return path
