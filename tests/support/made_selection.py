"""A selection folder as the selector writes it, of noise in any sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from calibration.selection.record import (
    FRAME,
    ChosenImage,
    Selection,
    SelectionFolder,
    encode_png,
    pixels_sha256,
    record_bytes,
)
from edge.letterbox import letterbox

CAMERA_PX = (60, 34)  # width, height


def made_selection(
    path: Path,
    *,
    frames: int = 3,
    windows: int = 2,
    frame_px: tuple[int, int] = (64, 64),
    window_px: tuple[int, int] = (128, 128),
) -> SelectionFolder:
    """Write `frames` letterboxed frames of a wide camera and `windows` windows."""
    random = np.random.default_rng(0)
    images = []
    for kind, count, size in (("frame", frames, frame_px), ("window", windows, window_px)):
        (path / f"{kind}s").mkdir(parents=True)
        for index in range(count):
            shape = CAMERA_PX if kind == FRAME else size
            raw = random.integers(0, 255, (*shape[::-1], 3)).astype(np.uint8)
            fitted = letterbox(raw, *size)
            file = f"{kind}s/{index:04}.png"
            (path / file).write_bytes(encode_png(fitted.image))
            images.append(
                ChosenImage(
                    kind=kind,
                    file=file,
                    sha256=pixels_sha256(fitted.image),
                    source="noise",
                    place=str(index),
                    brightness=127,
                    contrast=70,
                    sharpness=1,
                    site="nowhere",
                    frame_affine=tuple(fitted.affine.ravel().tolist()) if kind == FRAME else (),
                )
            )
    selection = Selection(
        seed=0,
        frame_px=frame_px,
        window_px=window_px,
        gsd_m=0.3,
        images=tuple(images),
        left_out={},
    )
    (path / "selection.json").write_bytes(record_bytes(selection))
    return SelectionFolder.open(path)
