"""Where a map is largest: ties, and what is no number."""

from __future__ import annotations

import numpy as np
import pytest

from edge.peaks import largest, peaks


@pytest.mark.parametrize("seed", range(20))
def test_the_largest_are_those_of_a_stable_sort(seed):
    """Few different values, so that many are equal."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, rng.integers(1, 12), 200).astype(np.float32)
    for count in (1, 16, 199, 200):
        wanted = np.argsort(-values, kind="stable")[:count]
        np.testing.assert_array_equal(np.sort(largest(values, count)), np.sort(wanted))


def test_what_is_no_number_comes_first():
    values = np.array([3, np.nan, 5, np.nan, 1, 5], np.float32)
    assert set(largest(values, 1)) == {1}
    assert set(largest(values, 2)) == {1, 3}
    assert set(largest(values, 3)) == {1, 3, 2}
    assert set(largest(values, 5)) == {0, 1, 2, 3, 5}


def test_the_second_peak_lies_beyond_the_neighbourhood_of_the_first():
    maps = np.zeros((3, 9, 9), np.float32)
    maps[0, 4, 4], maps[0, 6, 6], maps[0, 7, 4] = 1.0, 0.9, 0.8  # two cells away, and three
    maps[1, 0, 0], maps[1, 8, 8] = 0.7, 0.7  # the first of equal ones
    maps[2] = -0.5
    kept = maps.copy()
    first, second = peaks(maps)
    np.testing.assert_array_equal(first, np.float32([1.0, 0.7, -0.5]))
    np.testing.assert_array_equal(second, np.float32([0.8, 0.7, -0.5]))
    np.testing.assert_array_equal(maps, kept)
    assert peaks(np.full((1, 3, 3), 0.2, np.float32))[1] == -1.0, "nothing lies beyond"
