"""Exact counts of the absolute values of one tensor, in bins whose top is a power of two.

A tensor whose values stay below 2^k has 65,536 bins over [0, 2^k), k as small as may be. Where a
larger value comes, k grows and pairs of bins are merged. Scaling by a power of two is exact in
float32, so the bin of a value is exact, floor(|x| 65536 / 2^k), and so is the merge, since
floor(floor(y) / 2) = floor(y / 2): the counts depend neither on the order of the images nor on
how they were spread over shards.

Resolution: amax lies in [2^(k-1), 2^k), so it spans 32,768 to 65,536 of these bins. The 2,048 bins
that the methods want are whole groups of 17 to 32 of them: integer counts without aliasing, over
[0, top] with amax < top <= 1.0625 amax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import Float32

BINS = 1 << 16
COARSE_BINS = 2048
LEAST_EXPONENT = -100  # below 2^-100 the scale would leave float32; no activation lives there
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histogram:
    """What was seen of one tensor: all values for the bounds, sampled ones for the counts."""

    exponent: int  # k: the bins reach over [0, 2^k)
    lowest: float  # of all values
    highest: float
    zeros: int  # sampled values that are exactly zero; they are counted in bin 0 too
    counts: Counts  # [65536] int64: sampled values by |x|

    @property
    def amax(self) -> float:
        """The largest absolute value of all that were seen."""
        return max(abs(self.lowest), abs(self.highest))

    @property
    def width(self) -> float:
        """Of one bin; exact in binary."""
        return math.ldexp(1.0, self.exponent) / BINS

    @property
    def used(self) -> int:
        """Bins up to and with that of amax, at least one."""
        return math.floor(self.amax / self.width) + 1

    def at(self, exponent: int) -> Histogram:
        """The same counts with a higher top.

        Args:
            exponent: of the new top, at least `self.exponent`.
        """
        if exponent == self.exponent:
            return self
        counts = widened(self.counts, exponent - self.exponent)
        return Histogram(exponent, self.lowest, self.highest, self.zeros, counts)

    def merged(self, other: Histogram) -> Histogram:
        """Both together; commutative and associative to the bit."""
        exponent = max(self.exponent, other.exponent)
        return Histogram(
            exponent,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
            self.zeros + other.zeros,
            self.at(exponent).counts + other.at(exponent).counts,
        )

    def share_beyond(self, threshold: float) -> float:
        """Share of the sampled values with |x| above a threshold, to the width of one bin.

        The bin that the threshold lies in counts as not beyond it.
        """
        total = int(self.counts.sum())
        if total == 0 or threshold >= self.amax:
            return 0.0
        return int(self.counts[math.floor(threshold / self.width) + 1 :].sum()) / total


@dataclass(frozen=True, slots=True)
class CoarseHistogram:
    """The 2,048 bins that the methods look at."""

    group: int  # fine bins in each
    width: float
    counts: Counts  # [2048] int64

    @staticmethod
    def of(histogram: Histogram) -> CoarseHistogram:
        """Group the bins up to amax; the last groups reach beyond it, and are empty there."""
        group = -(-histogram.used // COARSE_BINS)
        fine = np.zeros(group * COARSE_BINS, np.int64)
        fine[: histogram.used] = histogram.counts[: histogram.used]
        counts: Counts = fine.reshape(COARSE_BINS, group).sum(axis=1)
        return CoarseHistogram(group, group * histogram.width, counts)


class HistogramBuilder:
    """Counts the values of one tensor, image after image."""

    def __init__(self, start: Histogram | None = None) -> None:
        self.exponent = start.exponent if start else LEAST_EXPONENT
        self.lowest = start.lowest if start else math.inf
        self.highest = start.highest if start else -math.inf
        self.zeros = start.zeros if start else 0
        self._counts = start.counts.copy() if start else np.zeros(BINS, np.int64)

    def add(self, lowest: float, highest: float, sample: Float32, scratch: Scratch) -> None:
        """Count one image.

        Args:
            lowest: of all values of the tensor, finite.
            highest: likewise.
            sample: float32 [n], values of that tensor, so none outside these bounds.
            scratch: room for n values, overwritten.
        """
        exponent = exponent_of(max(abs(lowest), abs(highest)))
        if exponent > self.exponent:
            self._counts = widened(self._counts, exponent - self.exponent)
            self.exponent = exponent
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
        scaled, index = scratch.take(sample.size)
        np.abs(sample, out=scaled)
        self.zeros += sample.size - int(np.count_nonzero(scaled))
        np.multiply(scaled, np.float32(math.ldexp(float(BINS), -self.exponent)), out=scaled)
        np.copyto(index, scaled, casting="unsafe")  # towards zero: the floor, and exact
        self._counts += np.bincount(index, minlength=BINS)

    def histogram(self) -> Histogram:
        """What was counted so far; the counts are not copied."""
        return Histogram(self.exponent, self.lowest, self.highest, self.zeros, self._counts)


class Scratch:
    """Two buffers that all tensors share, so that counting allocates nothing that grows."""

    def __init__(self) -> None:
        self._scaled = np.empty(0, np.float32)
        self._index = np.empty(0, np.intp)

    def take(self, size: int) -> tuple[Float32, NDArray[np.intp]]:
        """Room for `size` values and their bins."""
        if size > self._scaled.size:
            self._scaled, self._index = np.empty(size, np.float32), np.empty(size, np.intp)
        return self._scaled[:size], self._index[:size]


def exponent_of(amax: float) -> int:
    """The smallest k with amax < 2^k, and never below -100; of zero that least one."""
    return max(math.frexp(amax)[1], LEAST_EXPONENT) if amax else LEAST_EXPONENT


def widened(counts: Counts, doublings: int) -> Counts:
    """Merge neighbours `doublings` times: the same counts under a top 2^doublings as high."""
    together = 1 << min(doublings, BINS.bit_length() - 1)
    merged = np.zeros_like(counts)
    merged[: BINS // together] = counts.reshape(-1, together).sum(axis=1)
    return merged
