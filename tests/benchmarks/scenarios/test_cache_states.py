"""Cold, warm and mixed, by what is encoded."""

from __future__ import annotations

import pytest

from benchmarks.record.lines import CacheState
from benchmarks.scenarios.cache_states import StatedCache
from edge.feature_cache import FeatureCache
from edge.tiles.lattice import WindowPlace


@pytest.fixture
def rig(parts):
    """`cache(state, ...)` and `encoded`, how many windows were."""
    localizer, grid = parts.FakeLocalizer(), parts.PlainGrid()

    class Rig:
        places = tuple(WindowPlace(parts.LEFT_PX + 512 * n, parts.TOP_PX, 64, 64) for n in range(3))

        @property
        def encoded(self):
            return len(localizer.encoded)

        @staticmethod
        def cache(state, hit_rate=0.5, **how):
            return StatedCache(FeatureCache(localizer, grid), state, hit_rate, 1, **how)

    return Rig()


def test_cold_encodes_every_time_even_after_a_filling(rig):
    cache = rig.cache(CacheState.COLD)
    cache.fill(rig.places)
    assert rig.encoded == 0, "what is forgotten at once is not worth encoding"
    for _ in range(5):
        assert cache.get(rig.places[0]).encode_ms is not None
    assert rig.encoded == 5


def test_warm_encodes_nothing_after_its_filling(rig):
    cache = rig.cache(CacheState.WARM)
    cache.fill(rig.places)
    assert rig.encoded == 3
    for place in rig.places * 4:
        assert cache.get(place).encode_ms is None
    assert rig.encoded == 3


def test_what_was_encoded_before_is_held_and_not_encoded_again(rig):
    before = rig.cache(CacheState.WARM)
    stored = {place: before.get(place).feature for place in rig.places[:2]}
    assert rig.encoded == 2
    cache = rig.cache(CacheState.WARM)
    cache.fill(rig.places, stored)
    assert rig.encoded == 3, "the third one alone"
    assert all(cache.get(place).feature is stored[place] for place in rig.places[:2])
    assert rig.encoded == 3


@pytest.mark.parametrize("hit_rate", [0.0, 0.3, 0.9, 1.0])
def test_mixed_misses_as_often_as_is_stated(rig, hit_rate):
    cache = rig.cache(CacheState.MIXED, hit_rate)
    for place in rig.places:
        cache.get(place)
    before, queries = rig.encoded, 600
    for n in range(queries):
        cache.get(rig.places[n % 3])
    missed = (rig.encoded - before) / queries
    assert missed == pytest.approx(1 - hit_rate, abs=0.06)


def test_a_restart_repeats_the_same_hits_and_misses(rig):
    cache = rig.cache(CacheState.MIXED)
    cache.fill(rig.places[:1])

    def row():
        return [cache.get(rig.places[0]).encode_ms is None for _ in range(40)]

    cache.restart()
    first = row()
    assert True in first and False in first
    cache.restart()
    assert row() == first


def test_more_windows_than_are_held_come_anew(rig):
    cache = rig.cache(CacheState.WARM, most=2)
    for place in rig.places:
        cache.get(place)
    assert rig.encoded == 3
    cache.get(rig.places[2])
    cache.get(rig.places[1])
    assert rig.encoded == 3, "the two last ones are held"
    cache.get(rig.places[0])
    assert rig.encoded == 4
