"""The paired bootstrap: an interval for a difference between two graphs on the same clicks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from calibration.judging.record import Change
from edge.types import Float64

RESAMPLES, SEED = 4000, 20240229
INTERVAL_PERCENT = (2.5, 97.5)


def paired_change(difference: Float64, units: Sequence[object]) -> Change:
    """The mean difference in points and its 95 % interval.

    Clicks of one frame and window succeed and fail together, so whole units are drawn, with
    replacement, and each brings both graphs' results. The mean is over clicks (`ratio of sums`).

    Args:
        difference: [M] after less before, of each click: -1, 0 or 1 for right and wrong.
        units: [M] what each click belongs to: its sample, or its object.

    >>> paired_change(np.array([0.0, -1.0, 0.0, -1.0]), [1, 1, 2, 2])
    Change(mean=-50.0, low=-50.0, high=-50.0)
    """
    if not len(difference):
        return Change(mean=0.0, low=0.0, high=0.0)
    _, unit = np.unique(np.array(units), return_inverse=True)
    count = np.bincount(unit)
    total = np.bincount(unit, difference)
    draws = np.random.default_rng(SEED).integers(0, len(count), (RESAMPLES, len(count)))
    points = 100 * total[draws].sum(1) / count[draws].sum(1)
    low, high = np.percentile(points, INTERVAL_PERCENT).tolist()
    return Change(mean=100 * float(total.sum() / count.sum()), low=low, high=high)
