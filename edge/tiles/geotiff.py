"""A GeoTIFF or COG as a map, resampled north-up to any ground sampling distance (extra `geo`).

The kernel widens with the reduction (see `edge.tiles.raster`); overviews of the file serve strong
reductions.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.geodesy import AffineGeometry
from edge.tiles.identity import file_identity
from edge.tiles.raster import (
    epsg_of,
    open_raster,
    overview_for,
    picture_bands,
    rasterio_library,
    warp,
)
from edge.tiles.window import WINDOW_PX, check_gsd, check_size, stated_ce90_m
from edge.types import FILL_RGB, Bool, Float64, ReferenceWindow, Uint8

TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_EDGE_SAMPLES = 33
_SQUARE = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64)


class GeoTiffMap:
    """A `TileMap` over one GeoTIFF. Each thread opens the file for itself."""

    kind = "GeoTIFF"

    def __init__(self, path: Path) -> None:
        """Open and check a file.

        Raises:
            MissingLibraryError: rasterio is not installed.
            MapError: broken or truncated, or not a picture of 8 bits per band.
            GeoreferenceError: no georeference, or one in an unsupported coordinate system.
        """
        self.path = path
        self._local = threading.local()
        self._open: list[Any] = []
        self._lock = threading.Lock()
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        self.map_id = file_identity(path)
        self.size_bytes = path.stat().st_size

    def _read(self) -> None:
        dataset, path = self.dataset(), self.path
        self.bands = picture_bands(dataset, path)
        epsg = epsg_of(dataset, path)
        x0, dx_col, dx_row = dataset.transform.c, dataset.transform.a, dataset.transform.b
        y0, dy_col, dy_row = dataset.transform.f, dataset.transform.d, dataset.transform.e
        self.native = AffineGeometry((x0, dx_col, dx_row, y0, dy_col, dy_row), epsg)
        self.size_px = (int(dataset.width), int(dataset.height))
        self.imagery_ce90_m = stated_ce90_m(path, dataset.tags())

    @property
    def bounds_lon_lat_deg(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the raster."""
        lon_lat = self.native.lon_lat_deg(_outline(*self.size_px))
        lon = lon_lat[:, 0]
        if np.ptp(lon) > 180:  # over the antimeridian
            west, east = float(lon[lon > 0].min()), float(lon[lon <= 0].max())
        else:
            west, east = float(lon.min()), float(lon.max())
        return west, float(lon_lat[:, 1].min()), east, float(lon_lat[:, 1].max())

    @property
    def native_gsd_m(self) -> float:
        """Ground size of a pixel of the file, at its centre."""
        return float(self.native.metres_per_px(self._centre_px()).mean())

    def grid(self, gsd_m: float) -> GeoTiffGrid:
        """The raster resampled to exactly this ground sampling distance at its centre.

        Raises:
            UsageError: not a positive number.
        """
        check_gsd(gsd_m)
        transform = self.native.geotransform
        upright = transform[2] == transform[4] == 0 and transform[1] > 0 > transform[5]
        frame, size = (self.native, self.size_px) if upright else self._north_up()
        centre = np.array([[size[0] / 2, size[1] / 2]])
        x_factor, y_factor = (gsd_m / frame.metres_per_px(centre)[0]).tolist()
        extent = (0, 0, math.ceil(size[0] / x_factor), math.ceil(size[1] / y_factor))
        return GeoTiffGrid(self, frame.scaled(x_factor, y_factor), gsd_m, extent)

    def dataset(self, overview: int | None = None) -> Any:
        """This thread's handle of the file, or of one of its overviews."""
        handles: dict[int | None, Any] | None = getattr(self._local, "handles", None)
        if handles is None:
            handles = self._local.handles = {}
        if overview not in handles:
            handles[overview] = open_raster(self.path, overview)
            with self._lock:
                self._open.append(handles[overview])
        return handles[overview]

    def close(self) -> None:
        """Close the handles of all threads."""
        with self._lock:
            for dataset in self._open:
                dataset.close()
            self._open.clear()
            self._local = threading.local()

    def _centre_px(self) -> Float64:
        return np.array([[self.size_px[0] / 2, self.size_px[1] / 2]], np.float64)

    def _north_up(self) -> tuple[AffineGeometry, tuple[float, float]]:
        """A grid along the axes around a rotated or mirrored raster, with pixels of its size."""
        x0, dx_col, dx_row, y0, dy_col, dy_row = self.native.geotransform
        corners = _SQUARE * self.size_px
        x = x0 + dx_col * corners[:, 0] + dx_row * corners[:, 1]
        y = y0 + dy_col * corners[:, 0] + dy_row * corners[:, 1]
        step = math.sqrt(abs(dx_col * dy_row - dx_row * dy_col))
        transform = (float(x.min()), step, 0.0, float(y.max()), 0.0, -step)
        size = float(np.ptp(x)) / step, float(np.ptp(y)) / step
        return AffineGeometry(transform, self.native.epsg), size


