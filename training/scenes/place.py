"""Where a town lies on the Earth, and its map as tiles of the web-mercator plane.

East and north metres are laid on mercator pixels with the ellipsoid's scale at the town's middle.
At 47 degrees the scale changes by 5e-5 over 300 m, so places are right to 1 cm within that.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.geodesy import TILE_PX, MercatorGeometry
from edge.tiles.mbtiles_writer import MBTilesWriter
from training.scenes.camera import ParallelCamera
from training.scenes.render import RenderedMap, render_camera
from training.scenes.season import Appearance
from training.scenes.town import Town

Float64 = NDArray[np.float64]
Uint8 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TownPlace:
    """A town's middle on the Earth, and the zoom of its map."""

    lon_deg: float
    lat_deg: float
    zoom: int = 19

    @property
    def world(self) -> MercatorGeometry:
        """The whole mercator plane at the zoom."""
        return MercatorGeometry(self.zoom, 0.0, 0.0)

    @property
    def middle_px(self) -> Float64:
        """World pixel of the middle, from the antimeridian and the north. [2]"""
        x, y = self.world.xy_px(np.array([[self.lon_deg, self.lat_deg]]))[0].tolist()
        return np.array([x % self.world.world_px, y])  # the geometry may answer on another copy

    @property
    def px_m(self) -> Float64:
        """Ground size of a pixel at the middle, (east-west, north-south) metres. [2]"""
        return np.asarray(self.world.metres_per_px(self.middle_px[None])[0])

    def lon_lat_deg(self, east_north_m: Float64) -> Float64:
        """Town metres [N, 2] -> WGS84 degrees [N, 2]."""
        offset = np.asarray(east_north_m, np.float64) / self.px_m * np.array([1.0, -1.0])
        return self.world.lon_lat_deg(self.middle_px + offset)

    def east_north_m(self, world_px: Float64) -> Float64:
        """World pixels [N, 2] -> town metres [N, 2]."""
        offset = np.asarray(world_px, np.float64) - self.middle_px
        return np.asarray(offset * self.px_m * np.array([1.0, -1.0]))


@dataclass(frozen=True, slots=True)
class TileSheet:
    """A rectangle of whole tiles; rows count from the north."""

    zoom: int
    first_column: int
    first_row: int
    columns: int
    rows: int

    @staticmethod
    def around(place: TownPlace, extent_m: float) -> TileSheet:
        """The whole tiles that cover a square of `extent_m` around the place."""
        half = extent_m / 2 / place.px_m
        left, top = np.floor((place.middle_px - half) / TILE_PX).astype(int).tolist()
        right, bottom = np.floor((place.middle_px + half) / TILE_PX).astype(int).tolist()
        return TileSheet(place.zoom, left, top, right - left + 1, bottom - top + 1)

    @property
    def left_top_px(self) -> tuple[int, int]:
        """World pixel of the north-west corner."""
        return self.first_column * TILE_PX, self.first_row * TILE_PX

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height."""
        return self.columns * TILE_PX, self.rows * TILE_PX

    @property
    def geometry(self) -> MercatorGeometry:
        """Pixels of the sheet <-> WGS84."""
        left, top = self.left_top_px
        return MercatorGeometry(self.zoom, float(left), float(top))


def render_sheet(
    town: Town, appearance: Appearance, place: TownPlace, sheet: TileSheet
) -> RenderedMap:
    """The town's orthophoto on the pixels of the sheet; boxes are in pixels of the sheet."""
    west, north = place.east_north_m(np.array([sheet.left_top_px], np.float64))[0].tolist()
    gsd, gsd_north = place.px_m.tolist()
    width, height = sheet.size_px
    camera = ParallelCamera(west, north, gsd, width, height, stretch=gsd_north / gsd)
    return render_camera(town, appearance, camera)


def write_sheet(
    path: Path, image: Uint8, sheet: TileSheet, name: str, imagery_ce90_m: float, quality: int
) -> None:
    """Cut an image [rows * 256, columns * 256, 3] into JPEG tiles of an MBTiles file.

    Raises:
        OutputError: the file cannot be written.
    """
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    metadata = {"name": name, "imagery_ce90_m": repr(imagery_ce90_m), "version": "1"}
    with MBTilesWriter(path, metadata, replace=True) as writer:
        for row in range(sheet.rows):
            for column in range(sheet.columns):
                y, x = row * TILE_PX, column * TILE_PX
                tile = np.ascontiguousarray(image[y : y + TILE_PX, x : x + TILE_PX, ::-1])
                _, stream = cv2.imencode(".jpg", tile, flags)
                place = (sheet.zoom, sheet.first_column + column, sheet.first_row + row)
                writer.put(*place, stream.tobytes())
