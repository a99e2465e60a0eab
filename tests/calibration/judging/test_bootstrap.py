import numpy as np
import pytest
from scipy import stats

from calibration.judging.bootstrap import paired_change


def test_the_interval_is_that_of_scipy():
    """Units of one click each: the plain percentile bootstrap of a mean."""
    draw = np.random.default_rng(5)
    difference = draw.choice([-1.0, 0.0, 1.0], 400, p=[0.1, 0.85, 0.05])
    found = paired_change(difference, range(400))
    other = stats.bootstrap(
        (difference,), np.mean, n_resamples=4000, method="percentile", random_state=draw
    ).confidence_interval
    assert found.mean == pytest.approx(100 * difference.mean())
    assert (found.low, found.high) == pytest.approx((100 * other.low, 100 * other.high), abs=0.25)


def test_clicks_of_one_sample_are_drawn_together():
    """40 samples of 5 clicks, 4 of which lose all: binomial over 40, not over 200."""
    difference = np.repeat([-1.0] * 4 + [0.0] * 36, 5)
    found = paired_change(difference, np.repeat(np.arange(40), 5).tolist())
    low, high = stats.binom.ppf([0.025, 0.975], 40, 0.1) / 40
    assert found.mean == -10.0
    assert (found.low, found.high) == pytest.approx((-100 * high, -100 * low), abs=0.01)


def test_the_mean_is_over_clicks_not_over_samples():
    """A sample of nine clicks weighs nine times one of a single click."""
    found = paired_change(np.array([-1.0] + [0.0] * 9), ["a"] + ["b"] * 9)
    assert found.mean == pytest.approx(-10.0)
    assert (found.low, found.high) == (-100.0, 0.0)


def test_units_may_be_in_any_order_and_nothing_is_no_change():
    difference = np.array([-1.0, 0.0, 1.0, 0.0, 0.0, -1.0])
    one = paired_change(difference, ["a", "b", "c", "a", "b", "c"])
    order = [3, 0, 4, 1, 5, 2]
    assert one == paired_change(difference[order], ["a", "a", "b", "b", "c", "c"])
    none = paired_change(np.empty(0), [])
    assert (none.mean, none.low, none.high) == (0.0, 0.0, 0.0)