@dataclass(frozen=True, slots=True)
class GeoTiffGrid:
    """A `PixelGrid` over a GeoTIFF; pixel (0, 0) is its north-west corner."""

    raster: GeoTiffMap
    frame: AffineGeometry
    gsd_m: float
    extent_px: tuple[int, int, int, int]

    @property
    def zoom(self) -> None:
        """A GeoTIFF has no zooms."""
        return None

    def geometry(self, left_px: float, top_px: float) -> AffineGeometry:
        """Geometry of the window there."""
        return self.frame.shifted(left_px, top_px)

    def window_id(self, left_px: int, top_px: int) -> str:
        """The id of the window there; grids of other sampling distances have others."""
        return f"affine/{self.gsd_m:.6g}m/x{left_px}/y{top_px}"

    def read(
        self, left_px: int, top_px: int, width_px: int = WINDOW_PX, height_px: int = WINDOW_PX
    ) -> ReferenceWindow:
        """Read a window; outside the raster and on its empty pixels `valid` is False.

        Raises:
            WindowError: a window without area.
            MapError: a part of the file cannot be read.
        """
        check_size(width_px, height_px)
        image = np.empty((height_px, width_px, 3), np.uint8)
        image[:] = FILL_RGB
        valid = np.zeros((height_px, width_px), np.bool_)
        x1, x2 = max(left_px, 0), min(left_px + width_px, self.extent_px[2])
        y1, y2 = max(top_px, 0), min(top_px + height_px, self.extent_px[3])
        if x1 < x2 and y1 < y2:
            inside = (slice(y1 - top_px, y2 - top_px), slice(x1 - left_px, x2 - left_px))
            picture, opaque = self._warp(x1, y1, x2 - x1, y2 - y1)
            image[inside] = np.where(opaque[:, :, None], picture, np.array(FILL_RGB, np.uint8))
            valid[inside] = opaque
        return ReferenceWindow(
            image=image,
            valid=valid,
            geometry=self.geometry(left_px, top_px),
            window_id=self.window_id(left_px, top_px),
            map_id=self.raster.map_id,
            imagery_ce90_m=self.raster.imagery_ce90_m,
        )

    def _warp(self, left: int, top: int, width: int, height: int) -> tuple[Uint8, Bool]:
        """RGB [H, W, 3] and opacity [H, W] of a part of the raster."""
        reduction = self.gsd_m / self.raster.native_gsd_m
        source = self.raster.dataset(overview_for(self.raster.dataset(), reduction))
        x0, dx_col, dx_row, y0, dy_col, dy_row = self.geometry(left, top).geotransform
        transform = rasterio_library().Affine(dx_col, dx_row, x0, dy_col, dy_row, y0)
        return warp(source, self.raster.bands, source.crs, transform, (width, height))


def _outline(width: int, height: int) -> Float64:
    """Points along the edge of a raster, [N, 2] pixels."""
    along = np.linspace(0, 1, _EDGE_SAMPLES)
    zero, one = np.zeros_like(along), np.ones_like(along)
    x = np.concatenate([along, along, zero, one]) * width
    y = np.concatenate([zero, one, along, along]) * height
    return np.stack([x, y], axis=1)
