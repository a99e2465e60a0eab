"""Thresholds against slow and independent ways to the same."""

from __future__ import annotations

import numpy as np
import pytest
from made_histograms import DISTRIBUTIONS, histogram_of
from scipy import stats

from calibration.ranges.histogram import COARSE_BINS, CoarseHistogram
from calibration.ranges.methods import (
    FIRST,
    SMOOTHING,
    entropies,
    entropy,
    minmax,
    mse,
    percentile,
    squared_errors,
)


def slow_divergence(counts: np.ndarray, i: int) -> float:
    """NVIDIA's algorithm in words: clip, quantise to 128 levels, expand, compare."""
    p = counts[:i].astype(float)
    p[-1] += counts[i:].sum()
    q = np.zeros(i)
    for level in range(128):
        bins = [j for j in range(i) if (128 * j) // i == level]
        filled = [j for j in bins if counts[j] > 0]
        for j in filled:
            q[j] = sum(counts[k] for k in bins) / len(filled)
    small = SMOOTHING / len(counts)
    p = p / p.sum() + small
    q = (q / q.sum() if q.any() else q) + small
    return float(stats.entropy(p, q))  # normalises both


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_divergences_are_those_of_the_slow_reference(name):
    counts = CoarseHistogram.of(histogram_of(DISTRIBUTIONS[name])).counts
    found = entropies(counts)
    assert len(found) == COARSE_BINS - FIRST + 1
    for i in (128, 129, 200, 333, 1000, 1777, 2047, 2048):
        assert found[i - FIRST] == pytest.approx(slow_divergence(counts, i), abs=1e-9), i


def test_the_entropy_threshold_is_the_slow_minimum():
    """Every candidate of a short histogram by the slow way."""
    sample = np.abs(np.random.default_rng(5).laplace(size=3000))
    counts, _ = np.histogram(sample, 300, (0, sample.max()))
    slow = [slow_divergence(counts, i) for i in range(FIRST, len(counts) + 1)]
    np.testing.assert_allclose(entropies(counts), slow, atol=1e-9)
    assert np.argmin(entropies(counts)) == np.argmin(slow)


def test_entropy_clips_outliers_and_min_max_does_not():
    values = DISTRIBUTIONS["outlier"]
    found = histogram_of(values)
    assert minmax(found) == 60
    assert 3 < entropy(found) < 12
    # so does a heavy tail without any single outlier
    heavy = histogram_of(DISTRIBUTIONS["heavy tail"])
    assert entropy(heavy) < 0.5 * minmax(heavy)


def test_entropy_of_even_values_keeps_them_all():
    found = histogram_of(np.random.default_rng(2).uniform(-1, 1, 200_000))
    assert entropy(found) > 0.99 * found.amax


def test_entropy_does_not_mind_zeros():
    values = DISTRIBUTIONS["normal"]
    with_zeros = np.concatenate([values, np.zeros(9 * len(values), np.float32)])
    assert entropy(histogram_of(with_zeros)) == entropy(histogram_of(values))


def test_entropy_of_a_single_value_is_that_value():
    assert entropy(histogram_of(np.full(50, 3.3, np.float32))) == np.float32(3.3)


def test_entropy_without_a_sample_that_is_not_zero_keeps_the_bounds():
    assert entropy(histogram_of(np.zeros(9), bounds=(-2.0, 1.0))) == 2.0


@pytest.mark.parametrize("percent", [50, 99, 99.9, 99.99, 100])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_percentile_is_that_of_numpy_within_a_bin(name, percent):
    values = DISTRIBUTIONS[name]
    found = histogram_of(values)
    wanted = np.percentile(np.abs(values), percent, method="inverted_cdf")
    assert wanted <= percentile(found, percent) <= wanted + found.width


def int8_error(values: np.ndarray, amax: float) -> float:
    """Mean squared error of symmetric int8 on the values themselves."""
    scale = amax / 127
    return float(np.mean((values - np.clip(np.rint(values / scale), -127, 127) * scale) ** 2))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_least_squared_error_is_that_of_brute_force(name):
    values = DISTRIBUTIONS[name].astype(np.float64)
    found = histogram_of(values)
    width = CoarseHistogram.of(found).width
    candidates = np.arange(FIRST, COARSE_BINS + 1, 8) * width
    candidates = candidates[candidates <= found.amax]
    brute = np.array([int8_error(values, amax) for amax in candidates])
    assert int8_error(values, mse(found)) <= brute.min() * 1.01
    errors = squared_errors(found)[::8][: len(candidates)] / len(values)
    np.testing.assert_allclose(errors, brute, rtol=0.05)


def test_mse_clips_an_outlier():
    found = histogram_of(DISTRIBUTIONS["outlier"])
    assert mse(found) < 0.9 * minmax(found)


def test_a_peak_at_the_end_is_not_said_to_saturate():
    """ReLU6: a threshold a hair below 6 would clip all of the peak at 6."""
    values = np.concatenate([np.random.default_rng(0).uniform(0, 6, 5000), np.full(800, 6.0)])
    found = histogram_of(values)
    for method in (minmax, percentile, mse, entropy):
        assert method(found) == 6.0
        assert found.share_beyond(method(found)) == 0
