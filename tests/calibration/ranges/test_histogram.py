"""Counts against np.histogram, and their independence of order and grouping."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.ranges.histogram import (
    BINS,
    COARSE_BINS,
    LEAST_EXPONENT,
    CoarseHistogram,
    Histogram,
    HistogramBuilder,
    Scratch,
    exponent_of,
    widened,
)


def built(*images: np.ndarray) -> Histogram:
    builder, scratch = HistogramBuilder(), Scratch()
    for image in images:
        builder.add(float(image.min()), float(image.max()), image, scratch)
    return builder.histogram()


def same(a: Histogram, b: Histogram) -> bool:
    fields = ("exponent", "lowest", "highest", "zeros")
    return all(getattr(a, x) == getattr(b, x) for x in fields) and (a.counts == b.counts).all()


@pytest.mark.parametrize("scale", [1e-20, 0.003, 1.0, 700.0, 1e30])
def test_counts_are_those_of_numpy(scale):
    values = (np.random.default_rng(0).normal(size=5000) * scale).astype(np.float32)
    found = built(values)
    top = BINS * found.width
    assert top / 2 <= found.amax < top
    # Edges are powers of two times whole numbers: no value can fall beside one by rounding.
    wanted, _ = np.histogram(np.abs(values.astype(np.float64)), BINS, (0, top))
    np.testing.assert_array_equal(found.counts, wanted)
    assert (found.lowest, found.highest) == (values.min(), values.max())


@pytest.mark.parametrize("amax", [1.0, 2.0, 6.0, np.float32(4) - np.float32(2**-22)])
def test_a_value_on_an_edge_lies_in_the_bin_above_it(amax):
    found = built(np.array([amax, -amax, 0], np.float32))
    assert found.counts[int(amax / found.width)] == 2
    assert found.used == int(amax / found.width) + 1
    assert found.zeros == 1
    assert amax < 2.0**found.exponent


values = st.lists(
    st.floats(-(2.0**90), 2.0**90, width=32, allow_subnormal=False), min_size=1, max_size=20
)


@settings(max_examples=60, deadline=None)
@given(st.lists(values, min_size=1, max_size=5), st.randoms())
def test_neither_order_nor_shards_matter(images, random):
    arrays = [np.array(image, np.float32) for image in images]
    at_once = built(np.concatenate(arrays))
    shuffled = random.sample(arrays, len(arrays))
    assert same(built(*shuffled), at_once)
    cut = random.randrange(len(arrays))
    if cut:
        first, second = built(*shuffled[:cut]), built(*shuffled[cut:])
        assert same(first.merged(second), at_once)
        assert same(second.merged(first), at_once)


def test_going_on_from_a_histogram_is_going_on():
    a, b = np.float32([0.5, -3]), np.float32([100, 0])
    builder = HistogramBuilder(built(a))
    builder.add(0, 100, b, Scratch())
    assert same(builder.histogram(), built(a, b))


def test_going_on_leaves_the_start_alone():
    start = built(np.float32([1, 2]))
    counts = start.counts.copy()
    HistogramBuilder(start).add(1, 1, np.float32([1]), Scratch())
    np.testing.assert_array_equal(start.counts, counts)


def test_bounds_of_values_that_were_not_sampled_set_the_top():
    builder = HistogramBuilder()
    builder.add(-1000.0, 1.0, np.float32([1]), Scratch())
    found = builder.histogram()
    assert found.amax == 1000 and found.exponent == 10
    assert found.counts.sum() == 1 and found.counts[64] == 1


def test_widening_far_leaves_all_in_the_first_bin():
    counts = np.arange(BINS, dtype=np.int64)
    assert widened(counts, 500)[0] == counts.sum() == widened(counts, 16)[0]
    np.testing.assert_array_equal(widened(counts, 1)[: BINS // 2], counts[::2] + counts[1::2])


@pytest.mark.parametrize("amax", [1.0, 1.0001, 1.5, 1.9999, 6.0])
def test_the_coarse_bins_are_whole_groups_up_to_little_beyond_amax(amax):
    sample = np.random.default_rng(1).uniform(0, amax, 4000).astype(np.float32)
    found = built(np.append(sample, np.float32(amax)))
    coarse = CoarseHistogram.of(found)
    top = coarse.width * COARSE_BINS
    assert found.amax < top <= 1.0625 * found.amax
    wanted, _ = np.histogram(np.append(sample, np.float32(amax)), COARSE_BINS, (0, top))
    np.testing.assert_array_equal(coarse.counts, wanted)


def test_the_share_beyond_a_threshold():
    sample = np.float32([0, 1, 2, 3, -4])
    found = built(sample)
    assert found.share_beyond(2.5) == pytest.approx(0.4)
    assert found.share_beyond(0.5) == pytest.approx(0.8)
    assert found.share_beyond(4.0) == found.share_beyond(9.0) == 0


def test_zeros_have_a_top_too():
    found = built(np.zeros(7, np.float32))
    assert (found.exponent, found.used, found.zeros) == (LEAST_EXPONENT, 1, 7)
    assert exponent_of(1e-40) == LEAST_EXPONENT
