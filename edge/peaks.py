"""Where a map is largest, in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.decoding import PEAK_RADIUS_CELLS
from edge.types import Float32

LEAST_SIMILARITY = -1.0  # the second peak of a grid that the first one's neighbourhood fills


def largest(values: Float32, count: int) -> NDArray[np.intp]:
    """Where the largest are, the first of equal ones; what is no number counts as larger than all.

    Args:
        values: [M].
        count: at most M.
    """
    least = np.partition(values, len(values) - count)[len(values) - count]
    if np.isnan(least):
        return np.flatnonzero(np.isnan(values))[:count]
    above = np.flatnonzero(~(values <= least))
    return np.concatenate([above, np.flatnonzero(values == least)[: count - len(above)]])


def peaks(similarity: Float32) -> tuple[Float32, Float32]:
    """The largest value of each map [N, Hg, Wg], and the largest beyond its neighbourhood."""
    n, _, columns = similarity.shape
    first, second = np.empty(n, np.float32), np.empty(n, np.float32)
    for index, values in enumerate(similarity):
        row, column = divmod(int(values.argmax()), columns)
        first[index] = values[row, column]
        near = (
            slice(max(0, row - PEAK_RADIUS_CELLS), row + PEAK_RADIUS_CELLS + 1),
            slice(max(0, column - PEAK_RADIUS_CELLS), column + PEAK_RADIUS_CELLS + 1),
        )
        kept = values[near].copy()
        values[near] = LEAST_SIMILARITY  # for the moment of one search: a copy is dearer than both
        second[index] = values.max()
        values[near] = kept
    return first, second
