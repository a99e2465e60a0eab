"""Small flights and a small map for selection: textured pictures whose looks are asked for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from calibration.selection.request import ImageSource, SelectionRequest
from edge.tiles.mbtiles_writer import MBTilesWriter

ZOOM, COLUMN, ROW = 19, 272_976, 184_402  # near 7.43 E 47.00 N, 0.204 m a pixel
FRAME_PX, WINDOW_PX, GSD_M = (64, 48), (64, 64), 0.2


def texture(seed: int, size_px: tuple[int, int] = (96, 72), mean: float = 110, spread: float = 40):
    """Noise at three scales, RGB uint8 [H, W, 3]; every seed shows another scene."""
    rng = np.random.default_rng(seed)
    wide, high = size_px
    image = np.zeros((high, wide, 3), np.float32)
    for cells, weight in ((4, 0.6), (16, 0.6), (48, 0.5)):
        noise = rng.normal(size=(cells, cells, 3)).astype(np.float32)
        image += weight * cv2.resize(noise, size_px, interpolation=cv2.INTER_CUBIC)
    return np.clip(mean + spread * image, 0, 255).astype(np.uint8)


def save(path: Path, image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[:, :, ::-1])
    return path


def make_flight(folder: Path, count: int, first_seed: int = 0, **look) -> Path:
    """`count` pictures of different scenes, PNG."""
    for n in range(count):
        save(folder / f"f{n}.png", texture(first_seed + n, **look))
    return folder


def make_video(path: Path, count: int, first_seed: int = 0, fps: float = 10.0) -> Path:
    """Frames of different scenes in a lossy AVI, which every OpenCV can write."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (96, 72))
    assert writer.isOpened()
    for n in range(count):
        writer.write(np.ascontiguousarray(texture(first_seed + n)[:, :, ::-1]))
    writer.release()
    return path


def make_map(path: Path, side_tiles: int = 4, hole: bool = False) -> Path:
    """A square of tiles, each another scene; with a hole, a column in its middle is missing."""
    with MBTilesWriter(path, {"name": "made"}) as writer:
        for row in range(side_tiles):
            for column in range(side_tiles):
                if hole and column == 1:
                    continue
                picture = texture(1000 + row * side_tiles + column, (256, 256))
                _, data = cv2.imencode(".png", picture[:, :, ::-1])
                writer.put(ZOOM, COLUMN + column, ROW + row, data.tobytes())
    return path


def make_request(sources, maps, **changes) -> SelectionRequest:
    """A request of small numbers over paths or `ImageSource`s."""

    def source(given):
        return given if isinstance(given, ImageSource) else ImageSource(Path(given))

    values = {
        "frame_px": FRAME_PX,
        "window_px": WINDOW_PX,
        "gsd_m": GSD_M,
        "frames": 12,
        "windows": 8,
        "least_frames": 4,
        "least_windows": 4,
    }
    return SelectionRequest(
        sources=tuple(map(source, sources)), maps=tuple(map(source, maps)), **{**values, **changes}
    )
