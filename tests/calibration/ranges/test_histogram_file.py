"""Histograms on disk: what is read is what was written, and damage is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_histograms import identity, tensor_histograms

from calibration.ranges.histogram import BINS, Histogram
from calibration.ranges.histogram_file import TensorHistograms, merged
from edge.errors import CalibrationError

VALUES = {"a": np.float32([1, -2, 0]), "b": np.zeros(3, np.float32)}


def test_it_reads_as_it_was_written(tmp_path):
    made = tensor_histograms(**VALUES)
    counts = np.zeros(BINS, np.int64)
    counts[[0, 5, BINS - 1]] = [3, 2**32, 2**40]  # more than four bytes hold
    made.tensors["wide"] = Histogram(3, -7.5, 7.9999, 3, counts)
    made.write(tmp_path / "x.histograms")
    found = TensorHistograms.read(tmp_path / "x.histograms")
    assert found.identity == made.identity and found.images == made.images
    assert list(found.tensors) == ["a", "b", "wide"]
    for name, histogram in made.tensors.items():
        np.testing.assert_array_equal(found.tensors[name].counts, histogram.counts)
        for field in ("exponent", "lowest", "highest", "zeros"):
            assert getattr(found.tensors[name], field) == getattr(histogram, field)
    assert found.encoded() == made.encoded()


def test_small_counts_take_four_bytes_and_no_empty_tail():
    made = tensor_histograms(a=np.float32([1.0]))  # bin 32768
    assert len(made.encoded()) < 4 * (BINS // 2 + 1) + 900


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "empty", "format"])
def test_damage_is_told(tmp_path, damage):
    path = tmp_path / "x.histograms"
    data = tensor_histograms(**VALUES).encoded()
    flipped = data[:500] + bytes([data[500] ^ 1]) + data[501:]
    path.write_bytes(
        {"cut": data[:-9], "flipped": flipped, "other": b"hello\nthere", "empty": b""}.get(
            damage, data
        )
    )
    if damage == "format":
        path.unlink()
    with pytest.raises(CalibrationError, match=r"x\.histograms cannot be used") as caught:
        TensorHistograms.read(path)
    assert caught.value.expected == "a whole file of the format tilefix-histograms/1"


def test_an_image_is_not_counted_twice():
    made = tensor_histograms(**VALUES)
    with pytest.raises(CalibrationError, match="counted twice") as caught:
        merged(made, made)
    assert caught.value.found == "1 in both, among them 0.png"


def test_merging_adds_and_sorts():
    first = replace(tensor_histograms(**VALUES), images=(("b", "1"),))
    second = replace(tensor_histograms(**VALUES), images=(("a", "2"),))
    both = merged(first, second)
    assert both.images == (("a", "2"), ("b", "1"))
    assert both.tensors["a"].counts.sum() == 6 and both.tensors["a"].zeros == 2
    assert both.encoded() == merged(second, first).encoded()
    assert both.identity == identity()
