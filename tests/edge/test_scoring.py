"""Scores against independent formulae, by hand and by property."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.scoring import JudgedClick, centre_error_px, iou, score

TRUTH = (10.0, 10.0, 30.0, 30.0)
NEAR = (12.0, 10.0, 32.0, 30.0)  # IoU 360 / 440
FAR = (60.0, 10.0, 80.0, 30.0)  # IoU 0


def click(frame="f", object_id="a", box=TRUTH, accepted=True, truth=TRUTH, gsd_m=1.0):
    known = object_id is not None
    return JudgedClick(frame, object_id, truth if known else None, box, accepted, gsd_m)


whole = st.integers(0, 24)
boxes = st.tuples(whole, whole, st.integers(1, 16), st.integers(1, 16)).map(
    lambda v: (float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3]))
)


@given(boxes, boxes)
def test_iou_is_the_share_of_cells_that_both_cover(a, b):
    """Independent of the formula: paint both boxes on a grid of cells and count."""
    painted = np.zeros((2, 48, 48), bool)
    for layer, (x1, y1, x2, y2) in zip(painted, (a, b), strict=True):
        layer[int(y1) : int(y2), int(x1) : int(x2)] = True
    expected = (painted[0] & painted[1]).sum() / (painted[0] | painted[1]).sum()
    assert iou(a, b) == pytest.approx(expected, abs=1e-12)
    assert iou(a, b) == iou(b, a)


def test_iou_of_boxes_without_area_is_zero():
    assert iou((5, 5, 5, 5), (5, 5, 5, 5)) == 0.0
    assert iou((5, 5, 5, 9), TRUTH) == 0.0


@given(boxes, boxes)
def test_centre_error_is_the_distance_of_the_centres(a, b):
    middle = [np.reshape(box, (2, 2)).mean(axis=0) for box in (a, b)]
    assert centre_error_px(a, b) == pytest.approx(np.linalg.norm(middle[0] - middle[1]))


def test_an_iou_of_exactly_a_quarter_is_wrong():
    quarter = (10.0, 10.0, 20.0, 20.0)
    assert iou(quarter, TRUTH) == 0.25
    at = score([click(box=quarter)])
    assert at["acc@0.25"] == 0.0
    assert at["wrong_rate"] == 1.0
    above = score([click(box=(10.0, 10.0, 20.0, 20.01))])
    assert above["acc@0.25"] == 1.0
    assert above["wrong_rate"] == 0.0


def test_an_iou_of_exactly_a_half_is_wrong_at_half():
    half = (10.0, 10.0, 30.0, 20.0)
    assert iou(half, TRUTH) == 0.5
    scores = score([click(box=half)])
    assert (scores["acc@0.25"], scores["acc@0.5"]) == (1.0, 0.0)


def test_objects_count_alike_however_often_they_are_seen():
    often = [click(f"f{n}", "often", FAR) for n in range(9)]
    scores = score([*often, click("f0", "seldom", TRUTH)])
    assert scores["acc@0.25"] == 0.5  # by clicks it would be 0.1
    assert scores["mean_iou"] == 0.5
    assert (scores["n_clicks"], scores["n_objects"], scores["n_frames"]) == (10, 2, 9)


def test_one_wrong_click_spoils_its_frame_only():
    """accI: the clicks of an object in frames where all was right, objects alike."""
    scores = score(
        [click("f1", "a"), click("f1", "b", FAR), click("f2", "a"), click("f3", None, FAR)]
    )
    assert scores["acc@0.25"] == 0.5  # a: 1, b: 0
    assert scores["accI@0.25"] == 0.25  # a: (0 + 1) / 2, b: 0
    assert scores["accI@0.25"] <= scores["acc@0.25"]


def test_centre_errors_are_medians_in_pixels_and_metres():
    shifted = [(10.0 + d, 10.0, 30.0 + d, 30.0) for d in (1, 3, 8)]
    judged = [click("f", f"o{n}", box, gsd_m=0.5) for n, box in enumerate(shifted)]
    scores = score(judged)
    assert scores["centre_error_px_median"] == 3.0
    assert scores["centre_error_m_median"] == 1.5
    assert scores["centre_error_px_median_lo"] == 1.0
    assert scores["centre_error_px_median_hi"] == 8.0


def test_no_answer_is_wrong_and_infinitely_far():
    scores = score([click(box=None, accepted=False)])
    assert scores["mean_iou"] == 0.0
    assert scores["centre_in_box"] == 0.0
    assert scores["centre_error_m_median"] is None
    mixed = score([click("f", n, box) for n, box in (("a", None), ("b", TRUTH), ("c", TRUTH))])
    assert mixed["centre_error_m_median"] == 0.0
    assert mixed["centre_error_m_median_hi"] is None


def test_sizes_are_metres_of_the_true_box():
    """20 px boxes at 0.2, 0.5 and 0.75 m per pixel: 4, 10 and 15 m."""
    judged = [click("f", f"{gsd}", NEAR, gsd_m=gsd) for gsd in (0.2, 0.5)]
    judged.append(click("f", "large", FAR, gsd_m=0.75))
    scores = score(judged)
    sizes = [(scores[f"n_objects_{s}"], scores[f"acc@0.25_{s}"]) for s in ("small", "medium")]
    assert sizes == [(1, 1.0), (1, 1.0)]
    assert (scores["n_objects_large"], scores["acc@0.25_large"]) == (1, 0.0)


def test_coverage_and_wrong_rate_at_the_threshold():
    scores = score(
        [
            click("f", "right", NEAR, accepted=True),
            click("f", "wrong", FAR, accepted=True),
            click("f", "right but refused", NEAR, accepted=False),
            click("f", None, FAR, accepted=True),
            click("f", None, FAR, accepted=False),
        ]
    )
    assert scores["coverage"] == pytest.approx(3 / 5)
    assert scores["wrong_rate"] == pytest.approx(2 / 3)
    assert scores["wrong_rate_own_map"] == scores["wrong_rate"]
    assert scores["n_absent"] == 2
    assert scores["false_accept_rate_other_site"] is None


def test_what_is_accepted_on_the_map_of_another_site_is_wrong():
    own = [click("f", "a", TRUTH), click("f", "b", TRUTH)]
    other = [click("f", "a", TRUTH, accepted=True), click("f", "b", TRUTH, accepted=False)]
    scores = score(own, other)
    assert scores["false_accept_rate_other_site"] == 0.5
    assert scores["wrong_rate"] == pytest.approx(1 / 3)  # 1 of 3 accepted answers
    assert scores["wrong_rate_own_map"] == 0.0
    assert scores["coverage"] == 1.0  # own map only
    assert scores["n_other_site"] == 2


def test_an_absent_thing_accepted_elsewhere_counts_too():
    scores = score([click("f", "a")], [click("f", None, FAR, accepted=True)])
    assert scores["wrong_rate"] == pytest.approx(1 / 2)


def test_without_any_accepted_answer_there_is_no_wrong_rate():
    scores = score([click(accepted=False)])
    assert scores["coverage"] == 0.0
    assert scores["wrong_rate"] is scores["wrong_rate_lo"] is scores["wrong_rate_hi"] is None


def test_nothing_on_the_map_leaves_accuracies_undefined():
    scores = score([click("f", None, FAR)])
    assert scores["n_objects"] == 0
    assert scores["acc@0.25"] is None
    assert scores["centre_error_m_median"] is None


def mixed_run(count=40, seed=5):
    random = np.random.default_rng(seed)
    return [
        click(
            f"f{n % 7}",
            f"o{n % 13}",
            NEAR if random.random() < 0.6 else FAR,
            accepted=bool(random.random() < 0.7),
        )
        for n in range(count)
    ]


def test_every_score_has_an_interval_around_it_and_is_flat():
    scores = score(mixed_run(), mixed_run(seed=6))
    keys = [key for key in scores if not key.startswith("n_") and key[-3:] not in ("_lo", "_hi")]
    assert len(keys) > 10
    for key in keys:
        if scores[key] is None:
            continue
        assert scores[f"{key}_lo"] <= scores[key] <= scores[f"{key}_hi"]
    assert all(value is None or math.isfinite(value) for value in scores.values())


def test_the_bootstrap_repeats_and_follows_its_seed():
    run = mixed_run()
    assert score(run) == score(run)
    assert score(run) == score(list(reversed(run)))  # the order of clicks is no matter
    assert score(run, seed=1)["acc@0.25_lo"] != score(run, seed=2, resamples=50)["acc@0.25_lo"]
    assert score(run, seed=1)["acc@0.25"] == score(run, seed=2)["acc@0.25"]


def test_the_interval_is_that_of_a_bootstrap_over_objects():
    """Against scipy's percentile bootstrap of the per-object means."""
    from scipy.stats import bootstrap

    run = mixed_run(200)
    right: dict[str, list[bool]] = {}
    for each in run:
        right.setdefault(each.object_id, []).append(each.iou > 0.25)
    means = np.array([np.mean(values) for values in right.values()])
    expected = bootstrap(
        (means,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    scores = score(run)
    assert scores["acc@0.25_lo"] == pytest.approx(expected.low, abs=0.02)
    assert scores["acc@0.25_hi"] == pytest.approx(expected.high, abs=0.02)


def test_one_object_has_no_spread():
    scores = score([click("f1", "a"), click("f2", "a", FAR)])
    assert scores["acc@0.25_lo"] == scores["acc@0.25"] == scores["acc@0.25_hi"] == 0.5
