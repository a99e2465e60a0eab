"""Open a map of any format, by what is in it rather than by its name."""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import MapError
from edge.tiles.geotiff import TIFF_MAGICS, GeoTiffMap
from edge.tiles.mbtiles import SQLITE_MAGIC, MBTilesSource
from edge.tiles.pmtiles import PMTILES_MAGIC, PMTilesSource
from edge.tiles.pyramid import TilePyramid
from edge.tiles.window import TileMap
from edge.tiles.xyz import XyzSource

FORMATS = "an MBTiles file, a PMTiles file, a GeoTIFF, or a folder of tiles zoom/column/row.png"

_NO_NETWORK = (
    "download it first: maps are read from this machine only, as on a drone without a link"
)


def open_map(path: str | os.PathLike[str]) -> TileMap:
    """Open a map; close it after use.

    Raises:
        MapError: missing, of no known format, corrupt or truncated.
        GeoreferenceError: a GeoTIFF without a usable georeference.
        MissingLibraryError: a format of the extra `geo`, which is not installed.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return TilePyramid(XyzSource(place))
        with place.open("rb") as stream:
            start = stream.read(16)
        if start.startswith(SQLITE_MAGIC) or place.suffix.lower() == ".mbtiles":
            return TilePyramid(MBTilesSource(place))
        if start.startswith(PMTILES_MAGIC):
            return TilePyramid(PMTilesSource(place))
        if start[:4] in TIFF_MAGICS:
            return GeoTiffMap(place)
    except OSError as error:
        raise MapError(
            f"the map {place} cannot be opened",
            expected=FORMATS,
            found=f"{type(error).__name__}: {error}",
            do="check the path" if "://" not in os.fspath(path) else _NO_NETWORK,
        ) from error
    raise MapError(
        f"{place} is not a map of a known format",
        expected=FORMATS,
        found=f"a file that begins with {start[:8]!r}" if start else "an empty file",
        do="for other imagery: gdal_translate it to GeoTIFF, then tilefix tiles import",
    )
