"""Whether a measurement drifted: its first tenth against its last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.blocks import block_length, draw_blocks
from benchmarks.record.lines import Stability, Unknown
from benchmarks.record.observed import CANNOT_TELL, UNSTABLE
from benchmarks.record.paired_bootstrap import INTERVAL_PERCENT, RESAMPLES, SEED
from edge.types import Float64

LEAST_COUNT = 100  # queries; ten in each tenth
TOLERANCE = 0.05
HITS, MISSES = "hits", "misses"


def stability(
    ns: NDArray[np.int64], encoded: NDArray[np.bool_] | None = None
) -> Stability | Unknown:
    """Compare the medians of the first and the last tenth of durations.

    They may differ by TOLERANCE of the larger one. Where they differ by more, an interval of the
    difference tells a drift from chance.

    Args:
        ns: durations, nanoseconds [count].
        encoded: of a mixed cache, which of them had to encode their window [count]; None: they are
            of one kind. Of two kinds the median is that of either by the toss of a coin: each is
            looked at by itself, and the less stable one told.
    """
    if len(ns) < LEAST_COUNT:
        return Unknown(f"{len(ns)} queries; it takes {LEAST_COUNT} to tell")
    if encoded is None:
        return _drift(ns, "")
    kinds = {HITS: ns[~encoded], MISSES: ns[encoded]}
    # A kind of few queries is left out, of two such kinds the smaller one.
    least = min(LEAST_COUNT, max(map(len, kinds.values())))
    drifts = [_drift(each, name) for name, each in kinds.items() if len(each) >= least]
    return max(drifts, key=_rank)


def _drift(ns: NDArray[np.int64], of: str) -> Stability:
    tenth = len(ns) // 10
    ends = ns[:tenth], ns[-tenth:]
    first, last = (float(np.median(each)) / 1e6 for each in ends)
    if abs(last - first) <= TOLERANCE * max(first, last):
        return Stability(first, last, True, of)
    before, after = map(_medians_ms, ends, (SEED, SEED + 1))
    low, high = np.percentile(after - before, INTERVAL_PERCENT)
    return Stability(first, last, False, of, (float(low), float(high)))


def _medians_ms(ns: NDArray[np.int64], seed: int) -> Float64:
    """Medians of resamples; one at a time, for the next measurement counts this memory."""
    random = np.random.default_rng(seed)
    block = block_length((ns > np.median(ns)).astype(np.float64))
    drawn = (draw_blocks(random, len(ns), 1, block)[0] for _ in range(RESAMPLES))
    return np.array([float(np.median(ns[indices])) for indices in drawn]) / 1e6


def _rank(found: Stability) -> tuple[int, float]:
    """The less stable, the higher."""
    change = abs(found.last_ms - found.first_ms) / max(found.first_ms, found.last_ms)
    return ("", CANNOT_TELL, UNSTABLE).index(found.mark), change
