"""A map of 256-px web-mercator tiles, whatever file or folder the tiles come from.

A tile that is absent, or that does not decode, is not imagery: it is masked in `valid`. Each broken
tile is logged once and listed in `TilePyramid.broken`.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edge.errors import MapError
from edge.geodesy import TILE_PX, MercatorGeometry
from edge.tiles.decoding import DecodedTile, TileCache, TileKey, decode_picture, to_tile
from edge.tiles.window import WINDOW_PX, check_gsd, check_size, stated_ce90_m
from edge.types import FILL_RGB, ReferenceWindow

CACHED_TILES = 192  # 36 MiB; a window of 1024 px touches 25
GSD_TOLERANCE = 2.0  # a zoom further from the wanted sampling distance is another map
_PROBED_TILES = 8
log = logging.getLogger("tilefix.tiles")


@dataclass(frozen=True, slots=True)
class TileExtent:
    """Tiles of one zoom: columns [left, right), rows from the north [top, bottom).

    `right` exceeds the number of columns where the imagery crosses the antimeridian.
    """

    left: int
    top: int
    right: int
    bottom: int


class TileSource(Protocol):
    """Where encoded tiles come from. Rows count from the north (XYZ). Safe between threads."""

    kind: str
    path: Path
    map_id: str
    size_bytes: int
    metadata: Mapping[str, str]
    zooms: tuple[int, ...]  # ascending, at least one

    def extent(self, zoom: int) -> TileExtent:
        """The smallest rectangle that holds all tiles of a zoom."""
        ...

    def fetch(
        self, zoom: int, columns: Sequence[int], top_row: int, bottom_row: int
    ) -> dict[tuple[int, int], bytes]:
        """Encoded tiles of these columns and rows top_row to bottom_row, both included."""
        ...

    def some(self, zoom: int, count: int) -> list[bytes]:
        """A few encoded tiles of a zoom."""
        ...

    def count(self, zoom: int) -> int:
        """Number of tiles of a zoom."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


