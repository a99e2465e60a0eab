"""First against last tenth."""

from __future__ import annotations

import numpy as np
import pytest
from made_record import latencies

from benchmarks.record.lines import Stability, Unknown
from benchmarks.record.stability import stability

MS = 1_000_000


def test_a_drift_above_five_percent_shows():
    steady, slower = np.full(90, 100 * MS), np.full(10, 106 * MS)
    found = stability(np.concatenate([steady, slower]))
    assert found == Stability(100.0, 106.0, False, more_ms=(6.0, 6.0))
    assert found.mark == "unstable"
    found = stability(np.concatenate([slower, steady]))
    assert found == Stability(106.0, 100.0, False, more_ms=(-6.0, -6.0))


def test_five_percent_is_still_stable():
    found = stability(np.concatenate([np.full(90, 95 * MS), np.full(10, 100 * MS)]))
    assert isinstance(found, Stability) and found.stable
    assert found.mark == "" and found.more_ms is None


def test_a_single_outlier_is_no_drift():
    ns = np.full(1000, MS)
    ns[-1] = 500 * MS
    found = stability(ns)
    assert isinstance(found, Stability) and found.stable


def test_few_queries_do_not_tell():
    assert stability(np.full(99, MS)) == Unknown("99 queries; it takes 100 to tell")


def noise(count, median_ms, seed, spread=0.1):
    return np.random.default_rng(seed).lognormal(np.log(median_ms * MS), spread, count)


def test_few_noisy_queries_cannot_tell_and_are_not_called_stable_either():
    """Without any drift, a third of such runs are more than 5 % apart: by chance, as is said."""
    found = [stability(noise(100, 3.0, seed)) for seed in range(100)]
    marks = [each.mark for each in found]
    assert marks.count("cannot tell if stable") >= 20 and marks.count("unstable") <= 5
    assert all(each.stable == (each.mark == "") for each in found)
    doubtful = next(each for each in found if each.mark == "cannot tell if stable")
    assert doubtful.more_ms[0] <= 0 <= doubtful.more_ms[1]


def test_a_drift_among_noise_is_told():
    found = stability(noise(400, 3.0, 1) * np.linspace(1.0, 1.5, 400))
    assert found.mark == "unstable" and 0 < found.more_ms[0] < 1.3 < found.more_ms[1]


def test_neighbours_that_hang_together_tell_less():
    """Half of such runs are apart without a drift; few would be called unstable for it."""
    marks = [stability(latencies(4000, 3.0, seed, depends=0.9)).mark for seed in range(30)]
    assert marks.count("cannot tell if stable") >= 10 and marks.count("unstable") <= 5


def test_the_verdict_is_the_same_each_time():
    ns = noise(150, 3.0, 2)
    assert stability(ns) == stability(ns)


def test_an_older_record_that_was_unstable_stays_so():
    assert Stability(3.0, 3.2, False).mark == "unstable"


# --- of a mixed cache ----------------------------------------------------------------------------


def mixed(count, hit_rate, seed, hits=1.0, misses=1.0):
    """Times of hits and of misses, the last ones longer by factors, and which are which."""
    encoded = np.random.default_rng(seed).random(count) >= hit_rate
    drift = 1 + (np.where(encoded, misses, hits) - 1) * np.linspace(0, 1, count)
    return np.where(encoded, 30.0, 3.0) * drift * noise(count, 1.0, seed, 0.02), encoded


def test_a_mixture_of_two_kinds_is_no_drift():
    runs = [mixed(1000, 0.5, seed) for seed in range(40)]
    whole = [stability(ns).stable for ns, _ in runs]
    assert whole.count(False) >= 15, "the median is that of either kind"
    assert all(stability(*each).stable for each in runs)


@pytest.mark.parametrize("hit_rate", [0.5, 0.9])
@pytest.mark.parametrize("of", ["hits", "misses"])
@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_a_drift_of_either_kind_is_a_drift(hit_rate, of, factor):
    found = stability(*mixed(2000, hit_rate, 5, **{of: factor}))
    assert (found.of, found.mark) == (of, "unstable")
    assert found.last_ms / found.first_ms == pytest.approx(factor, rel=0.06)


def test_of_few_misses_the_hits_tell_and_of_few_of_both_the_larger():
    assert stability(*mixed(400, 0.9, 1, misses=2.0)).of == "hits"
    found = stability(*mixed(120, 0.4, 1))
    assert (found.of, found.stable) == ("misses", True)
    assert stability(*mixed(120, 1.0, 1)).of == "hits"
    assert stability(*mixed(120, 0.0, 1)).of == "misses"
    assert stability(*mixed(99, 0.5, 1)) == Unknown("99 queries; it takes 100 to tell")
