"""Which values of a tensor enter its histogram: a seeded one out of each of 2^18 equal pieces.

The j-th of K = min(L, 2^18) values of a tensor of L lies at floor((j L + (u_j mod L)) / K), with
u_j drawn once from the seed: one place within each piece, so no part of a map and no channel is
left out, and no period of a stride meets the period of a row. A tensor of at most 2^18 values is
taken whole. Minimum, maximum and the search for what is no number look at all values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE = 1 << 18  # values per tensor and image
_DRAWN_BELOW = 1 << 40


def describe(seed: int) -> str:
    """The sampling in words: a part of the identity of histograms."""
    return f"stratified/1, {SAMPLE} values per tensor and image, seed {seed}"


def drawn(seed: int) -> NDArray[np.int64]:
    """The numbers u_j, int64 [2^18]."""
    return np.random.default_rng(seed).integers(0, _DRAWN_BELOW, SAMPLE, dtype=np.int64)


def places(size: int, u: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the sampled values of a flat tensor of `size` values lie, ascending.

    int64 [min(size, 2^18)]; only for a size above zero.
    """
    count = min(size, SAMPLE)
    j = np.arange(count, dtype=np.int64)
    return (j * size + u[:count] % size) // count
