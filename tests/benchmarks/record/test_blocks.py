"""Block lengths: what the published rule gives where theory knows the answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from benchmarks.record.blocks import block_length


def ar1(count, phi, seed):
    """[count] of x[i] = phi x[i - 1] + noise, by scipy."""
    return lfilter([1], [1, -phi], np.random.default_rng(seed).normal(size=count + 500))[500:]


def theory(count, phi):
    """The optimal length for AR(1), whose autocovariance is phi^|k| but for a factor.

    In closed form: sum |k| phi^|k| = 2 phi / (1 - phi)^2, sum phi^|k| = (1 + phi) / (1 - phi).
    """
    slope, spread = 2 * phi / (1 - phi) ** 2, (1 + phi) / (1 - phi)
    return (2 * slope**2 / (4 / 3 * spread**2)) ** (1 / 3) * count ** (1 / 3)


@pytest.mark.parametrize("phi", [0.3, 0.6, 0.8])
def test_autocorrelated_series_get_what_theory_gives(phi):
    found = np.median([block_length(ar1(4000, phi, seed)) for seed in range(25)])
    assert 0.75 * theory(4000, phi) < found < 1.35 * theory(4000, phi) + 1


def test_independent_values_stay_single():
    found = [block_length(np.random.default_rng(seed).normal(size=1000)) for seed in range(20)]
    assert np.median(found) <= 2


@pytest.mark.parametrize("values", [np.zeros(1000), np.ones(5), np.arange(3.0)])
def test_constant_and_short_series_stay_single(values):
    assert block_length(values) == 1


@pytest.mark.parametrize("values", [np.arange(1000.0), np.tile([0.0, 1.0], 500)])
def test_no_block_is_longer_than_the_published_bound(values):
    """3 sqrt(n) and n / 3, of a trend and of values that take turns: both hang together."""
    assert 50 < block_length(values) <= np.ceil(3 * np.sqrt(1000))
    assert block_length(values[:30]) <= 10
