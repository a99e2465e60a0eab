"""Percentiles against their definition, and never without the samples for them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_record import latencies

from benchmarks.record.percentiles import (
    LEAST_COUNT,
    percentile_ms,
    summary,
    supported,
    too_few,
)
from edge.errors import BenchmarkError


@pytest.mark.parametrize("count", [100, 101, 1024, 12_345])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(count):
    ns = latencies(count, 3.0)
    for percent in supported(count):
        found_ns = round(1e6 * percentile_ms(ns, percent))
        assert found_ns in ns
        assert (ns <= found_ns).sum() >= count * percent / 100
        assert (ns < found_ns).sum() < count * percent / 100


def test_the_maximum_is_the_maximum_and_the_summary_counts():
    found = summary(np.array([1, 5, 3]) * 1_000_000)
    assert (found.count, found.max_ms) == (3, 5.0)
    assert (found.median_ms, found.p90_ms, found.p99_ms, found.p999_ms) == (None,) * 4


@pytest.mark.parametrize(("percent", "least"), [(50, 10), (90, 100), (99, 1000), (99.9, 10_000)])
def test_no_percentile_without_the_samples_for_it(percent, least):
    assert percent in supported(least) and percent not in supported(least - 1)
    assert percentile_ms(np.arange(least - 1), percent) is None
    assert percentile_ms(np.arange(least), percent) is not None
    beyond = least * (100 - percent) / 100
    assert beyond >= 5 and math.isclose(beyond, round(beyond), abs_tol=1e-6)


def test_what_is_shown_instead():
    assert [too_few(each) for each in LEAST_COUNT] == [
        "n < 10",
        "n < 100",
        "n < 1,000",
        "n < 10,000",
    ]


def test_nothing_cannot_be_summarised():
    with pytest.raises(BenchmarkError, match="nothing to summarise"):
        summary(np.array([], np.int64))
