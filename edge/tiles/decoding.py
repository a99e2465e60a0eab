"""Pictures of tiles: bytes to RGB, and the most recently used ones kept decoded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from edge.geodesy import TILE_PX
from edge.types import FILL_RGB, Array, Bool, Uint8

OPAQUE_ALPHA = 128  # from here on a pixel counts as imagery
TileKey = tuple[int, int, int]  # zoom, column, row from the north


@dataclass(frozen=True, slots=True)
class DecodedTile:
    """One tile as pixels."""

    image: Uint8  # [256, 256, 3] RGB, FILL_RGB where not valid
    valid: Bool | None  # [256, 256]; None: all of it


def decode_picture(data: bytes) -> Array | None:
    """Any PNG, JPEG or WebP as stored: [H, W] or [H, W, 3 or 4] BGR(A); None where it is broken.

    OpenCV pads a truncated JPEG with grey without a word, so the ends of files are checked here.
    """
    if not _is_complete(data):
        return None
    jpeg = data[:2] == b"\xff\xd8"
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION if jpeg else cv2.IMREAD_UNCHANGED
    try:
        picture: Array | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return picture


def to_tile(picture: Array | None) -> DecodedTile | None:
    """A decoded picture as a tile; None where it is broken or not 256 px wide and high."""
    if picture is None or picture.shape[:2] != (TILE_PX, TILE_PX):
        return None
    if picture.dtype != np.uint8:
        picture = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else None
        if picture is None:
            return None
    if picture.ndim == 2:
        return DecodedTile(_convert(picture, cv2.COLOR_GRAY2RGB), None)
    if picture.shape[2] == 3:
        return DecodedTile(_convert(picture, cv2.COLOR_BGR2RGB), None)
    image = _convert(picture, cv2.COLOR_BGRA2RGB)
    valid = picture[:, :, 3] >= OPAQUE_ALPHA
    if valid.all():
        return DecodedTile(image, None)
    image[~valid] = FILL_RGB
    return DecodedTile(image, valid)


class TileCache:
    """The most recently used tiles, decoded; also remembers which tiles do not exist."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._tiles: OrderedDict[TileKey, DecodedTile | None] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, keys: list[TileKey]) -> dict[TileKey, DecodedTile | None]:
        """Those of the tiles that are here; None: known to be absent."""
        with self._lock:
            found = {key: self._tiles[key] for key in keys if key in self._tiles}
            for key in found:
                self._tiles.move_to_end(key)
        return found

    def put(self, tiles: Mapping[TileKey, DecodedTile | None]) -> None:
        """Add tiles and drop the least recently used."""
        with self._lock:
            self._tiles.update(tiles)
            while len(self._tiles) > self.capacity:
                self._tiles.popitem(last=False)

    def clear(self) -> None:
        """Drop all tiles."""
        with self._lock:
            self._tiles.clear()


def _convert(picture: Array, code: int) -> Uint8:
    return np.asarray(cv2.cvtColor(picture, code), np.uint8)


def _is_complete(data: bytes) -> bool:
    if data[:2] == b"\xff\xd8":
        return b"\xff\xd9" in data[-32:]  # some writers pad after the end marker
    if data[:4] == b"\x89PNG":
        return b"IEND" in data[-32:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return False
