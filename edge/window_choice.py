"""Which windows a frame may lie in, by its position and the lattice, the likeliest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Protocol

import numpy as np

from edge.errors import WindowError
from edge.feature_cache import FeatureCache, PlacedFeature
from edge.tiles.lattice import WindowPlace, all_windows, around, count_windows, nearest, within
from edge.tiles.window import WINDOW_PX, PixelGrid
from edge.types import Bool, Float32, FramePose, ReferenceFeature

MOST_WINDOWS = 16  # tried for one frame
MOST_AHEAD = 12  # expected after it: those around four windows in a square
EDGE_PX = 48  # a click that is expected nearer to the edge of a window belongs to the next one
TIGHT_EDGE_PX = 16  # the same, where it would draw a second window into a hurried frame


class WindowChoice:
    """The windows of one frame. Features are fetched when they are used, and the time is summed."""

    def __init__(
        self,
        places: Sequence[WindowPlace],
        cache: FeatureCache,
        *,
        elsewhere: Callable[[tuple[float, float]], WindowPlace | None] | None = None,
        note: str = "",
    ) -> None:
        """Offer windows.

        Args:
            places: the likeliest first.
            cache: where their features are.
            elsewhere: the window of a position that none of `places` holds; None: there is none.
            note: for people.
        """
        self.places = tuple(places)
        self.note = note
        self.window_ms = 0.0
        self.encode_ms: float | None = None  # None: nothing had to be encoded
        self._cache = cache
        self._elsewhere = elsewhere
        self._fetched: dict[WindowPlace, PlacedFeature] = {}

    @property
    def fetch_ms(self) -> float:
        """Time spent on features so far."""
        return self.window_ms + (self.encode_ms or 0.0)

    def feature(self, place: WindowPlace) -> ReferenceFeature:
        """The feature of a window, whether it is one of `places` or not.

        Raises:
            MapError, FeatureStoreError: see `FeatureCache.get`.
        """
        if place not in self._fetched:
            found = self._cache.get(place)
            self._fetched[place] = found
            self.window_ms += found.window_ms
            if found.encode_ms is not None:
                self.encode_ms = (self.encode_ms or 0.0) + found.encode_ms
        return self._fetched[place].feature

    @property
    def used(self) -> dict[str, WindowPlace]:
        """Id and place of every window whose feature was asked for."""
        return {found.feature.window_id: place for place, found in self._fetched.items()}

    def homes(
        self, xy_px: Float32, known: Bool, base: WindowPlace, *, together: bool
    ) -> list[WindowPlace | None]:
        """The windows of N pixels of `base` (see `home`).

        Args:
            xy_px: [N, 2].
            known: [N]; an unknown pixel goes with `base`, or with the others.
            base: the window that the pixels are of.
            together: one window for all where one holds them all. Every further window is a further
                run of the localizer graph, nearly all of which is spent on the frame; windows
                overlap by half, so that one is mostly enough.
        """
        points = xy_px.tolist()
        found = [
            self.home(point, base) if is_known else base
            for point, is_known in zip(points, known.tolist(), strict=True)
        ]
        apart = dict.fromkeys(place for place in found if place is not None)
        if not together or len(apart) < 2:
            return found
        there = [p for p, k, at in zip(points, known.tolist(), found, strict=True) if k and at]
        for edge_px in (EDGE_PX, TIGHT_EDGE_PX):
            for place in (base, *self.places, *apart):
                if all(_holds(place, point, base, edge_px) for point in there):
                    return [None if at is None else place for at in found]
        return found

    def home(self, xy_px: Sequence[float], base: WindowPlace) -> WindowPlace | None:
        """The window for a pixel of `base`: that one, else one that holds it well inside.

        Where that one would have to be encoded in the midst of a live run, `base` has to do: what
        it does not show is then found not to be here. None: the pixel lies outside the map.
        """
        for place in (base, *self.places):
            if _holds(place, xy_px, base) and (place == base or self._cache.in_time(place)):
                return place
        geometry = self.feature(base).geometry
        if geometry is None or self._elsewhere is None:
            return base
        lon, lat = geometry.lon_lat_deg(np.array([xy_px], np.float64))[0].tolist()
        other = self._elsewhere((lon, lat))
        return other if other is None or self._cache.in_time(other) else base


def _holds(
    place: WindowPlace, xy_px: Sequence[float], base: WindowPlace, edge_px: float = EDGE_PX
) -> bool:
    """Whether a pixel of `base` lies inside a window, so far from its edge."""
    x = xy_px[0] + base.left_px - place.left_px
    y = xy_px[1] + base.top_px - place.top_px
    across = edge_px <= x <= place.width_px - edge_px
    return across and edge_px <= y <= place.height_px - edge_px


class WindowSupply(Protocol):
    """Offers the windows of a frame."""

    def choose(self, pose: FramePose) -> WindowChoice:
        """The windows that a frame of this pose may lie in.

        Raises:
            WindowError: there are none, or too many.
        """
        ...


class LatticeWindows:
    """The windows of a map on its lattice."""

    def __init__(self, cache: FeatureCache, grid: PixelGrid, size_px: int = WINDOW_PX) -> None:
        self._cache = cache
        self._grid = grid
        self._size_px = size_px

    def choose(self, pose: FramePose) -> WindowChoice:
        """The window nearest to the position, or with a sigma all within two sigmas.

        Without a position all windows of the map, if these are few.

        Raises:
            WindowError: the position lies outside the map, or there is none and the map is large.
        """
        position, note = pose.lon_lat_deg, ""
        if position is None:
            if count_windows(self._grid, self._size_px) > MOST_WINDOWS:
                raise WindowError(
                    "no position is known for this frame",
                    expected=f"a position, for a map of more than {MOST_WINDOWS} windows",
                    found="neither telemetry nor --position says one",
                    do="give --position LON,LAT,sigma_m or --telemetry FILE",
                )
            places = tuple(all_windows(self._grid, self._size_px))
        elif pose.sigma_m is None:
            places = (nearest(self._grid, position, self._size_px),)
        else:
            places = within(self._grid, position, pose.sigma_m, size_px=self._size_px)
            if len(places) > MOST_WINDOWS:
                note = f"{len(places)} windows within two sigma, the nearest {MOST_WINDOWS} tried"
        places = places[:MOST_WINDOWS]
        # Its own windows last: this frame reads those that are not there itself, and at once.
        near = islice(around(self._grid, places, position), MOST_AHEAD)
        self._cache.expect(chain(near, places))
        return WindowChoice(places, self._cache, elsewhere=self._elsewhere, note=note)

    def _elsewhere(self, lon_lat_deg: tuple[float, float]) -> WindowPlace | None:
        try:
            return nearest(self._grid, lon_lat_deg, self._size_px)
        except WindowError:
            return None
