"""A cache of encoded windows that is cold, warm, or warm with a stated probability."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np

from benchmarks.record.lines import CacheState
from edge.feature_cache import FeatureCache, PlacedFeature
from edge.tiles.lattice import WindowPlace
from edge.types import ReferenceFeature

_NONE: Mapping[WindowPlace, ReferenceFeature] = MappingProxyType({})
HIT_RATES = {CacheState.COLD: 0.0, CacheState.WARM: 1.0}


class StatedCache:
    """Stands before a `FeatureCache` and lets it forget a window before it is asked for it."""

    def __init__(
        self,
        cache: FeatureCache,
        state: CacheState,
        hit_rate: float,
        seed: int = 0,
        *,
        most: int | None = None,
    ) -> None:
        """Keep a state.

        Args:
            cache: what encodes and keeps.
            state: of the cache.
            hit_rate: of the mixed state, how often a window is at hand.
            seed: of that chance.
            most: how many windows are held; a short flight forth and back would otherwise load
                each of its windows once and never again. None: as many as the cache holds.
        """
        self._cache = cache
        self._hit_rate = HIT_RATES.get(state, hit_rate)
        self._random = np.random.default_rng(seed)
        self._seed = seed
        self._most = most
        self._held: OrderedDict[WindowPlace, None] = OrderedDict()

    def get(self, place: WindowPlace) -> PlacedFeature:
        """See `FeatureCache.get`."""
        if self._random.random() >= self._hit_rate:
            self._cache.forget(place)
        if self._most is not None:
            self._hold(place, self._most)
        return self._cache.get(place)

    def expect(self, places: Iterable[WindowPlace]) -> None:
        """See `FeatureCache.expect`."""
        self._cache.expect(places)

    def in_time(self, place: WindowPlace) -> bool:
        """See `FeatureCache.in_time`."""
        return self._cache.in_time(place)

    def fill(
        self, places: Iterable[WindowPlace], stored: Mapping[WindowPlace, ReferenceFeature] = _NONE
    ) -> None:
        """Have windows at hand before anything is measured, unless none ever is.

        Args:
            places: the windows.
            stored: those that were encoded before; the others are encoded here.
        """
        for place in places if self._hit_rate > 0 else ():
            if place in stored:
                self._cache.hold(place, stored[place])
            else:
                self._cache.get(place)

    def _hold(self, place: WindowPlace, most: int) -> None:
        self._held[place] = None
        self._held.move_to_end(place)
        while len(self._held) > most:
            self._cache.forget(self._held.popitem(last=False)[0])

    def restart(self) -> None:
        """Begin the row of hits and misses again."""
        self._random = np.random.default_rng(self._seed)
