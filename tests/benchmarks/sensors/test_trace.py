"""The integral of power against scipy's, and where samples are late or missing."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.integrate
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sensors.trace import Sample, mean_power


def samples(pairs):
    return [Sample(time_s, watts) for time_s, watts in pairs]


def test_it_is_scipys_trapezoid_over_uneven_times():
    random = np.random.default_rng(0)
    times = np.sort(random.uniform(0, 10, 100))
    times[0], times[-1] = 0, 10
    watts = random.uniform(5, 25, 100)
    found = mean_power(samples(zip(times, watts, strict=True)), 0, 10)
    assert found.watts == pytest.approx(scipy.integrate.trapezoid(watts, times) / 10)
    assert found.samples == 98  # what lies at the ends is not between them


def test_a_late_sample_weighs_for_as_long_as_it_stands():
    """Ten samples in the first second, one after nine more: not their mean, which is 19."""
    early = [(0.1 * index, 20.0) for index in range(10)]
    found = mean_power(samples([*early, (10.0, 10.0)]), 0.9, 10.0)
    assert found.watts == pytest.approx(15.0)


def test_the_ends_are_interpolated_and_held_beyond():
    ramp = samples([(0.0, 0.0), (10.0, 10.0)])
    assert mean_power(ramp, 4.0, 6.0).watts == pytest.approx(5.0)
    assert mean_power(ramp, 10.0, 12.0).watts == pytest.approx(10.0)
    assert mean_power(samples([(1.0, 7.0)]), 0.0, 3.0).watts == pytest.approx(7.0)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1000)), min_size=1, max_size=20),
    st.floats(0, 50),
    st.floats(1, 50),
)
def test_a_mean_lies_between_the_extremes(pairs, start_s, length_s):
    found = mean_power(samples(sorted(pairs)), start_s, start_s + length_s).watts
    watts = [each for _, each in pairs]
    assert min(watts) - 1e-6 <= found <= max(watts) + 1e-6
