"""The pictures of a pairs file: its map, cut into reference windows, and its frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import PairsError
from edge.geodesy import CIRCUMFERENCE_M, AffineGeometry, MercatorGeometry
from edge.pairs import Box, Pairs, PairsFrame
from edge.pairs_schema import has_tiles
from edge.tiles.identity import file_identity
from edge.tiles.window import WINDOW_PX
from edge.types import FILL_RGB, Bool, Float64, Frame, FramePose, ReferenceWindow, Uint8

NODATA_TOLERANCE = 16  # of a channel; JPEG does not keep a flat colour exactly
NODATA_LEAST_PX = 100  # smaller areas of the nodata colour are imagery, such as a white roof
SHAPE_TOLERANCE = 0.01  # of the ratio of width to height


@dataclass(frozen=True, slots=True)
class MapWindow:
    """A reference window of a map and its place: window = map * scale - offset, per axis."""

    window: ReferenceWindow
    scale_xy: tuple[float, float]
    offset_xy_px: tuple[float, float]
    gsd_m: float  # of the window

    def to_window(self, xy_px: Float64) -> Float64:
        """Pixels of the map -> pixels of the window. [N, 2] -> [N, 2]."""
        return np.asarray(np.asarray(xy_px, np.float64) * self.scale_xy - self.offset_xy_px)

    def to_map(self, xy_px: Float64) -> Float64:
        """Pixels of the window -> pixels of the map. [N, 2] -> [N, 2]."""
        return np.asarray((np.asarray(xy_px, np.float64) + self.offset_xy_px) / self.scale_xy)

    def box_to_window(self, box_xyxy_px: Box) -> Box:
        """A box in pixels of the map -> in pixels of the window."""
        return _box(self.to_window(np.reshape(box_xyxy_px, (2, 2))))

    def box_to_map(self, box_xyxy_px: Box) -> Box:
        """A box in pixels of the window -> in pixels of the map."""
        return _box(self.to_map(np.reshape(box_xyxy_px, (2, 2))))


@dataclass(frozen=True, slots=True)
class PairsMapImage:
    """The whole map of a pairs file, in memory."""

    image: Uint8  # [H, W, 3] RGB, FILL_RGB where `valid` is False
    valid: Bool  # [H, W]
    gsd_m: float
    geometry: AffineGeometry | None
    map_id: str
    imagery_ce90_m: float | None


def read_map(pairs: Pairs) -> PairsMapImage:
    """Read the map of a pairs file.

    Raises:
        PairsError: missing, not readable, or of another size than the file states.
        MapError: a broken tile map.
    """
    path = pairs.locate(pairs.map.file)
    if has_tiles(pairs.map.file) or path.is_dir():
        return _read_tiles(pairs, path)
    pixels = _decode(path, cv2.IMREAD_UNCHANGED, "the map")
    _check_size(pairs, path, pixels.shape[1], pixels.shape[0])
    image, valid = _rgb_and_valid(pixels)
    if pairs.map.nodata_rgb is not None:
        valid &= ~_nodata(image, pairs.map.nodata_rgb)
    image[~valid] = FILL_RGB
    return PairsMapImage(
        image, valid, pairs.map.gsd_m, pairs.map.geometry, file_identity(path), None
    )


def window_for(pairs_map: PairsMapImage, gsd_m: float, size_px: int = WINDOW_PX) -> list[MapWindow]:
    """The whole map at a ground sampling distance, as windows of `size_px`.

    An axis on which the map is shorter than a window is padded evenly on both sides; a longer one
    is cut with a step of 512 px (half of the window for other sizes). Windows without imagery are
    left out. Nothing here knows of clicks, boxes or frames. The map is taken as north-up: the
    rotation of its geotransform is kept in the geometry, not removed.

    Raises:
        PairsError: the map has no imagery at all.
    """
    height, width = pairs_map.valid.shape
    zoom = pairs_map.gsd_m / gsd_m
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    how = cv2.INTER_AREA if zoom <= 1 else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(pairs_map.image, size, interpolation=how), np.uint8)
    share = cv2.resize(pairs_map.valid.astype(np.float32), size, interpolation=how)
    valid = np.asarray(share) >= 0.5
    scale = size[0] / width, size[1] / height
    windows = [
        _cut(pairs_map, image, valid, (scale, gsd_m), (left, top), size_px)
        for top in _starts(size[1], size_px)
        for left in _starts(size[0], size_px)
    ]
    windows = [each for each in windows if each.window.valid.any()]
    if not windows:
        raise PairsError(
            "the map of a pairs file has no imagery",
            expected="pixels that are neither transparent nor of the nodata colour",
            found=f"{width} x {height} px without imagery",
            do="check the map and `nodata_rgb`",
        )
    return windows


def read_frame(pairs: Pairs, frame: PairsFrame, index: int = 0) -> Frame:
    """Read a frame at the size that its clicks are stated for.

    Raises:
        PairsError: missing, not readable, or of another shape.
    """
    path = pairs.locate(frame.file)
    wanted = frame.width_px / frame.height_px
    for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION):
        pixels = _decode(path, flags, "the frame")
        height, width = pixels.shape[:2]
        if abs(width / height / wanted - 1) <= SHAPE_TOLERANCE:
            break
    else:
        raise PairsError(
            f"the frame {path} has another shape than {pairs.path} states",
            expected=f"{frame.width_px} x {frame.height_px} px, or that scaled",
            found=f"{width} x {height} px",
            do="give the picture that was labelled, not cropped or turned",
        )
    image = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
    if (width, height) != (frame.width_px, frame.height_px):
        how = cv2.INTER_AREA if frame.width_px < width else cv2.INTER_LINEAR
        size = frame.width_px, frame.height_px
        image = np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
    pose = FramePose(yaw_deg=frame.yaw_deg, alt_m=frame.alt_m)
    return Frame(image=image, index=index, time_s=0.0, source=frame.file, pose=pose)


def _cut(
    pairs_map: PairsMapImage,
    image: Uint8,
    valid: Bool,
    zoomed: tuple[tuple[float, float], float],  # window pixels per map pixel, and their ground size
    left_top_px: tuple[int, int],
    size_px: int,
) -> MapWindow:
    scale_xy, gsd_m = zoomed
    left, top = left_top_px
    height, width = valid.shape
    piece = np.empty((size_px, size_px, 3), np.uint8)
    piece[:] = FILL_RGB
    inside = np.zeros((size_px, size_px), np.bool_)
    x1, y1, x2, y2 = (
        max(left, 0),
        max(top, 0),
        min(left + size_px, width),
        min(top + size_px, height),
    )
    there = slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)
    piece[there], inside[there] = image[y1:y2, x1:x2], valid[y1:y2, x1:x2]
    geometry = pairs_map.geometry
    if geometry is not None:
        geometry = geometry.scaled(1 / scale_xy[0], 1 / scale_xy[1]).shifted(left, top)
    window = ReferenceWindow(
        image=piece,
        valid=inside,
        geometry=geometry,
        window_id=f"pairs/x{left}/y{top}",
        map_id=pairs_map.map_id,
        imagery_ce90_m=pairs_map.imagery_ce90_m,
    )
    return MapWindow(window, scale_xy, (float(left), float(top)), gsd_m)


def _starts(length_px: int, size_px: int) -> list[int]:
    """Where windows begin along an axis: one, centred, or a lattice."""
    if length_px <= size_px:
        return [-((size_px - length_px) // 2)]
    step = size_px // 2
    return list(range(0, length_px - step, step))


def _read_tiles(pairs: Pairs, path: Path) -> PairsMapImage:
    from edge.tiles.opening import open_map  # tile readers only where there are tiles

    tiles = open_map(path)
    try:
        grid = tiles.grid(pairs.map.gsd_m)
        left, top, right, bottom = grid.extent_px
        _check_size(pairs, path, right - left, bottom - top)
        whole = grid.read(left, top, right - left, bottom - top)
        geometry = pairs.map.geometry or _as_affine(grid.geometry(left, top))
        image = np.array(whole.image)
        image[~whole.valid] = FILL_RGB
        return PairsMapImage(
            image, whole.valid, pairs.map.gsd_m, geometry, tiles.map_id, tiles.imagery_ce90_m
        )
    finally:
        tiles.close()


def _as_affine(geometry: Any) -> AffineGeometry:
    """Web-mercator pixels as a geotransform in metres of EPSG:3857."""
    if isinstance(geometry, AffineGeometry):
        return geometry
    if not isinstance(geometry, MercatorGeometry):
        raise TypeError(f"{type(geometry).__name__} is no geometry of a map")
    step = CIRCUMFERENCE_M / geometry.world_px
    x0 = geometry.left_px * step - CIRCUMFERENCE_M / 2
    y0 = CIRCUMFERENCE_M / 2 - geometry.top_px * step
    return AffineGeometry((x0, step, 0.0, y0, 0.0, -step), 3857)


def _decode(path: Path, flags: int, what: str) -> Any:
    """Pixels as OpenCV gives them, without its warnings about the keys of a GeoTIFF."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
        reason = "OpenCV does not know this format, or the file is cut off"
    except (cv2.error, OSError) as error:
        pixels, reason = None, f"{type(error).__name__}: {error}".strip()
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None or pixels.dtype != np.uint8:
        raise PairsError(
            f"{what} {path} cannot be read",
            expected="a picture of 8 bits per channel: TIFF, PNG or JPEG",
            found=reason if pixels is None else f"values of type {pixels.dtype}",
            do="check the file, or convert it to PNG",
        )
    return pixels


