"""Whether a measurement drifted: its first tenth against its last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.lines import Stability, Unknown

LEAST_COUNT = 100  # queries; ten in each tenth
TOLERANCE = 0.05


def stability(ns: NDArray[np.int64]) -> Stability | Unknown:
    """Compare the medians of the first and the last tenth of durations, nanoseconds [count].

    They may differ by TOLERANCE of the larger one.
    """
    if len(ns) < LEAST_COUNT:
        return Unknown(f"{len(ns)} queries; it takes {LEAST_COUNT} to tell")
    tenth = len(ns) // 10
    first, last = float(np.median(ns[:tenth])) / 1e6, float(np.median(ns[-tenth:])) / 1e6
    return Stability(first, last, abs(last - first) <= TOLERANCE * max(first, last))
