"""The blocks of a bootstrap, so long that neighbours which hang together stay together.

How long: Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap" (2004),
with the correction of Patton, Politis and White (2009), for the circular block bootstrap.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.types import Float64


def block_length(values: Float64) -> int:
    """The block length for a series [count]; 1: its values do not depend on their neighbours."""
    count = len(values)
    centred = values - values.mean()
    if count < 8 or not centred.any():
        return 1
    near = max(5, math.ceil(math.sqrt(math.log10(count))))
    most = min(math.ceil(math.sqrt(count)) + near, count - 1)  # lags looked at
    covariance = _autocovariance(centred, most)
    # The correlation is negligible where `near` lags in a row lie below this bound.
    bound = 2 * math.sqrt(math.log10(count) / count)
    small = np.abs(covariance[1:] / covariance[0]) < bound  # [most], of lag 1 and up
    runs = (lag for lag in range(len(small) - near + 1) if small[lag : lag + near].all())
    last = next(runs, None)  # lags up to this one matter
    if last is None:
        last = int(np.flatnonzero(~small)[-1]) + 1
    if last == 0:
        return 1
    window = min(2 * last, most)
    lags = np.arange(-window, window + 1)
    ratio = np.abs(lags) / window
    weight = np.where(ratio <= 0.5, 1.0, 2 * (1 - ratio)) * covariance[np.abs(lags)]
    spread, slope = float(weight.sum()), float((weight * np.abs(lags)).sum())
    if spread <= 0:  # neighbours that take turns: whatever the length, single values do
        return 1
    length = math.ceil(math.pow(2 * slope**2 / (4 / 3 * spread**2) * count, 1 / 3))
    return max(1, min(length, math.ceil(min(3 * math.sqrt(count), count / 3))))


def draw_blocks(
    random: np.random.Generator, count: int, rows: int, block: int
) -> NDArray[np.int64]:
    """Blocks of neighbours, the end of the series joined to its beginning: [rows, count]."""
    starts = random.integers(0, count, (rows, -(-count // block), 1))
    drawn = (starts + np.arange(block)) % count
    return drawn.reshape(rows, -1)[:, :count]


def _autocovariance(centred: Float64, most: int) -> Float64:
    """Of the lags 0 to `most`, divided by the count of the series."""
    count = len(centred)
    size = 1 << (2 * count - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    found: Float64 = np.fft.irfft(spectrum, size)[: most + 1] / count
    return found
