"""Where the pixels of a window are on the Earth, in closed form and float64.

Two geometries: `MercatorGeometry` (tiles of the web) and `AffineGeometry` (a GeoTIFF). Lengths are
those of the WGS84 ellipsoid, not of the sphere: `cos(latitude)` alone is wrong by up to 0.7 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from edge.errors import GeoreferenceError
from edge.transverse_mercator import (
    SEMI_MAJOR_M,
    WGS84_FLATTENING,
    TransverseMercator,
    grid_of_epsg,
    wrap_lon_deg,
)
from edge.types import Float64, WindowGeometry

TILE_PX = 256
SUPPORTED_EPSG = "4326, 3857, 32601 to 32660 and 32701 to 32760 (UTM), 2180"
CE90_PER_SIGMA = math.sqrt(-2 * math.log(0.1))  # 2.146: radius of 90 % of a round normal spread

_E2 = WGS84_FLATTENING * (2 - WGS84_FLATTENING)
CIRCUMFERENCE_M = 2 * math.pi * SEMI_MAJOR_M  # side of the web-mercator plane
_MIDDLE_PX = 512.0  # of a usual window: positions are unwrapped around it


@dataclass(frozen=True, slots=True)
class MercatorGeometry:
    """A window of the web-mercator plane; `left_px`, `top_px` are world pixels of 256-px tiles."""

    zoom: int
    left_px: float
    top_px: float

    @property
    def world_px(self) -> float:
        """Width and height of the world at this zoom."""
        return float(TILE_PX * 2**self.zoom)

    def lon_lat_deg(self, xy_px: Float64) -> Float64:
        """WGS84 of window pixels, longitude in [-180, 180). [N, 2] -> [N, 2]."""
        xy = np.asarray(xy_px, np.float64)
        lon = (self.left_px + xy[:, 0]) / self.world_px * 360.0 - 180.0
        lat = np.degrees(np.arctan(np.sinh(self._angle(xy))))
        return np.stack([wrap_lon_deg(lon), lat], axis=1)

    def xy_px(self, lon_lat_deg: Float64) -> Float64:
        """Window pixels of WGS84, on the nearest copy of the world. [N, 2] -> [N, 2]."""
        lon_lat = np.asarray(lon_lat_deg, np.float64)
        x = (lon_lat[:, 0] + 180.0) / 360.0 * self.world_px - self.left_px
        middle = min(_MIDDLE_PX, self.world_px / 2)
        x = x - self.world_px * np.floor((x - middle) / self.world_px + 0.5)
        angle = np.arcsinh(np.tan(np.radians(lon_lat[:, 1])))
        y = (0.5 - angle / (2 * math.pi)) * self.world_px - self.top_px
        return np.stack([x, y], axis=1)

    def metres_per_px(self, xy_px: Float64) -> Float64:
        """Ground size of one pixel, (east-west, north-south) metres. [N, 2] -> [N, 2]."""
        xy = np.asarray(xy_px, np.float64)
        lat = np.arctan(np.sinh(self._angle(xy)))
        return _web_mercator_metres(lat) * (CIRCUMFERENCE_M / self.world_px)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `geometry_from_dict`."""
        corner = {"left_px": float(self.left_px), "top_px": float(self.top_px)}
        return {"kind": "mercator", "zoom": self.zoom, **corner}

    def _angle(self, xy: Float64) -> Float64:
        turned = math.pi * (1.0 - 2.0 * (self.top_px + xy[:, 1]) / self.world_px)
        return np.asarray(turned, np.float64)


