"""The table of tolerances and its changes by hand."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from edge.errors import UsageError
from export.verification.boxes import BoxAgreement
from export.verification.tolerances import (
    LOOSER,
    TOLERANCES,
    Tolerance,
    between,
    limits_on,
    tolerances,
)


def test_every_precision_says_why_and_a_wider_one_allows_more():
    assert all(len(limit.reason) > 40 for limit in TOLERANCES.values())
    wide, narrow = TOLERANCES["fp32"], TOLERANCES["fp16"]
    assert wide.cosine_min > narrow.cosine_min
    assert wide.relative_max < narrow.relative_max
    assert narrow.iou_median_min >= 0.99
    for form in ("int8+fp32", "int8+fp16"):
        eight = TOLERANCES[form]
        assert eight.cosine_min < narrow.cosine_min
        assert eight.iou_median_min == 0.9, "what an INT8 bundle has to reach"


def test_what_was_measured_passes_with_room_and_three_times_worse_does_not():
    """lite on the demo flight: 2 of 316 boxes and 2 of 158 cells differ, the worst tap 0.014."""
    limit = TOLERANCES["fp16"]
    measured = BoxAgreement(316, 0.9994, 0.0, 314 / 316, 156 / 158, 158)
    assert measured.faults(limit) == []
    worse = replace(measured, iou_share=308 / 316, same_cell=150 / 158)
    assert len(worse.faults(limit)) == 2
    assert 0.014 < limit.relative_max < 3 * 0.014
    eight = TOLERANCES["int8+fp16"]
    quantised = BoxAgreement(66, 0.975, 0.0, 0.12, 26 / 33, 33)
    assert quantised.faults(eight) == []
    assert len(replace(quantised, iou_median=0.89, same_cell=19 / 33).faults(eight)) == 2
    assert eight.cosine_min == pytest.approx(1 - eight.relative_max**2 / 2, abs=2e-3)
    # an error at right angles: the two limits of a tensor then say the same
    assert limit.cosine_min == pytest.approx(1 - limit.relative_max**2 / 2, abs=1e-4)


def test_random_pictures_are_judged_by_what_weak_clicks_do():
    """Of lite, seeds 0 to 3 of 64 clicks each: the worst passes, twice as many do not."""
    limit = limits_on("random")["fp16"]
    worst = BoxAgreement(64, 0.9952, 0.0, 55 / 64, 30 / 32, 32)
    assert worst.faults(limit) == []
    assert len(worst.faults(TOLERANCES["fp16"])) == 2
    assert len(replace(worst, iou_share=45 / 64, same_cell=27 / 32).faults(limit)) == 2
    assert len(replace(worst, iou_median=0.98).faults(limit)) == 1
    for form in ("int8+fp32", "int8+fp16"):
        eight = limits_on("random")[form]
        assert BoxAgreement(64, 0.8734, 0.0, 0.0, 17 / 32, 32).faults(eight) == []
        assert len(BoxAgreement(64, 0.74, 0.0, 0.0, 0.0, 32).faults(eight)) == 2
        assert eight.cosine_min == TOLERANCES[form].cosine_min, "tensors are judged as ever"
    assert limits_on("random")["fp32"] == TOLERANCES["fp32"]
    assert limits_on("demo") == limits_on("a/folder") == TOLERANCES
    assert tolerances(["fp16.same_cell_min=0.9"], "random")["fp16"].iou_share_min == 0.72


def test_what_was_set_by_hand_is_not_loosened_by_the_reference():
    by_hand = tolerances(["fp16.relative_max=0.0001"])
    assert between(by_hand, "fp32", "fp16").relative_max == 0.0001
    assert between(by_hand, "fp32", "fp16").cosine_min == TOLERANCES["fp16"].cosine_min
    assert between(by_hand, "fp16", "fp32").relative_max == TOLERANCES["fp32"].relative_max
    for all_of_them in (["relative_max=0"], ["cosine_min=1", "relative_max=0"]):
        strict = between(tolerances(all_of_them), "fp16", "fp32")
        assert strict.relative_max == 0


def test_a_change_for_one_precision_and_for_all():
    one = tolerances(["fp16.cosine_min=0.5"])
    assert (one["fp16"].cosine_min, one["fp32"]) == (0.5, TOLERANCES["fp32"])
    assert "cosine_min was set to 0.5 by hand" in one["fp16"].reason
    both = tolerances(["int8.cosine_min=0.7"])
    assert both["int8+fp32"].cosine_min == both["int8+fp16"].cosine_min == 0.7
    assert tolerances(["int8+fp32.cosine_min=0.7"])["int8+fp16"] == TOLERANCES["int8+fp16"]
    every = tolerances(["relative_max=0.5", "fp32.relative_max=0.25"])
    assert (every["fp16"].relative_max, every["fp32"].relative_max) == (0.5, 0.25)
    assert tolerances([]) == TOLERANCES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "fp61.cosine_min=0.5",
            ("precisions fp32, fp16, int8+fp32, int8+fp16, int8", "write fp16"),
        ),
        ("cosine=0.5", ("limits cosine_min", "write cosine_min")),
        ("cosine_min", ("has no number", "''")),
        ("cosine_min=much", ("has no number", "'much'")),
        ("cosine_min=nan", ("has no number",)),
        ("fp16.relative_max=-1", ("is no limit", "relative_max from 0 to inf", "found:    -1")),
        ("iou_share_min=98", ("is no limit", "iou_share_min from 0 to 1")),
    ],
)
def test_what_cannot_be_understood(text, words):
    with pytest.raises(UsageError) as error:
        tolerances([text])
    for word in words:
        assert word in str(error.value)


def test_the_looser_of_two_precisions_counts():
    """An fp16 reference is no nearer to fp32 than fp16 is."""
    limits = tolerances(["fp32.iou_share_min=0.5"])
    assert between(limits, "fp32", "fp16") == replace(
        limits["fp16"], iou_share_min=0.5, reason=between(limits, "fp32", "fp16").reason
    )
    assert between(TOLERANCES, "fp32", "fp16") is TOLERANCES["fp16"]
    turned = between(TOLERANCES, "fp16", "fp32")
    assert replace(turned, reason="") == replace(TOLERANCES["fp16"], reason="")
    assert turned.reason.startswith("the looser of fp32 and fp16, the reference: ")


def test_every_limit_has_a_looser_side():
    assert {field.name for field in fields(Tolerance)} - {"reason", "by_hand"} == set(LOOSER)
