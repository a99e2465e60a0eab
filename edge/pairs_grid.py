"""The map of a pairs file as the pipeline wants it: a few windows, all of which are tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.errors import WindowError
from edge.feature_cache import FeatureCache
from edge.pairs_images import MapWindow
from edge.tiles.lattice import WindowPlace
from edge.types import FILL_RGB, Float64, FramePose, ReferenceWindow
from edge.window_choice import WindowChoice


class PairsGrid:
    """Reads windows of a pairs map: those it was cut into, and for pictures any other part."""

    def __init__(self, windows: Sequence[MapWindow]) -> None:
        """Hold the windows of one map, as `edge.pairs_images.window_for` cuts them.

        Raises:
            WindowError: there are none.
        """
        if not windows:
            raise WindowError(
                "a map without windows",
                expected="at least one window",
                found="none",
                do="check the map of the pairs file",
            )
        self._windows = {place_of(each): each for each in windows}
        self.scale_xy = windows[0].scale_xy

    @property
    def places(self) -> tuple[WindowPlace, ...]:
        """Where the windows lie, in pixels of the resampled map."""
        return tuple(self._windows)

    def read(
        self, left_px: int, top_px: int, width_px: int = 1024, height_px: int = 1024
    ) -> ReferenceWindow:
        """A window of the map; another part of it is put together from the windows."""
        place = WindowPlace(left_px, top_px, width_px, height_px)
        if place in self._windows:
            return self._windows[place].window
        image = np.empty((height_px, width_px, 3), np.uint8)
        image[:] = FILL_RGB
        valid = np.zeros((height_px, width_px), np.bool_)
        for own, each in self._windows.items():
            down, from_row = _shared(own.top_px, own.height_px, top_px, height_px)
            across, from_column = _shared(own.left_px, own.width_px, left_px, width_px)
            image[down, across] = each.window.image[from_row, from_column]
            valid[down, across] = each.window.valid[from_row, from_column]
        first = next(iter(self._windows.values())).window
        name = f"pairs/x{left_px}/y{top_px}"
        return ReferenceWindow(image, valid, None, name, first.map_id, first.imagery_ce90_m)

    def window_id(self, left_px: int, top_px: int) -> str:
        """The id of the window that begins there."""
        for place, each in self._windows.items():
            if (place.left_px, place.top_px) == (left_px, top_px):
                return each.window.window_id
        return f"pairs/x{left_px}/y{top_px}"

    def to_grid(self, map_xy_px: Float64) -> Float64:
        """Pixels of the map as labelled -> pixels of this grid. [N, 2] -> [N, 2]."""
        return np.asarray(np.asarray(map_xy_px, np.float64) * self.scale_xy)


class AllWindows:
    """Offers every window of a pairs map to every frame."""

    def __init__(self, cache: FeatureCache, places: Sequence[WindowPlace]) -> None:
        self._cache = cache
        self._places = tuple(places)

    def choose(self, pose: FramePose) -> WindowChoice:
        """All windows, whatever the pose."""
        return WindowChoice(self._places, self._cache)


def place_of(window: MapWindow) -> WindowPlace:
    """Where a window of a pairs map lies."""
    high, wide = window.window.image.shape[:2]
    return WindowPlace(round(window.offset_xy_px[0]), round(window.offset_xy_px[1]), wide, high)


def _shared(own: int, own_size: int, wanted: int, size: int) -> tuple[slice, slice]:
    """The part of an axis that a window covers: within what is wanted, and within the window."""
    start, stop = max(own, wanted), max(own, wanted, min(own + own_size, wanted + size))
    return slice(start - wanted, stop - wanted), slice(start - own, stop - own)