@dataclass(frozen=True, slots=True)
class AffineGeometry:
    """A window in a projected or geographic grid.

    `geotransform` is in GDAL's order (x0, dx_col, dx_row, y0, dy_col, dy_row); x is easting or
    longitude, y northing or latitude, whatever axis order the EPSG register states.
    """

    geotransform: tuple[float, float, float, float, float, float]
    epsg: int

    def __post_init__(self) -> None:
        """Refuse what cannot be a georeference."""
        if self.epsg not in (4326, 3857) and grid_of_epsg(self.epsg) is None:
            raise unsupported_epsg(self.epsg)
        values = tuple(float(value) for value in self.geotransform)
        if len(values) != 6 or not all(map(math.isfinite, values)) or _determinant(values) == 0:
            raise GeoreferenceError(
                "a geotransform cannot be inverted",
                expected="x0, dx_col, dx_row, y0, dy_col, dy_row: finite, spanning a plane",
                found=str(self.geotransform),
                do="check the georeference of the map",
            )
        object.__setattr__(self, "geotransform", values)

    def lon_lat_deg(self, xy_px: Float64) -> Float64:
        """WGS84 of window pixels, longitude in [-180, 180). [N, 2] -> [N, 2]."""
        plane = self._plane(np.asarray(xy_px, np.float64))
        grid = grid_of_epsg(self.epsg)
        if grid is not None:
            return grid.inverse(plane)
        if self.epsg == 4326:
            return np.stack([wrap_lon_deg(plane[:, 0]), plane[:, 1]], axis=1)
        lon = np.degrees(plane[:, 0] / SEMI_MAJOR_M)
        lat = np.degrees(np.arctan(np.sinh(plane[:, 1] / SEMI_MAJOR_M)))
        return np.stack([wrap_lon_deg(lon), lat], axis=1)

    def xy_px(self, lon_lat_deg: Float64) -> Float64:
        """Window pixels of WGS84. [N, 2] -> [N, 2]; may lie outside the window."""
        lon_lat = np.asarray(lon_lat_deg, np.float64)
        x0, dx_col, dx_row, y0, dy_col, dy_row = self.geotransform
        x, y = self._from_wgs84(lon_lat).T
        determinant = _determinant(self.geotransform)
        column = ((x - x0) * dy_row - (y - y0) * dx_row) / determinant
        row = ((y - y0) * dx_col - (x - x0) * dy_col) / determinant
        return np.stack([column, row], axis=1)

    def metres_per_px(self, xy_px: Float64) -> Float64:
        """Ground length of one step along a row and down a column, metres. [N, 2] -> [N, 2]."""
        xy = np.asarray(xy_px, np.float64)
        lon_lat = self.lon_lat_deg(xy)
        lat = np.radians(lon_lat[:, 1])
        grid: TransverseMercator | None = grid_of_epsg(self.epsg)
        if grid is not None:
            ground = np.repeat(1.0 / grid.scale_at(lon_lat)[:, None], 2, axis=1)
        elif self.epsg == 4326:
            meridian, parallel = _radii_m(lat)
            ground = np.radians(np.stack([parallel * np.cos(lat), meridian], axis=1))
        else:
            ground = _web_mercator_metres(lat)
        _, dx_col, dx_row, _, dy_col, dy_row = self.geotransform
        across = np.hypot(dx_col * ground[:, 0], dy_col * ground[:, 1])
        down = np.hypot(dx_row * ground[:, 0], dy_row * ground[:, 1])
        return np.stack([across, down], axis=1)

    def shifted(self, left_px: float, top_px: float) -> AffineGeometry:
        """The same grid with its origin moved to pixel (left_px, top_px)."""
        x, y = self._plane(np.array([[left_px, top_px]], np.float64))[0]
        _, dx_col, dx_row, _, dy_col, dy_row = self.geotransform
        return AffineGeometry((float(x), dx_col, dx_row, float(y), dy_col, dy_row), self.epsg)

    def scaled(self, x_factor: float, y_factor: float) -> AffineGeometry:
        """The same ground with pixels `x_factor` times as wide and `y_factor` times as high."""
        x0, dx_col, dx_row, y0, dy_col, dy_row = self.geotransform
        wide, high = (dx_col * x_factor, dy_col * x_factor), (dx_row * y_factor, dy_row * y_factor)
        return AffineGeometry((x0, wide[0], high[0], y0, wide[1], high[1]), self.epsg)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `geometry_from_dict`."""
        return {"kind": "affine", "geotransform": list(self.geotransform), "epsg": self.epsg}

    def _plane(self, xy: Float64) -> Float64:
        x0, dx_col, dx_row, y0, dy_col, dy_row = self.geotransform
        x = x0 + dx_col * xy[:, 0] + dx_row * xy[:, 1]
        y = y0 + dy_col * xy[:, 0] + dy_row * xy[:, 1]
        return np.stack([x, y], axis=1)

    def _from_wgs84(self, lon_lat: Float64) -> Float64:
        grid = grid_of_epsg(self.epsg)
        if grid is not None:
            return grid.forward(lon_lat)
        if self.epsg == 4326:
            x, y, period = lon_lat[:, 0], lon_lat[:, 1], 360.0
        else:
            x = np.radians(lon_lat[:, 0]) * SEMI_MAJOR_M
            y = np.arcsinh(np.tan(np.radians(lon_lat[:, 1]))) * SEMI_MAJOR_M
            period = CIRCUMFERENCE_M
        middle = self._plane(np.array([[_MIDDLE_PX, _MIDDLE_PX]]))[0, 0]
        return np.stack([x - period * np.floor((x - middle) / period + 0.5), y], axis=1)


def geometry_from_dict(values: Mapping[str, Any]) -> WindowGeometry:
    """The geometry whose `to_dict` made these values.

    Raises:
        GeoreferenceError: an unknown kind, a missing value, or an unsupported EPSG code.
    """
    try:
        if values["kind"] == "mercator":
            left, top = float(values["left_px"]), float(values["top_px"])
            return MercatorGeometry(int(values["zoom"]), left, top)
        if values["kind"] == "affine":
            x0, dx_col, dx_row, y0, dy_col, dy_row = map(float, values["geotransform"])
            transform = (x0, dx_col, dx_row, y0, dy_col, dy_row)
            return AffineGeometry(transform, int(values["epsg"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _not_a_geometry(values) from error
    raise _not_a_geometry(values)


def cvogl_geometry(file_name: str, size_px: int = 1024) -> AffineGeometry:
    """Georeference of a CVOGL satellite picture from its name, centreE_centreN_extent_EPSG.jpg.

    The extent is the ground length of the whole side in metres; the centre is the centre of the
    picture, pixel corner (size_px / 2, size_px / 2).

    Raises:
        GeoreferenceError: a name of another form, or an unsupported EPSG code.
    """
    try:
        east, north, extent_m, epsg = map(float, PurePath(file_name).stem.split("_"))
        if not (extent_m > 0 and size_px > 0 and epsg == int(epsg)):
            raise ValueError(f"extent {extent_m}, size {size_px}, EPSG {epsg}")
    except (ValueError, OverflowError) as error:
        raise GeoreferenceError(
            "a file name holds no georeference",
            expected="centreE_centreN_extent_EPSG.jpg, such as 547433_5280574_512_32610.jpg",
            found=PurePath(file_name).name,
            do="keep the names of the data set's satellite pictures",
        ) from error
    step_m = extent_m / size_px
    corner = east - extent_m / 2, north + extent_m / 2
    return AffineGeometry((corner[0], step_m, 0.0, corner[1], 0.0, -step_m), int(epsg))


def distance_m(
    a_lon_lat_deg: Float64 | Sequence[float], b_lon_lat_deg: Float64 | Sequence[float]
) -> Any:
    """Metres on the ellipsoid between positions, [..., 2] each; a float for two single positions.

    The chord, lengthened to its arc: within 1 mm up to 10 km and 1e-5 up to 500 km; not for more.
    """
    a, b = (np.asarray(value, np.float64) for value in (a_lon_lat_deg, b_lon_lat_deg))
    chord = np.linalg.norm(_earth_centred_m(a) - _earth_centred_m(b), axis=-1)
    arc = 2 * SEMI_MAJOR_M * np.arcsin(np.minimum(chord / (2 * SEMI_MAJOR_M), 1.0))
    return float(arc) if arc.ndim == 0 else arc


def error_radius_m(imagery_ce90_m: float | None, sigma_m: Sequence[float]) -> float:
    """Radius of the circle that holds 90 % of the errors, from independent terms.

    Args:
        imagery_ce90_m: 90 % circle of the map itself; None (the map does not say) adds nothing.
        sigma_m: one-sigma terms per axis in metres (box, click, stride, prior).
    """
    spread = CE90_PER_SIGMA * math.sqrt(sum(float(sigma) ** 2 for sigma in sigma_m))
    return math.hypot(spread, imagery_ce90_m or 0.0)


def unsupported_epsg(epsg: int | None, found: str | None = None) -> GeoreferenceError:
    """The error for a coordinate system that the runtime does not know."""
    return GeoreferenceError(
        f"the coordinate system EPSG:{epsg} is not supported" if epsg else "no EPSG code is known",
        expected=f"EPSG {SUPPORTED_EPSG}",
        found=found or f"EPSG:{epsg}",
        do="reproject the map: tilefix tiles import MAP.tif --out map.mbtiles",
    )


def _determinant(geotransform: Sequence[float]) -> float:
    return geotransform[1] * geotransform[5] - geotransform[2] * geotransform[4]


def _radii_m(lat_rad: Float64) -> tuple[Float64, Float64]:
    """Radii of curvature along the meridian and across it."""
    w2 = 1 - _E2 * np.sin(lat_rad) ** 2
    return SEMI_MAJOR_M * (1 - _E2) / w2**1.5, SEMI_MAJOR_M / np.sqrt(w2)


def _web_mercator_metres(lat_rad: Float64) -> Float64:
    """Ground metres of one web-mercator metre, (east-west, north-south). [N] -> [N, 2]."""
    meridian, parallel = _radii_m(lat_rad)
    cosine = np.cos(lat_rad) / SEMI_MAJOR_M
    return np.stack([parallel * cosine, meridian * cosine], axis=1)


def _earth_centred_m(lon_lat_deg: Float64) -> Float64:
    lon, lat = np.radians(lon_lat_deg[..., 0]), np.radians(lon_lat_deg[..., 1])
    _, parallel = _radii_m(lat)
    x, y = parallel * np.cos(lat) * np.cos(lon), parallel * np.cos(lat) * np.sin(lon)
    return np.stack([x, y, parallel * (1 - _E2) * np.sin(lat)], axis=-1)


def _not_a_geometry(values: Mapping[str, Any]) -> GeoreferenceError:
    return GeoreferenceError(
        "stored values do not describe a window geometry",
        expected="kind mercator (zoom, left_px, top_px) or kind affine (geotransform, epsg)",
        found=repr(dict(values)),
        do="make the file that holds them again",
    )