def _rgb_and_valid(pixels: Any) -> tuple[Uint8, Bool]:
    """Grey, BGR or BGRA -> RGB and the mask of its alpha channel."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    code = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}[channels]
    valid = pixels[..., 3] > 0 if channels == 4 else np.ones(pixels.shape[:2], np.bool_)
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8), np.asarray(valid)


def _nodata(image: Uint8, colour: tuple[int, int, int]) -> Bool:
    """Where areas of the nodata colour are."""
    apart = np.abs(image.astype(np.int16) - np.array(colour, np.int16)).max(axis=2)
    alike = (apart <= NODATA_TOLERANCE).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(alike, connectivity=4)
    large = np.asarray(stats)[:, cv2.CC_STAT_AREA] >= NODATA_LEAST_PX
    large[0] = False  # the background of the labelling is what has another colour
    return np.asarray(large[np.asarray(labels)])


def _check_size(pairs: Pairs, path: Path, width: int, height: int) -> None:
    if (width, height) != (pairs.map.width_px, pairs.map.height_px):
        raise PairsError(
            f"the map {path} has another size than {pairs.path} states",
            expected=f"{pairs.map.width_px} x {pairs.map.height_px} px",
            found=f"{width} x {height} px",
            do="give the very map that was labelled: its boxes are pixels of it",
        )


def _box(corners: Float64) -> Box:
    (x1, y1), (x2, y2) = corners.tolist()
    return x1, y1, x2, y2
