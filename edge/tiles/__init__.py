"""Reference windows out of the map formats that fly: MBTiles, PMTiles, XYZ folders, GeoTIFF."""

from edge.tiles.opening import open_map
from edge.tiles.window import PixelGrid, TileMap
from edge.types import FILL_RGB

__all__ = ["FILL_RGB", "PixelGrid", "TileMap", "open_map"]
