"""Encoded windows at hand: from the store, else encoded on demand, the last few kept in memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from edge.tiles.lattice import WindowPlace
from edge.types import Array, ReferenceFeature, ReferenceWindow

CAPACITY = 12  # windows; about 8 MB each with the local features of the alignment, 5 MB in INT8


class Encoder(Protocol):
    """The part of a `Localizer` that is needed here."""

    def encode(self, window: ReferenceWindow) -> ReferenceFeature:
        """Run the reference encoder on one window."""
        ...


class StoredFeatures(Protocol):
    """The part of a `FeatureStore` that is needed here."""

    def __contains__(self, window_id: str) -> bool: ...

    def read(self, window_id: str) -> ReferenceFeature:
        """A stored window."""
        ...


class ReadsAhead(Protocol):
    """The part of a `ReadAhead` that is needed here."""

    def expect(self, window_ids: Iterable[str]) -> None:
        """Windows that may be asked for soon."""
        ...


class WindowReader(Protocol):
    """The part of a `PixelGrid` that is needed here."""

    def window_id(self, left_px: int, top_px: int) -> str:
        """The id that a window read there has, without reading it."""
        ...

    def read(
        self, left_px: int, top_px: int, width_px: int = ..., height_px: int = ...
    ) -> ReferenceWindow:
        """Read a window."""
        ...


@dataclass(frozen=True, slots=True)
class PlacedFeature:
    """An encoded window with its place in the grid, and what it cost to get."""

    place: WindowPlace
    feature: ReferenceFeature
    window_ms: float  # read from the store, or from the map
    encode_ms: float | None = None  # None: it was at hand or in the store


class FeatureCache:
    """Features by place, the least recently used one forgotten first. One thread at a time."""

    def __init__(
        self,
        encoder: Encoder,
        grid: WindowReader,
        *,
        describe: Callable[[ReferenceWindow], Mapping[str, Array]] | None = None,
        store: StoredFeatures | None = None,
        ahead: ReadsAhead | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        """Keep features of one grid.

        Args:
            encoder: makes those that are in no store.
            grid: where windows are read.
            describe: adds the `align_*` tensors to a window encoded here; None: no alignment.
            store: is asked first.
            ahead: is told which stored windows may come next; None: nobody reads ahead.
            capacity: how many to keep in memory.
        """
        self._grid = grid
        self._encoder = encoder
        self._describe = describe
        self._store = store
        self._ahead = ahead
        self._capacity = capacity
        self._held: OrderedDict[WindowPlace, ReferenceFeature] = OrderedDict()

    def get(self, place: WindowPlace) -> PlacedFeature:
        """The feature of a place.

        Raises:
            MapError: the map broke since it was opened.
            FeatureStoreError: the stored window is corrupt.
        """
        start_s = time.perf_counter()
        feature = self._held.get(place)
        encode_ms = None
        if feature is None:
            feature = self._stored(place)
        window_ms = 1e3 * (time.perf_counter() - start_s)
        if feature is None:
            window = self._grid.read(place.left_px, place.top_px, place.width_px, place.height_px)
            window_ms = 1e3 * (time.perf_counter() - start_s)
            feature = self._encode(window)
            encode_ms = 1e3 * (time.perf_counter() - start_s) - window_ms
        self.hold(place, feature)
        return PlacedFeature(place, feature, window_ms, encode_ms)

    def hold(self, place: WindowPlace, feature: ReferenceFeature) -> None:
        """Keep a feature, also one that was made elsewhere, as the last one asked for."""
        self._held[place] = feature
        self._held.move_to_end(place)
        while len(self._held) > self._capacity:
            self._held.popitem(last=False)

    def expect(self, places: Iterable[WindowPlace]) -> None:
        """Places that may be asked for soon; those that are not at hand are read ahead."""
        if self._ahead is not None:
            absent = (place for place in places if place not in self._held)
            self._ahead.expect(self._grid.window_id(at.left_px, at.top_px) for at in absent)

    def in_time(self, place: WindowPlace) -> bool:
        """Whether a window is worth asking for: in a live run with a store, one that has it.

        On a CPU to encode one takes seconds, the first time, in which a camera's frames go
        unanswered.
        """
        if self._ahead is None or self._store is None or place in self._held:
            return True
        return self._grid.window_id(place.left_px, place.top_px) in self._store

    def forget(self, place: WindowPlace) -> None:
        """Let go of the feature of a place, if it is held."""
        self._held.pop(place, None)

    def _stored(self, place: WindowPlace) -> ReferenceFeature | None:
        if self._store is None:
            return None
        window_id = self._grid.window_id(place.left_px, place.top_px)
        return self._store.read(window_id) if window_id in self._store else None

    def _encode(self, window: ReferenceWindow) -> ReferenceFeature:
        feature = self._encoder.encode(window)
        if self._describe is None:
            return feature
        return replace(feature, tensors={**feature.tensors, **self._describe(window)})