class TilePyramid:
    """A `TileMap` over a source of tiles."""

    def __init__(self, source: TileSource) -> None:
        """Take a source, and close it where it is no map of pictures.

        Raises:
            MapError: none of its tiles is a picture, one has another size, or it states an accuracy
                that is none.
        """
        self.source = source
        self.kind = source.kind
        self.path = source.path
        self.map_id = source.map_id
        self.zooms = source.zooms
        self.cache = TileCache(CACHED_TILES)
        self._broken: set[TileKey] = set()
        self._broken_lock = threading.Lock()
        self._extents: dict[int, TileExtent] = {}
        try:
            self.imagery_ce90_m = stated_ce90_m(source.path, source.metadata)
            _probe(source)
        except BaseException:
            source.close()
            raise

    @property
    def broken(self) -> frozenset[TileKey]:
        """Tiles met so far that did not decode: zoom, column, row from the north."""
        with self._broken_lock:
            return frozenset(self._broken)

    @property
    def bounds_lon_lat_deg(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the tiles of the finest zoom."""
        zoom = self.zooms[-1]
        extent = self.extent(zoom)
        last_px = (extent.right * TILE_PX, extent.bottom * TILE_PX)
        corners = np.array([[extent.left * TILE_PX, extent.top * TILE_PX], last_px], np.float64)
        (west, north), (east, south) = MercatorGeometry(zoom, 0, 0).lon_lat_deg(corners).tolist()
        if extent.right % 2**zoom == 0:
            east = 180.0
        return west, south, east, north

    def extent(self, zoom: int) -> TileExtent:
        """The rectangle of tiles of a zoom."""
        if zoom not in self._extents:
            self._extents[zoom] = self.source.extent(zoom)
        return self._extents[zoom]

    def grid(self, gsd_m: float) -> MercatorGrid:
        """The zoom nearest to a ground sampling distance, at the centre of its imagery.

        Raises:
            UsageError: not a positive number.
            MapError: the nearest zoom is more than twice as coarse or as fine.
        """
        check_gsd(gsd_m)
        grids = [self.at_zoom(zoom) for zoom in self.zooms]
        best = min(grids, key=lambda grid: abs(math.log(grid.gsd_m / gsd_m)))
        if max(best.gsd_m / gsd_m, gsd_m / best.gsd_m) > GSD_TOLERANCE:
            have = ", ".join(f"zoom {grid.zoom}: {grid.gsd_m:.3g} m/px" for grid in grids)
            least_m, most_m = gsd_m / GSD_TOLERANCE, gsd_m * GSD_TOLERANCE
            raise MapError(
                f"{self.path} has no zoom near {gsd_m:.3g} m/px",
                expected=f"a zoom of {least_m:.3g} to {most_m:.3g} m/px",
                found=have,
                do="make the map again with it: tilefix tiles import ... --zoom Z --min-zoom Z",
            )
        return best

    def at_zoom(self, zoom: int) -> MercatorGrid:
        """The pixels of one zoom of the map."""
        extent = self.extent(zoom)
        box = (extent.left, extent.top, extent.right, extent.bottom)
        left, top, right, bottom = (TILE_PX * value for value in box)
        middle = np.array([[(left + right) / 2, (top + bottom) / 2]])
        gsd_m = float(MercatorGeometry(zoom, 0, 0).metres_per_px(middle).mean())
        return MercatorGrid(self, zoom, gsd_m, (left, top, right, bottom))

    def tiles(self, keys: list[TileKey]) -> dict[TileKey, DecodedTile | None]:
        """Decoded tiles of one zoom by one range query for those not at hand; None: no imagery."""
        found = self.cache.get(keys)
        missing = [key for key in keys if key not in found]
        if missing:
            zoom = missing[0][0]
            columns = sorted({column for _, column, _ in missing})
            rows = [row for _, _, row in missing]
            encoded = self.source.fetch(zoom, columns, min(rows), max(rows))
            fresh = {key: self._decode(key, encoded.get(key[1:])) for key in missing}
            self.cache.put(fresh)
            found.update(fresh)
        return found

    def close(self) -> None:
        """Release the file and the decoded tiles."""
        self.cache.clear()
        self.source.close()

    def _decode(self, key: TileKey, data: bytes | None) -> DecodedTile | None:
        if data is None:
            return None
        tile = to_tile(decode_picture(data))
        if tile is None:
            with self._broken_lock:
                new = key not in self._broken
                self._broken.add(key)
            if new:
                text = "%s: tile z%d x%d y%d does not decode as 256 px; it counts as no imagery"
                log.warning(text, self.path, *key)
        return tile


@dataclass(frozen=True, slots=True)
class MercatorGrid:
    """A `PixelGrid` over one zoom; pixels are world pixels of that zoom."""

    pyramid: TilePyramid
    zoom: int
    gsd_m: float
    extent_px: tuple[int, int, int, int]

    def geometry(self, left_px: float, top_px: float) -> MercatorGeometry:
        """Geometry of the window there; `left_px` is brought into the world."""
        return MercatorGeometry(self.zoom, left_px % (TILE_PX * 2**self.zoom), top_px)

    def window_id(self, left_px: int, top_px: int) -> str:
        """The id of the window there, the same from either side of the antimeridian."""
        return f"z{self.zoom}/x{int(left_px) % (TILE_PX * 2**self.zoom)}/y{int(top_px)}"

    def read(
        self, left_px: int, top_px: int, width_px: int = WINDOW_PX, height_px: int = WINDOW_PX
    ) -> ReferenceWindow:
        """Read a window; beyond the poles and where tiles are missing `valid` is False.

        Raises:
            WindowError: a window without area.
            MapError: the file broke since it was opened.
        """
        check_size(width_px, height_px)
        count = 2**self.zoom
        left, top = int(left_px) % (TILE_PX * count), int(top_px)
        columns = range(left // TILE_PX, (left + width_px - 1) // TILE_PX + 1)
        first, last = top // TILE_PX, (top + height_px - 1) // TILE_PX
        rows = range(max(first, 0), min(last, count - 1) + 1)
        keys = [(self.zoom, column, row) for column in {c % count for c in columns} for row in rows]
        tiles = self.pyramid.tiles(keys)
        image = np.empty((height_px, width_px, 3), np.uint8)
        valid = np.ones((height_px, width_px), np.bool_)
        for row in range(first, last + 1):
            down, from_row = _overlap(row * TILE_PX - top, height_px)
            for column in columns:
                across, from_column = _overlap(column * TILE_PX - left, width_px)
                tile = tiles.get((self.zoom, column % count, row))
                if tile is None:
                    image[down, across] = FILL_RGB
                    valid[down, across] = False
                    continue
                image[down, across] = tile.image[from_row, from_column]
                if tile.valid is not None:
                    valid[down, across] = tile.valid[from_row, from_column]
        return ReferenceWindow(
            image=image,
            valid=valid,
            geometry=self.geometry(left, top),
            window_id=self.window_id(left, top),
            map_id=self.pyramid.map_id,
            imagery_ce90_m=self.pyramid.imagery_ce90_m,
        )


def tile_extent(columns: Iterable[int], top: int, bottom: int, zoom: int) -> TileExtent:
    """The smallest rectangle of tiles, over the antimeridian where that is shorter.

    Args:
        columns: the columns that have tiles.
        top: first row, from the north.
        bottom: row behind the last.
        zoom: of these tiles.
    """
    ordered = sorted(set(columns))
    count = 2**zoom
    gaps = [after - before for before, after in itertools.pairwise(ordered)]
    around = ordered[0] + count - ordered[-1]
    if gaps and max(gaps) > around:
        split = gaps.index(max(gaps))
        return TileExtent(ordered[split + 1], top, ordered[split] + 1 + count, bottom)
    return TileExtent(ordered[0], top, ordered[-1] + 1, bottom)


def _overlap(offset: int, size: int) -> tuple[slice, slice]:
    """Where a tile at `offset` lies in a window of `size`, and that part within the tile."""
    start, stop = max(offset, 0), min(offset + TILE_PX, size)
    return slice(start, stop), slice(start - offset, stop - offset)


def _probe(source: TileSource) -> None:
    """Refuse a map of vector tiles or of another tile size, by looking at a few of its tiles.

    Raises:
        MapError: none of the tiles is a picture, or one has another size.
    """
    samples = source.some(source.zooms[-1], _PROBED_TILES)
    pictures = [picture for data in samples if (picture := decode_picture(data)) is not None]
    found = next((p.shape for p in pictures if p.shape[:2] != (TILE_PX, TILE_PX)), None)
    if pictures and found is None:
        return
    format_name = source.metadata.get("format", "not stated")
    raise MapError(
        f"{source.path} is not a map of {TILE_PX}-px pictures",
        expected=f"PNG, JPEG or WebP tiles of {TILE_PX} x {TILE_PX} px",
        found=f"tiles of {found[1]} x {found[0]} px"
        if found
        else f"no readable picture among {len(samples)} tiles (format: {format_name})",
        do="make the map from imagery: tilefix tiles import ortho.tif --out map.mbtiles",
    )
