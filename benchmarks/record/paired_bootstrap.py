"""Ratios of percentiles of two series of latencies, with bootstrap intervals.

Both runs send the same queries in the same order, so the same ones are drawn of both: what a frame
costs more than another falls out of the ratio. Neighbours hang together (heat, clocks, other
programs), so whole blocks are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.blocks import block_length, draw_blocks
from benchmarks.record.frame_ages import NEVER_NS
from benchmarks.record.percentiles import supported
from edge.types import Float64

SEED = 20240229
RESAMPLES, LEAST_RESAMPLES = 1000, 300
DRAWS = 50_000_000  # in all, by which long series are resampled less often
INTERVAL_PERCENT = (2.5, 97.5)
ELEMENTS = 1 << 21  # drawn at once


@dataclass(frozen=True, slots=True)
class Ratio:
    """Second by first, of one percentile."""

    percent: float
    first_ms: float
    second_ms: float
    ratio: float
    low: float  # of the 95 % interval
    high: float
    log_error: float  # standard error of the ratio's logarithm


@dataclass(frozen=True, slots=True)
class Ratios:
    """All percentiles that the smaller series supports."""

    of: tuple[Ratio, ...]
    counts: tuple[int, int]
    paired: bool
    block: int  # queries that were drawn together
    never: tuple[float, ...] = ()  # percentiles among frames that one of both never answered


def percentile_ratios(
    first_ns: NDArray[np.int64],
    second_ns: NDArray[np.int64],
    *,
    paired: bool = True,
    resamples: int | None = None,
    block: int | None = None,
) -> Ratios:
    """Compare two series of durations.

    Args:
        first_ns: [N] nanoseconds; NEVER_NS of a frame that was never answered.
        second_ns: [M] nanoseconds; paired with the first by index, as far as both reach.
        paired: False: not the same queries; each series is drawn by itself.
        resamples: how many times; None: RESAMPLES, fewer for long series.
        block: how many neighbours are drawn together; None: chosen from the series.
    """
    shared = min(len(first_ns), len(second_ns))
    if paired:
        first_ns, second_ns = first_ns[:shared], second_ns[:shared]
    told = supported(shared)
    counts = len(first_ns), len(second_ns)
    both = list(zip(told, *(_values(each, told) for each in (first_ns, second_ns)), strict=True))
    percents = tuple(percent for percent, *each in both if max(each) < NEVER_NS)
    never = tuple(percent for percent in told if percent not in percents)
    if not percents:
        return Ratios((), counts, paired, 1, never)
    if block is None:
        block = max(_block(series, percents) for series in (first_ns, second_ns))
    if resamples is None:
        resamples = max(LEAST_RESAMPLES, min(RESAMPLES, DRAWS // max(counts)))
    found = _values(first_ns, percents), _values(second_ns, percents)
    logs = np.concatenate(list(_draw(first_ns, second_ns, percents, paired, resamples, block)))
    low, high = np.exp(np.percentile(logs, INTERVAL_PERCENT, axis=0))
    errors = logs.std(axis=0, ddof=1)
    return Ratios(
        tuple(
            Ratio(
                percent,
                first / 1e6,
                second / 1e6,
                second / first,
                float(low[index]),
                float(high[index]),
                float(errors[index]),
            )
            for index, (percent, first, second) in enumerate(zip(percents, *found, strict=True))
        ),
        counts,
        paired,
        block,
        never,
    )


def _block(series: NDArray[np.int64], percents: Sequence[float]) -> int:
    """What hangs together is whether a query lies above a percentile: that is what is drawn for."""
    return max(
        block_length((series > limit).astype(np.float64)) for limit in _values(series, percents)
    )


def _values(series: NDArray[np.int64], percents: Sequence[float]) -> list[float]:
    """Percentiles of one series, at least 1 ns: they are divided by."""
    if not percents:
        return []
    ranks = _ranks(len(series), percents)
    return [max(float(value), 1.0) for value in np.partition(series, ranks)[ranks]]


def _ranks(count: int, percents: Sequence[float]) -> list[int]:
    """Where the percentiles stand in the sorted series, as `percentiles.METHOD` has it."""
    return [max(math.ceil(round(count * percent / 100, 6)) - 1, 0) for percent in percents]


def _draw(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    percents: Sequence[float],
    paired: bool,
    resamples: int,
    block: int,
) -> Iterator[Float64]:
    """Logarithms of the ratios of resamples, [some, percents] at a time."""
    random = np.random.default_rng(SEED)
    at_once = max(1, ELEMENTS // max(len(first), len(second)))
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = draw_blocks(random, len(first), rows, block)
        other = drawn if paired else draw_blocks(random, len(second), rows, block)
        values = []
        for series, indices in ((first, drawn), (second, other)):
            ranks = _ranks(len(series), percents)
            values.append(np.maximum(np.partition(series[indices], ranks, axis=1)[:, ranks], 1))
        yield np.log(values[1] / values[0])
