"""The entropy threshold against NVIDIA's own way to it, written down independently.

What `modelopt.torch.quantization.calib.histogram` does, step by step: no smoothing, a candidate
whose last bin is empty while values lie beyond it is out, and the first bin counts as the second.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from made_histograms import DISTRIBUTIONS, histogram_of

from calibration.ranges.histogram import CoarseHistogram
from calibration.ranges.methods import entropy, mse, squared_errors

LEVELS, FIRST = 128, 128
EVERY = 16  # of the candidates: the reference is slow


def divergence(counts: np.ndarray, size: int) -> float:
    """KL divergence of the first `size` bins from what 128 levels make of them."""
    quantised = np.zeros(size)
    edges = np.linspace(0, size, LEVELS + 1)
    for low, high in pairwise(np.ceil(edges).astype(int)):
        filled = low + np.flatnonzero(counts[low:high])
        if len(filled):
            quantised[filled] = counts[filled].sum() / len(filled)
    real = counts[:size].astype(float)
    real[-1] += counts[size:].sum()
    if ((real > 0) & (quantised == 0)).any():
        return math.inf
    there = real > 0
    p, q = real[there] / real.sum(), quantised[there] / quantised.sum()
    return float((p * np.log(p / q)).sum())


def reference(values: np.ndarray) -> tuple[float, float]:
    """The best threshold of every 16th candidate and the divergence there."""
    coarse = CoarseHistogram.of(histogram_of(values))
    counts = coarse.counts.copy()
    counts[0] = counts[1]
    sizes = range(FIRST, len(counts) + 1, EVERY)
    found = [divergence(counts, size) for size in sizes]
    best = len(found) - 1 - int(np.argmin(found[::-1]))  # the last of equals
    return sizes[best] * coarse.width, found[best]


def linear_bottleneck() -> np.ndarray:
    """A flat map of 32 channels with ranges of their own, as `lite` has between its blocks."""
    draw = np.random.default_rng(3)
    reach = np.exp(draw.normal(0, 1.2, (32, 1)))
    return (draw.normal(size=(32, 20_000)) * reach).astype(np.float32).ravel()


def rectified_with_a_peak() -> np.ndarray:
    """Behind a ReLU6: nine of ten next to zero, the rest even, a few at six."""
    draw = np.random.default_rng(4)
    near = np.abs(draw.normal(0, 5e-4, 180_000))
    return np.concatenate([near, draw.uniform(0, 6, 18_000), np.full(2_000, 6)]).astype(np.float32)


CASES = {
    **{name: DISTRIBUTIONS[name] for name in ("normal", "laplace", "heavy tail", "even")},
    "bottleneck": linear_bottleneck(),
    "peak": rectified_with_a_peak(),
}


@pytest.mark.parametrize("name", CASES)
def test_the_threshold_is_that_of_nvidias_search(name: str) -> None:
    """Or one that NVIDIA's own measure finds as good.

    Ours adds a little mass, so that a candidate that ends in an empty bin is dear and not out: for
    the measure it is moved down to the next bin that is not.
    """
    values = CASES[name]
    histogram = histogram_of(values)
    wanted, least = reference(values)
    found = entropy(histogram)
    coarse = CoarseHistogram.of(histogram)
    counts = coarse.counts.copy()
    counts[0] = counts[1]
    size = min(round(found / coarse.width), len(counts))
    size = 1 + int(np.flatnonzero(counts[:size])[-1])
    near = found == pytest.approx(min(wanted, histogram.amax), rel=0.06)
    assert near or divergence(counts, size) <= 1.02 * least, (found, wanted)


def test_what_lies_next_to_zero_narrows_no_range() -> None:
    """Its own bin would be nine tenths of the distribution, which larger steps smear out."""
    histogram = histogram_of(rectified_with_a_peak())
    assert entropy(histogram) > 0.95 * 6


def test_of_channels_with_ranges_of_their_own_it_cuts_the_widest() -> None:
    """By its own measure rightly, and NVIDIA does the same; in squared error it is far worse."""
    values = linear_bottleneck()
    histogram = histogram_of(values)
    found, best = entropy(histogram), mse(histogram)
    assert found < 0.6 * best
    errors, width = squared_errors(histogram), CoarseHistogram.of(histogram).width
    cost = errors[round(found / width) - FIRST] / errors[round(best / width) - FIRST]
    assert cost > 2, cost
