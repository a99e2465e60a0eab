"""The measures of two tensors, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cosine

from export.verification.comparison import TensorTally
from export.verification.tolerances import TOLERANCES

LIMIT = TOLERANCES["fp16"]


def compared(*pairs):
    tally = TensorTally("localizer", "tap.x", judged=True)
    for number, (reference, candidate) in enumerate(pairs):
        tally.add(np.asarray(reference), np.asarray(candidate), f"input {number}")
    return tally.agreement()


def test_the_measures_are_those_of_scipy_and_the_worst_input_is_named():
    random = np.random.default_rng(0)
    pairs = []
    for noise in (0.01, 0.3, 0.1):
        a = random.normal(size=(3, 5, 7)).astype(np.float32)
        pairs.append((a, (a + noise * random.normal(size=a.shape)).astype(np.float16)))
    found = compared(*pairs)
    wide = [(a.astype(float).ravel(), b.astype(float).ravel()) for a, b in pairs]
    assert found.cosine == pytest.approx(min(1 - cosine(a, b) for a, b in wide), abs=1e-12)
    relative = max(np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in wide)
    assert found.relative == pytest.approx(relative, rel=1e-12)
    assert found.max_abs == max(np.abs(a - b).max() for a, b in wide)
    assert found.peak == max(np.abs(a).max() for a, _ in wide)
    assert found.worst_input == "input 1"
    assert "cosine" in found.fault(LIMIT)


def test_equal_tensors_agree_even_where_they_are_zero():
    for value in (np.ones((2, 3)), np.zeros((2, 3))):
        found = compared((value, value))
        assert (found.cosine, found.relative, found.max_abs) == (1.0, 0.0, 0.0)
        assert found.fault(LIMIT) == ""


def test_zero_against_something_is_as_far_as_can_be():
    found = compared((np.zeros(3), np.ones(3)))
    assert (found.cosine, found.relative) == (0.0, np.inf)
    assert found.fault(LIMIT).startswith("cosine 0.0")


def test_a_scale_alone_is_seen_by_the_relative_error():
    found = compared((np.arange(8.0), 1.1 * np.arange(8.0)))
    assert found.cosine == pytest.approx(1)
    assert found.fault(LIMIT) == "relative error 0.1, at most 0.03"


def test_another_shape_is_a_fault_that_later_inputs_do_not_hide():
    found = compared((np.ones((2, 3)), np.ones((3, 2))), (np.ones((2, 3)), np.ones((2, 3))))
    assert found.fault(LIMIT) == "shape [3, 2] instead of [2, 3]"
    assert found.worst_input == "input 0"


@pytest.mark.parametrize(
    ("reference", "candidate", "fault"),
    [
        ([1.0, 2, 3], [1.0, np.nan, np.inf], "2 NaN or infinite values"),
        ([1.0, -np.inf, 3], [1.0, -np.inf, 3], ""),  # a masked logit in both
        ([1.0, -np.inf, 3], [1.0, np.inf, 3], "1 NaN or infinite values"),
        ([np.nan, 2, 3], [1.0, 2, 3], "1 NaN in the reference"),
        ([np.nan, 2, 3], [np.nan, 2, 3], "1 NaN in the reference"),
    ],
)
def test_values_that_are_no_numbers(reference, candidate, fault):
    found = compared((reference, candidate))
    assert found.fault(LIMIT) == fault
    assert found.cosine == pytest.approx(1), "the numbers beside them are still compared"


def test_a_tensor_that_is_not_judged_fails_by_its_nans_and_shape_only():
    tally = TensorTally("localizer", "box_xyxy_px", judged=False)
    tally.add(np.array([1.0, 2.0]), np.array([5.0, -2.0]), "a")
    assert tally.agreement().fault(LIMIT) == ""
    tally.add(np.array([1.0, 2.0]), np.array([5.0, np.nan]), "b")
    assert tally.agreement().fault(LIMIT) == "1 NaN or infinite values"
