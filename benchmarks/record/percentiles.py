"""Percentiles, and only those that the number of samples can support.

The p-th percentile is the smallest value that at least p % of the samples do not exceed (numpy's
`inverted_cdf`): a latency that was really seen, never a mean of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import BenchmarkError

METHOD: Final = "inverted_cdf"
# percentile -> samples that it takes: ten of them lie beyond it, five beyond the median
LEAST_COUNT = {50.0: 10, 90.0: 100, 99.0: 1_000, 99.9: 10_000}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a series says, in milliseconds; None: too few samples (`too_few` says how many)."""

    count: int
    median_ms: float | None
    p90_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float


def supported(count: int) -> tuple[float, ...]:
    """The percentiles that `count` samples support; the maximum always is.

    >>> supported(1024)
    (50.0, 90.0, 99.0)
    """
    return tuple(percent for percent, least in LEAST_COUNT.items() if count >= least)


def too_few(percent: float) -> str:
    """What is shown in place of an unsupported percentile.

    >>> too_few(99.0)
    'n < 1,000'
    """
    return f"n < {LEAST_COUNT[percent]:,}"


def percentile_ms(ns: NDArray[np.int64], percent: float) -> float | None:
    """One percentile of durations in nanoseconds; None: too few samples."""
    if len(ns) < LEAST_COUNT[percent]:
        return None
    return float(np.percentile(ns, percent, method=METHOD)) / 1e6


def summary(ns: NDArray[np.int64]) -> Summary:
    """Summarise durations, nanoseconds [count].

    Raises:
        BenchmarkError: there are none.
    """
    if not len(ns):
        raise BenchmarkError(
            "there is nothing to summarise",
            expected="at least one query",
            found="none",
            do="let the measurement run for longer",
        )
    p50, p90, p99, p999 = (percentile_ms(ns, percent) for percent in LEAST_COUNT)
    return Summary(len(ns), p50, p90, p99, p999, float(ns.max()) / 1e6)
