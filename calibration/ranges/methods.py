"""Thresholds of a histogram by the four methods.

minmax      the largest absolute value of all that were seen: nothing saturates.
percentile  |x| below which 99.99 % of the sampled values lie, to the upper edge of its bin.
mse         the candidate with the least mean squared error of int8, rounding and saturation alike.
entropy     the candidate with the least Kullback-Leibler divergence, see `entropies`.

The candidates of the last two are the upper edges of bins 128 to 2,048 of the coarse histogram,
so from a sixteenth of amax upwards. No threshold exceeds amax, and one within a bin of it is amax.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibration.ranges.histogram import COARSE_BINS, CoarseHistogram, Counts, Histogram
from calibration.ranges.record import LEVELS
from edge.types import Float64

PERCENTILE = 99.99  # of |x|: what NVIDIA's toolkit takes
KL_LEVELS = 128  # what a candidate is quantised to: int8 without its sign
FIRST = KL_LEVELS  # bins of the smallest candidate
SMOOTHING = 1e-4  # mass added over 2,048 bins, to P and to Q: no logarithm of zero
_SAME = 1e-12  # divergences as near as this differ by rounding only


def minmax(histogram: Histogram) -> float:
    """The largest absolute value."""
    return histogram.amax


def percentile(histogram: Histogram, percent: float = PERCENTILE) -> float:
    """The upper edge of the bin in which the cumulated counts reach `percent`."""
    reached = np.cumsum(histogram.counts)
    wanted = percent / 100 * int(reached[-1])
    index = int(np.searchsorted(reached, wanted))
    return min((index + 1) * histogram.width, histogram.amax)


def mse(histogram: Histogram) -> float:
    """The candidate whose int8 values are nearest to the sampled ones in mean square."""
    errors = squared_errors(histogram)
    return _threshold(histogram, int(np.argmin(errors)) + FIRST)


def squared_errors(histogram: Histogram) -> Float64:
    """Sum of squared int8 errors for every candidate, float64 [1921].

    With running sums of n, n c and n c c over the fine bins, c their centres, the error of all
    values that one level stands for takes two look-ups: a candidate costs 128, not 65,536.
    """
    used = histogram.used
    counts = histogram.counts[:used].astype(np.float64)
    centres = np.arange(used) + 0.5  # in bins
    n, nc = _running(counts), _running(counts * centres)
    group = CoarseHistogram.of(histogram).group
    steps = np.arange(FIRST, COARSE_BINS + 1)[:, None] * group / LEVELS  # [1921, 1] bins
    levels = np.arange(LEVELS + 1)
    values = levels * steps  # [1921, 128]
    edges = np.full((len(steps), LEVELS + 2), used, np.int64)  # between levels
    edges[:, :-1] = np.minimum(np.rint(np.maximum(levels - 0.5, 0) * steps), used)
    within = np.square(values) * np.diff(n[edges]) - 2 * values * np.diff(nc[edges])
    errors: Float64 = float(counts @ np.square(centres)) + within.sum(axis=1)
    return errors * histogram.width**2


def entropy(histogram: Histogram) -> float:
    """The candidate that loses least information, the largest of those that lose the same."""
    counts = CoarseHistogram.of(histogram).counts.copy()
    counts[0] = counts[1]
    if not counts.any():
        return histogram.amax
    divergences = entropies(counts)
    best = np.flatnonzero(divergences <= divergences.min() + _SAME)
    return _threshold(histogram, int(best[-1]) + FIRST)


def entropies(counts: Counts) -> Float64:
    """KL(P || Q) of every candidate, float64 [len(counts) - 127], as in NVIDIA's calibrator.

    For the candidate of i bins, P is the first i counts, with all that lies beyond in its last
    bin. Q is the same i counts without these, quantised to 128 levels: every level spreads its sum
    evenly over those of its bins that are not empty. Both are normalised, given the same small mass
    in every bin, and normalised again. (S. Migacz, 8-bit inference with TensorRT, GTC 2017.) The
    caller gives the first bin the count of the second, as NVIDIA's ModelOpt does: what lies in it
    becomes zero whatever the scale, and may be most of a map behind a ReLU.

    The divergence asks how often values lie beyond a threshold, never how far. Of maps of which
    each channel has a range of its own (between the blocks of `lite`) it cuts a per cent or two,
    which are the outer half of some channels; see calibration/README.md for what that costs.

    Within a level Q has one value on the bins that are not empty and one on those that are, so both
    sums of the divergence, of p log p and of p log q, come from running sums over the bins.

    Args:
        counts: int64, of |x| in bins of equal width; at least 128, not all zero.
    """
    even = SMOOTHING / len(counts)
    share = counts / float(counts.sum())
    bins = np.arange(FIRST, len(counts) + 1)  # [C] of each candidate
    starts = -(-np.arange(KL_LEVELS + 1) * bins[:, None] // KL_LEVELS)  # bin j has level 128 j // i
    mass, filled = _running(share), _running((counts > 0).astype(np.float64))
    kept = mass[bins]
    beyond = np.maximum(1 - kept, 0)

    level_mass, level_filled = np.diff(mass[starts]), np.diff(filled[starts])  # [C, 128]
    means = level_mass / np.maximum(level_filled, 1) / np.maximum(kept, even)[:, None]
    logs = np.log(means + even)
    last_filled = counts[bins - 1] > 0
    p_log_q = ((level_mass + level_filled * even) * logs).sum(axis=1)
    p_log_q += (bins - filled[bins]) * even * np.log(even)  # of the empty bins
    p_log_q += beyond * np.where(last_filled, logs[:, -1], np.log(even))

    p_log_p = _running(_x_log_x(share + even))[bins - 1]
    p_log_p += _x_log_x(share[bins - 1] + beyond + even)
    p_sum = 1 + bins * even
    q_sum = (kept > 0) + bins * even
    divergences: Float64 = (p_log_p - p_log_q) / p_sum + np.log(q_sum / p_sum)
    return divergences


def _running(values: Float64) -> Float64:
    """Sums of the first 0, 1, 2 ... values, float64 [n + 1]."""
    return np.concatenate(([0.0], np.cumsum(values)))


def _x_log_x(x: Float64) -> Float64:
    return x * np.log(x)


def _threshold(histogram: Histogram, bins: int) -> float:
    """The upper edge of so many bins; amax itself where that is less than one bin away.

    Else a tensor that ends in a peak (6.0 behind a ReLU6) would be said to saturate by a hair.
    """
    width = CoarseHistogram.of(histogram).width
    return histogram.amax if (bins + 1) * width > histogram.amax else bins * width


FINDERS: dict[str, Callable[[Histogram], float]] = {
    "minmax": minmax,
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}
