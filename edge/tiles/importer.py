"""Make an MBTiles map of a GeoTIFF: web mercator, 256-px tiles, JPEG where full, PNG where not.

A tile that imagery covers only in part is a PNG whose alpha says where, so that empty ground comes
back as not valid. Coarser zooms are averaged from the finer ones over valid pixels only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import GeoreferenceError, MapError, UsageError
from edge.geodesy import TILE_PX, MercatorGeometry, distance_m
from edge.tiles.decoding import DecodedTile, decode_picture, to_tile
from edge.tiles.mbtiles_writer import MBTilesWriter
from edge.tiles.pyramid import TileExtent
from edge.tiles.raster import (
    check_georeference,
    open_raster,
    overview_for,
    picture_bands,
    rasterio_library,
    warp,
)
from edge.transverse_mercator import SEMI_MAJOR_M
from edge.types import FILL_RGB, Bool, Float64, Uint8

MOST_ZOOM = 24
COARSEST_USEFUL_GSD_M = 1.0  # models work at 0.2 to 0.6 m/px; overviews reach down to here
_BLOCK_TILES = 8
_WORLD_M = 2 * math.pi * SEMI_MAJOR_M
Progress = Callable[[int, int], None]  # tiles done, tiles in all


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What importing a GeoTIFF will do."""

    source: Path
    zoom: int
    min_zoom: int
    extent: TileExtent  # of the finest zoom
    native_gsd_m: float
    bands: tuple[int, int, int]

    @property
    def tiles(self) -> int:
        """Tiles of all zooms at most."""
        wide, high = self.extent.right - self.extent.left, self.extent.bottom - self.extent.top
        return sum(
            (wide // 2**step + 2) * (high // 2**step + 2) if step else wide * high
            for step in range(self.zoom - self.min_zoom + 1)
        )


def plan_import(source: Path, zoom: int | None = None, min_zoom: int | None = None) -> ImportPlan:
    """Look at a GeoTIFF in any coordinate system that GDAL knows.

    Args:
        source: the file.
        zoom: finest zoom; None: the one nearest to the file's own ground sampling distance.
        min_zoom: coarsest zoom; None: the last of at most 1 m/px, or `zoom` itself.

    Raises:
        MissingLibraryError, MapError, GeoreferenceError: a file that cannot be read as a map.
        UsageError: zooms that cannot be meant.
    """
    with open_raster(source) as dataset:
        check_georeference(dataset, source)
        bands = picture_bands(dataset, source)
        outline = _outline_mercator_m(dataset, source)
        native_gsd_m = _native_gsd_m(dataset, source)
    left, right = float(outline[:, 0].min()), float(outline[:, 0].max())
    bottom, top = float(outline[:, 1].min()), float(outline[:, 1].max())
    equator_px = (_WORLD_M / 2 - (top + bottom) / 2) / _WORLD_M * TILE_PX
    at_zoom_0 = MercatorGeometry(0, 0, 0).metres_per_px(np.array([[0.0, equator_px]])).mean()
    if zoom is None:
        zoom = min(max(round(math.log2(float(at_zoom_0) / native_gsd_m)), 0), MOST_ZOOM)
    if min_zoom is None:
        useful = math.ceil(math.log2(float(at_zoom_0) / COARSEST_USEFUL_GSD_M))
        min_zoom = max(min(zoom, useful), 0)
    if not 0 <= min_zoom <= zoom <= MOST_ZOOM:
        raise UsageError(
            "zooms that cannot be meant",
            expected=f"0 <= min zoom <= zoom <= {MOST_ZOOM}",
            found=f"min zoom {min_zoom}, zoom {zoom}",
            do=f"leave --zoom out: the file has {native_gsd_m:.3g} m/px",
        )
    tile_m = _WORLD_M / 2**zoom
    columns = math.floor((left + _WORLD_M / 2) / tile_m), math.ceil((right + _WORLD_M / 2) / tile_m)
    rows = math.floor((_WORLD_M / 2 - top) / tile_m), math.ceil((_WORLD_M / 2 - bottom) / tile_m)
    extent = TileExtent(columns[0], max(rows[0], 0), columns[1], min(rows[1], 2**zoom))
    return ImportPlan(source, zoom, min_zoom, extent, native_gsd_m, bands)


def run_import(
    plan: ImportPlan,
    out: Path,
    *,
    quality: int = 85,
    imagery_ce90_m: float | None = None,
    name: str | None = None,
    replace: bool = False,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write the map; `out` appears only when it is whole.

    Args:
        plan: what `plan_import` said.
        out: the file to write.
        quality: of the JPEG tiles, 1 to 100.
        imagery_ce90_m: horizontal accuracy of the imagery, goes into the metadata.
        name: of the map; None: the name of the source.
        replace: overwrite `out`.
        progress: called after every tile.

    Raises:
        MapError: the source cannot be read, or has no imagery.
        UsageError: a value that cannot be meant.
        OutputError: `out` exists, or cannot be written, as on a full disk.
    """
    check_values(quality, imagery_ce90_m)
    metadata = {"name": name or plan.source.stem, "version": "1", "source": plan.source.name}
    if imagery_ce90_m is not None:
        metadata["imagery_ce90_m"] = repr(float(imagery_ce90_m))
    done = 0
    with MBTilesWriter(out, metadata, replace=replace) as writer:
        for column, row, tile in _warped_tiles(plan):
            if tile is not None:
                writer.put(plan.zoom, column, row, encode_tile(tile, quality))
            done += 1
            progress(done, plan.tiles)
        for zoom in range(plan.zoom, plan.min_zoom, -1):
            for column, row in writer.parents(zoom):
                tile = _averaged(writer, zoom, column, row)
                if tile is not None:
                    writer.put(zoom - 1, column, row, encode_tile(tile, quality))
                done += 1
                progress(done, max(plan.tiles, done))
    progress(max(plan.tiles, done), max(plan.tiles, done))
    return out


def check_values(quality: int, imagery_ce90_m: float | None) -> None:
    """Refuse a JPEG quality or an accuracy that cannot be meant.

    Raises:
        UsageError: one of them is out of its range.
    """
    stated = imagery_ce90_m is None or (math.isfinite(imagery_ce90_m) and imagery_ce90_m >= 0)
    if not (1 <= quality <= 100 and stated):
        raise UsageError(
            "a quality or accuracy that cannot be meant",
            expected="a JPEG quality of 1 to 100, an accuracy of zero or more metres",
            found=f"quality {quality}, accuracy {imagery_ce90_m}",
            do="correct --quality or --imagery-ce90-m",
        )


def encode_tile(tile: DecodedTile, quality: int) -> bytes:
    """JPEG of a full tile, PNG with alpha of a partly empty one.

    Raises:
        MapError: this OpenCV cannot encode it.
    """
    if tile.valid is None:
        picture = cv2.cvtColor(tile.image, cv2.COLOR_RGB2BGR)
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    else:
        picture = cv2.cvtColor(tile.image, cv2.COLOR_RGB2BGRA)
        picture[:, :, 3] = np.where(tile.valid, 255, 0)
        done, data = cv2.imencode(".png", picture)
    if not done:
        raise MapError(
            "a tile cannot be encoded",
            expected="an OpenCV that writes JPEG and PNG",
            found=f"OpenCV {cv2.__version__} that does not",
            do="pip install opencv-python-headless",
        )
    return data.tobytes()


def _warped_tiles(plan: ImportPlan) -> Iterator[tuple[int, int, DecodedTile | None]]:
    """Column, row and picture of every tile of the finest zoom, read in blocks; None: empty."""
    affine = rasterio_library().Affine
    step_m = _WORLD_M / 2**plan.zoom / TILE_PX
    extent, count = plan.extent, 2**plan.zoom
    wanted_m = MercatorGeometry(plan.zoom, 0, extent.top * TILE_PX)
    gsd_m = float(wanted_m.metres_per_px(np.zeros((1, 2))).mean())
    with open_raster(plan.source) as whole:
        overview = overview_for(whole, gsd_m / plan.native_gsd_m)
    with open_raster(plan.source, overview) as source:
        for top in range(extent.top, extent.bottom, _BLOCK_TILES):
            high = min(_BLOCK_TILES, extent.bottom - top)
            for left in range(extent.left, extent.right, _BLOCK_TILES):
                wide = min(_BLOCK_TILES, extent.right - left)
                west_m = left * TILE_PX * step_m - _WORLD_M / 2
                north_m = _WORLD_M / 2 - top * TILE_PX * step_m
                transform = affine(step_m, 0.0, west_m, 0.0, -step_m, north_m)
                size_px = (wide * TILE_PX, high * TILE_PX)
                picture, opaque = warp(source, plan.bands, "EPSG:3857", transform, size_px)
                for row in range(high):
                    for column in range(wide):
                        tile = _cut(picture, opaque, column * TILE_PX, row * TILE_PX)
                        yield (left + column) % count, top + row, tile


def _cut(picture: Uint8, opaque: Bool, left: int, top: int) -> DecodedTile | None:
    inside = slice(top, top + TILE_PX), slice(left, left + TILE_PX)
    valid = opaque[inside]
    if not valid.any():
        return None
    if valid.all():
        return DecodedTile(np.ascontiguousarray(picture[inside]), None)
    image = np.where(valid[:, :, None], picture[inside], np.array(FILL_RGB, np.uint8))
    return DecodedTile(image, valid)


def _averaged(writer: MBTilesWriter, zoom: int, column: int, row: int) -> DecodedTile | None:
    """The tile of `zoom - 1` from its four children, each pixel the mean of its valid ones."""
    total = np.zeros((2 * TILE_PX, 2 * TILE_PX, 3), np.float32)
    weight = np.zeros((2 * TILE_PX, 2 * TILE_PX, 1), np.float32)
    for down in (0, 1):
        for across in (0, 1):
            data = writer.get(zoom, 2 * column + across, 2 * row + down)
            tile = to_tile(decode_picture(data)) if data is not None else None
            if tile is not None:
                y, x = down * TILE_PX, across * TILE_PX
                inside = slice(y, y + TILE_PX), slice(x, x + TILE_PX)
                total[inside] = tile.image
                weight[inside] = 1.0 if tile.valid is None else tile.valid[:, :, None]
    total *= weight
    half = (TILE_PX, 2, TILE_PX, 2, -1)
    shares = weight.reshape(half).sum(axis=(1, 3))  # [256, 256, 1], valid children of 4
    means = total.reshape(half).sum(axis=(1, 3)) / np.maximum(shares, 1.0)
    image = np.rint(means).astype(np.uint8)
    valid: Bool = shares[:, :, 0] >= 2
    if valid.all():
        return DecodedTile(image, None)
    image[~valid] = FILL_RGB
    return DecodedTile(image, valid) if valid.any() else None


def _outline_mercator_m(dataset: Any, source: Path) -> Float64:
    """The edge of a raster in EPSG:3857, unbroken over the antimeridian. [N, 2] metres."""
    along = np.linspace(0, 1, 65)
    x = np.concatenate([along, along, 0 * along, 0 * along + 1]) * dataset.width
    y = np.concatenate([0 * along, 0 * along + 1, along, along]) * dataset.height
    east, north = _transformed(dataset, x, y, "EPSG:3857", source)
    half = _WORLD_M / 2
    east = np.where(east < 0, east + _WORLD_M, east) if np.ptp(east) > half else east
    return np.stack([east, np.clip(north, -half, half)], axis=1)


def _native_gsd_m(dataset: Any, source: Path) -> float:
    """Ground size of a pixel at the centre, the mean of both directions."""
    x, y = dataset.width / 2, dataset.height / 2
    columns, rows = np.array([x, x + 1, x]), np.array([y, y, y + 1])
    here, right, down = np.stack(_transformed(dataset, columns, rows, "EPSG:4326", source), axis=1)
    return float(distance_m(here, right) + distance_m(here, down)) / 2


def _transformed(
    dataset: Any, columns: Float64, rows: Float64, crs: str, source: Path
) -> tuple[Float64, Float64]:
    affine, library = dataset.transform, rasterio_library()
    x = affine.a * columns + affine.b * rows + affine.c
    y = affine.d * columns + affine.e * rows + affine.f
    try:
        found = library.warp.transform(dataset.crs, crs, x.tolist(), y.tolist())
        first, second = np.array(found[0], np.float64), np.array(found[1], np.float64)
        if not (np.isfinite(first).all() and np.isfinite(second).all()):
            raise ValueError("positions that are not finite")
    # PROJ's complaints come through as an exception class that rasterio keeps private
    except (library.errors.RasterioError, library._err.CPLE_BaseError, ValueError) as error:
        raise GeoreferenceError(
            f"{source} cannot be placed on the web-mercator map",
            expected="a georeference on the Earth, away from the poles",
            found=f"{dataset.crs.to_string()[:80]}, corner {x[0]:.8g}, {y[0]:.8g}: {error}",
            do="check the georeference of the file",
        ) from error
    return first, second
