"""PMTiles version 3 from a local file, over the directory code of the library `pmtiles`.

The library's own reader parses the directories again for every tile (23 ms each on a large map), so
they are kept here: the root always, the leaves in a small cache.
"""

from __future__ import annotations

import gzip
import json
import mmap
import threading
import zlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from edge.errors import MapError, MissingLibraryError
from edge.geodesy import TILE_PX, MercatorGeometry
from edge.tiles.identity import file_identity
from edge.tiles.pyramid import TileExtent, tile_extent
from edge.types import Float64

PMTILES_MAGIC = b"PMTiles"
_CACHED_LEAVES = 64
_PICTURES = ("PNG", "JPEG", "WEBP")
_MOST_ZOOM = 24
_BROKEN = (EOFError, OSError, ValueError, KeyError, IndexError, zlib.error)


class PMTilesSource:
    """The tiles of one PMTiles file."""

    kind = "PMTiles"

    def __init__(self, path: Path) -> None:
        """Open and check a file.

        Raises:
            MissingLibraryError: the extra `geo` is not installed.
            MapError: broken, truncated, of another version, or not a map of pictures.
        """
        self.path = path
        self._library = _library()
        self._leaves: OrderedDict[tuple[int, int], tuple[list[int], list[Any]]] = OrderedDict()
        self._lock = threading.Lock()
        with path.open("rb") as stream:
            self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            with self._readable():
                self._open()
        except BaseException:
            self.close()
            raise
        self.map_id = file_identity(path)
        self.size_bytes = path.stat().st_size

    def _open(self) -> None:
        self._header = self._read_header()
        self._root = self._directory(self._header["root_offset"], self._header["root_length"])
        self.metadata: Mapping[str, str] = self._read_metadata()
        zooms = range(self._header["min_zoom"], min(self._header["max_zoom"], _MOST_ZOOM) + 1)
        self.zooms = tuple(zoom for zoom in zooms if any(True for _ in self._walk(zoom)))
        if not self.zooms:
            raise self._corrupt("no tiles")

    def extent(self, zoom: int) -> TileExtent:
        """The bounds that the header states; those of the tiles where it states the world.

        Raises:
            MapError: a corrupt directory; so do `fetch`, `some` and `count`.
        """
        names = ("min_lon_e7", "max_lat_e7", "max_lon_e7", "min_lat_e7")
        west, north, east, south = (self._header[name] / 1e7 for name in names)
        if south >= north or west >= east or east - west >= 180:
            with self._readable():
                tiles = [self._library.tileid_to_zxy(tile_id) for tile_id, _ in self._walk(zoom)]
            rows = [row for _, _, row in tiles]
            return tile_extent({column for _, column, _ in tiles}, min(rows), max(rows) + 1, zoom)
        corners: Float64 = MercatorGeometry(zoom, 0, 0).xy_px(_corners(west, north, east, south))
        # bounds are rounded to 1e-7 degrees: a thousandth of a tile is no tile
        left, top = (corners[0] / TILE_PX + 1e-3).astype(int).tolist()
        right, bottom = (-(-corners[1] // TILE_PX)).astype(int).tolist()
        last_right, last_bottom = (corners[1] / TILE_PX - 1e-3).astype(int).tolist()
        right, bottom = min(right, last_right + 1), min(bottom, last_bottom + 1)
        return TileExtent(left, max(top, 0), right, min(bottom, 2**zoom))

    def fetch(
        self, zoom: int, columns: Sequence[int], top_row: int, bottom_row: int
    ) -> dict[tuple[int, int], bytes]:
        """Encoded tiles of these columns and rows, both ends included."""
        found = {}
        with self._readable():
            for column in columns:
                for row in range(top_row, bottom_row + 1):
                    data = self._get(self._library.zxy_to_tileid(zoom, column, row))
                    if data is not None:
                        found[column, row] = data
        return found

    def some(self, zoom: int, count: int) -> list[bytes]:
        """A few encoded tiles of a zoom."""
        with self._readable():
            return [self._tile(entry) for _, entry in islice(self._walk(zoom), count)]

    def count(self, zoom: int) -> int:
        """Number of tiles of a zoom, by walking over them."""
        with self._readable():
            return sum(1 for _ in self._walk(zoom))

    def close(self) -> None:
        """Release the file."""
        self._data.close()

    def _get(self, tile_id: int) -> bytes | None:
        starts, entries = self._root
        for _ in range(4):  # the deepest nesting that the format allows
            at = bisect_right(starts, tile_id) - 1
            if at < 0:
                return None
            entry = entries[at]
            if entry.run_length > 0:
                inside = tile_id - entry.tile_id < entry.run_length
                return self._tile(entry) if inside else None
            starts, entries = self._leaf(entry)
        return None

    def _walk(self, zoom: int) -> Iterator[tuple[int, Any]]:
        """Id and entry of all tiles of a zoom, in the order of ids."""
        first, behind = (4**zoom - 1) // 3, (4 ** (zoom + 1) - 1) // 3
        yield from self._walk_directory(self._root, first, behind, 0)

    def _walk_directory(
        self, directory: tuple[list[int], list[Any]], first: int, behind: int, depth: int
    ) -> Iterator[tuple[int, Any]]:
        starts, entries = directory
        if depth > 3:
            raise ValueError("directories nested deeper than the format allows")
        for entry in entries[max(bisect_right(starts, first) - 1, 0) :]:
            if entry.tile_id >= behind:
                return
            if entry.run_length == 0:
                yield from self._walk_directory(self._leaf(entry), first, behind, depth + 1)
                continue
            run = range(entry.tile_id, entry.tile_id + entry.run_length)
            for tile_id in run[max(first - run.start, 0) : max(behind - run.start, 0)]:
                yield tile_id, entry

    def _leaf(self, entry: Any) -> tuple[list[int], list[Any]]:
        key = self._header["leaf_directory_offset"] + entry.offset, entry.length
        with self._lock:
            if key in self._leaves:
                self._leaves.move_to_end(key)
                return self._leaves[key]
        leaf = self._directory(*key)
        with self._lock:
            self._leaves[key] = leaf
            while len(self._leaves) > _CACHED_LEAVES:
                self._leaves.popitem(last=False)
        return leaf

    def _directory(self, offset: int, length: int) -> tuple[list[int], list[Any]]:
        entries = self._library.deserialize_directory(self._data[offset : offset + length])
        return [entry.tile_id for entry in entries], entries

    def _tile(self, entry: Any) -> bytes:
        start = self._header["tile_data_offset"] + entry.offset
        return self._data[start : start + entry.length]

    def _read_header(self) -> Any:
        try:
            header = self._library.deserialize_header(self._data[:127])
        except (
            self._library.MagicNumberNotFound,
            self._library.SpecVersionUnsupported,
            UnicodeDecodeError,
        ) as error:
            raise self._corrupt(error) from error
        kind, squeezed = header["tile_type"].name, header["internal_compression"].name
        if kind not in _PICTURES or squeezed != "GZIP":
            raise MapError(
                f"{self.path} is not a map of pictures",
                expected="tiles of type PNG, JPEG or WEBP, directories compressed by GZIP",
                found=f"tiles of type {kind}, directories compressed by {squeezed}",
                do="make the map from imagery: tilefix tiles import ortho.tif --out map.mbtiles",
            )
        end = max(
            header["tile_data_offset"] + header["tile_data_length"],
            header["leaf_directory_offset"] + header["leaf_directory_length"],
        )
        if len(self._data) < end:
            raise self._corrupt(f"truncated: {len(self._data)} of {end} bytes")
        return header

    def _read_metadata(self) -> dict[str, str]:
        start = self._header["metadata_offset"]
        packed = self._data[start : start + self._header["metadata_length"]]
        values = json.loads(gzip.decompress(packed)) if packed else {}
        return {str(name): str(value) for name, value in values.items()}

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise self._corrupt(error) from error

    def _corrupt(self, found: object) -> MapError:
        named = isinstance(found, Exception)
        return MapError(
            f"{self.path} is corrupt or not a PMTiles map",
            expected="a whole PMTiles file of version 3",
            found=f"{type(found).__name__}: {found}" if named else str(found),
            do="copy the file again from where it was made",
        )


def _corners(west: float, north: float, east: float, south: float) -> Float64:
    import numpy as np

    return np.array([[west, north], [min(east, 180 - 1e-9), south]], np.float64)


def _library() -> Any:
    try:
        import pmtiles.tile
    except ImportError as error:
        raise MissingLibraryError(
            "a PMTiles map cannot be read without the library pmtiles",
            expected="pmtiles, part of the extra 'geo'",
            found=str(error),
            do="pip install 'tilefix[geo]'",
        ) from error
    return pmtiles.tile
