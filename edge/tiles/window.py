"""What every map offers, whatever its format: an endless plane of pixels to read windows from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from edge.errors import MapError, UsageError, WindowError
from edge.types import ReferenceWindow, WindowGeometry

WINDOW_PX = 1024


class PixelGrid(Protocol):
    """A map at one ground sampling distance. The plane has no end; imagery lies in `extent_px`."""

    @property
    def gsd_m(self) -> float:
        """Ground size of a pixel at the centre of the imagery."""
        ...

    @property
    def extent_px(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the imagery. Right may exceed the world (antimeridian)."""
        ...

    @property
    def zoom(self) -> int | None:
        """Zoom of a tile map; None for a grid of its own."""
        ...

    def geometry(self, left_px: float, top_px: float) -> WindowGeometry:
        """Geometry of the window whose top left corner is there."""
        ...

    def window_id(self, left_px: int, top_px: int) -> str:
        """The id that a window read there has, without reading it."""
        ...

    def read(
        self, left_px: int, top_px: int, width_px: int = WINDOW_PX, height_px: int = WINDOW_PX
    ) -> ReferenceWindow:
        """Read a window; what the map does not have is masked in `valid`, wherever it is."""
        ...


class TileMap(Protocol):
    """An opened map, safe to use from several threads."""

    @property
    def kind(self) -> str:
        """Name of the format, for people."""
        ...

    @property
    def map_id(self) -> str:
        """Identity of the map, a sha256; see `edge.tiles.identity` for what it covers."""
        ...

    @property
    def imagery_ce90_m(self) -> float | None:
        """Horizontal accuracy of the imagery, 90 % circle; None where the map does not say."""
        ...

    @property
    def bounds_lon_lat_deg(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the imagery; west > east across the antimeridian."""
        ...

    def grid(self, gsd_m: float) -> PixelGrid:
        """The pixels at, or of the zoom nearest to, a ground sampling distance.

        Raises:
            MapError: the nearest zoom is more than twice as coarse or as fine.
        """
        ...

    def close(self) -> None:
        """Release files and memory."""
        ...


def check_size(width_px: int, height_px: int) -> None:
    """Refuse a window without area.

    Raises:
        WindowError: a width or height below one pixel.
    """
    if width_px < 1 or height_px < 1:
        raise WindowError(
            "a window has no area",
            expected="a width and height of at least 1 px",
            found=f"{width_px} x {height_px} px",
            do="ask for a larger window",
        )


def check_gsd(gsd_m: float) -> None:
    """Refuse a ground sampling distance that is none.

    Raises:
        UsageError: not a positive number.
    """
    if not (math.isfinite(gsd_m) and gsd_m > 0):
        raise UsageError(
            "a ground sampling distance cannot be used",
            expected="a positive number of metres per pixel",
            found=str(gsd_m),
            do="give the ground sampling distance that the bundle states",
        )


def stated_ce90_m(path: Path, metadata: Mapping[str, str]) -> float | None:
    """The accuracy that the metadata of a map state; None where they do not.

    Raises:
        MapError: `imagery_ce90_m` is there but no length.
    """
    text = metadata.get("imagery_ce90_m")
    if text is None or not text.strip():
        return None
    try:
        value = float(text)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(text)
    except ValueError as error:
        raise MapError(
            f"the metadata of {path} are broken",
            expected="imagery_ce90_m: metres, zero or more",
            found=repr(text),
            do="correct the metadata, or import the map again with --imagery-ce90-m",
        ) from error
    return value
