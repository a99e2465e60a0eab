"""Agreement of boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from export.verification.boxes import BoxTally
from export.verification.tolerances import TOLERANCES

BOXES = np.float32([[0, 0, 16, 16], [32, 32, 64, 64], [100, 100, 110, 120], [5, 5, 9, 9]])


def tallied(candidate, free=(True,) * 4):
    tally = BoxTally(stride_px=16)
    tally.add(BOXES, np.float32(candidate), np.array(free))
    return tally.agreement()


def test_equal_boxes_pass_every_precision():
    found = tallied(BOXES)
    assert (found.clicks, found.iou_median, found.iou_min, found.iou_share) == (4, 1, 1, 1)
    assert found.same_cell == 1
    for limit in TOLERANCES.values():
        assert found.faults(limit) == []


def test_a_box_in_another_cell_counts_in_each_measure():
    moved = BOXES.copy()
    moved[0] += 16  # a cell further, and off its own place
    moved[1] += 0.125  # within its cell: IoU a little below 0.99
    found = tallied(moved)
    assert found.iou_min == 0
    inner = (32 - 0.125) ** 2
    assert found.iou_median == pytest.approx((1 + inner / (2 * 32**2 - inner)) / 2)
    assert (found.iou_share, found.same_cell) == (0.5, 0.75)
    faults = found.faults(TOLERANCES["fp16"])
    assert faults == [
        "50.0% of the boxes with IoU >= 0.99, at least 75.0%",
    ]
    moved[1] += 16
    assert tallied(moved).faults(TOLERANCES["fp16"])[1:] == [
        "50.0% of the boxes with IoU >= 0.99, at least 75.0%",
        "50.0% of the winning cells equal, at least 75.0%",
    ]


@pytest.mark.parametrize(("clicks", "passing"), [(8, 1), (49, 1), (100, 2), (150, 3)])
def test_of_few_clicks_one_may_differ_and_of_many_the_share(clicks, passing):
    strict = replace(TOLERANCES["fp16"], iou_share_min=1.0, same_cell_min=1.0)
    for wrong in range(passing + 2):
        boxes = np.tile(BOXES[:1], (clicks, 1))
        moved = boxes.copy()
        moved[:wrong] += 16
        tally = BoxTally(stride_px=16)
        tally.add(boxes, moved, np.full(clicks, True))
        shares = [text for text in tally.agreement().faults(TOLERANCES["fp16"]) if "boxes" in text]
        assert bool(shares) == (wrong > passing)
        assert bool(tally.agreement().faults(strict)) == (wrong > 0)


def test_clicks_with_a_prior_say_nothing_of_the_cell():
    moved = BOXES.copy()
    moved[0] += 16
    assert tallied(moved, free=(False, True, True, True)).same_cell == 1
    assert tallied(moved, free=(False,) * 4).same_cell is None


def test_a_box_that_is_no_number_agrees_with_nothing():
    broken = BOXES.copy()
    broken[:, 0] = np.nan
    found = tallied(broken)
    assert (found.iou_median, found.same_cell) == (0, 0)


def test_no_box_at_all_is_no_pass():
    assert BoxTally(stride_px=16).agreement().faults(TOLERANCES["fp32"])


def test_the_share_of_boxes_that_overlap_so_much():
    tally = BoxTally(stride_px=16)
    assert np.isnan(tally.share_at(0.5))
    whole = np.array([[0, 0, 10, 10]] * 4, np.float32)
    cut = whole.copy()
    cut[:, 2] = [10, 9, 8, 0]  # IoU 1, 0.9, 0.8, 0
    tally.add(whole, cut, np.zeros(4, bool))
    assert [tally.share_at(least) for least in (0.95, 0.85, 0.75)] == [0.25, 0.5, 0.75]
