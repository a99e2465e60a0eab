"""First against last tenth."""

from __future__ import annotations

import numpy as np

from benchmarks.record.lines import Stability, Unknown
from benchmarks.record.stability import stability

MS = 1_000_000


def test_a_drift_above_five_percent_shows():
    steady, slower = np.full(90, 100 * MS), np.full(10, 106 * MS)
    found = stability(np.concatenate([steady, slower]))
    assert found == Stability(100.0, 106.0, False)
    assert stability(np.concatenate([slower, steady])) == Stability(106.0, 100.0, False)


def test_five_percent_is_still_stable():
    found = stability(np.concatenate([np.full(90, 95 * MS), np.full(10, 100 * MS)]))
    assert isinstance(found, Stability) and found.stable


def test_a_single_outlier_is_no_drift():
    ns = np.full(1000, MS)
    ns[-1] = 500 * MS
    found = stability(ns)
    assert isinstance(found, Stability) and found.stable


def test_few_queries_do_not_tell():
    assert stability(np.full(99, MS)) == Unknown("99 queries; it takes 100 to tell")
