"""Intervals against scipy's bootstrap, and their coverage where neighbours hang together."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from made_record import latencies
from scipy.signal import lfilter

from benchmarks.record.paired_bootstrap import percentile_ratios
from benchmarks.record.percentiles import percentile_ms

TRUTH = 1.3


def pair(count, phi, seed):
    """Two runs of the same frames: what a frame costs is shared, the noise is AR(1)."""
    random = np.random.default_rng(seed)
    shared, *own = (
        lfilter([1], [1, -phi], random.normal(size=count + 300))[300:] for _ in range(3)
    )
    costs = (np.exp(0.1 * shared + 0.05 * noise) for noise in own)
    return [
        (1e6 * scale * cost).astype(np.int64) for scale, cost in zip((1, TRUTH), costs, strict=True)
    ]


def test_independent_values_give_scipys_interval():
    first, second = pair(1500, 0.0, 1)

    def statistic(one, other, axis):
        return np.median(other, axis=axis) / np.median(one, axis=axis)

    wanted = scipy.stats.bootstrap(
        (first, second),
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    (found, *_) = percentile_ratios(first, second, block=1).of
    interval = wanted.confidence_interval
    width = interval.high - interval.low
    assert found.low == pytest.approx(interval.low, abs=0.15 * width)
    assert found.high == pytest.approx(interval.high, abs=0.15 * width)
    assert found.log_error * found.ratio == pytest.approx(wanted.standard_error, rel=0.15)


def test_values_and_percentiles_are_those_of_the_series():
    first, second = pair(1200, 0.5, 3)
    found = percentile_ratios(first, second, resamples=50)
    assert [each.percent for each in found.of] == [50, 90, 99]
    for each in found.of:
        assert each.first_ms == pytest.approx(percentile_ms(first, each.percent))
        assert each.second_ms == pytest.approx(percentile_ms(second, each.percent))
        assert each.low <= each.ratio <= each.high


@pytest.mark.parametrize("phi", [0.0, 0.8])
def test_the_interval_covers_about_as_often_as_it_says(phi):
    """150 trials: the standard error of a coverage of 95 % is 1.8 points."""
    pairs = [pair(1024, phi, seed) for seed in range(150)]
    median, p90 = np.mean(
        [
            [
                each.low <= TRUTH <= each.high
                for each in percentile_ratios(*two, resamples=200).of[:2]
            ]
            for two in pairs
        ],
        axis=0,
    )
    assert 0.87 <= median <= 0.99 and 0.85 <= p90 <= 0.99


def test_single_values_would_not_cover():
    """What the blocks are for: without them the interval of a dependent series is far too short."""
    pairs = [pair(1024, 0.8, seed) for seed in range(60)]
    found = [percentile_ratios(*two, resamples=200, block=1).of[0] for two in pairs]
    assert np.mean([each.low <= TRUTH <= each.high for each in found]) < 0.8


def test_pairing_takes_out_what_the_frames_cost():
    first, second = pair(1000, 0.0, 4)
    alike = percentile_ratios(first, second).of[0]
    apart = percentile_ratios(first, second, paired=False).of[0]
    assert alike.log_error < 0.8 * apart.log_error
    assert alike.ratio == apart.ratio


def test_the_longer_series_is_cut_where_queries_are_paired():
    ns = latencies(300, 3.0)
    found = percentile_ratios(ns, ns[:120])
    assert found.counts == (120, 120) and found.of[0].ratio == 1.0
    assert (found.of[0].low, found.of[0].high) == (1.0, 1.0)
    assert percentile_ratios(ns, ns[:120], paired=False).counts == (300, 120)


def test_the_same_series_give_the_same_interval():
    first, second = pair(200, 0.3, 5)
    assert percentile_ratios(first, second) == percentile_ratios(first, second)


def test_few_queries_give_nothing():
    ns = latencies(9, 3.0)
    found = percentile_ratios(ns, ns)
    assert found.of == () and found.counts == (9, 9)


def test_durations_of_zero_divide_nothing():
    found = percentile_ratios(np.zeros(20, np.int64), np.full(20, 5, np.int64))
    assert found.of[0].ratio == 5.0
