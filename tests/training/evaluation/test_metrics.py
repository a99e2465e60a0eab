import numpy as np
import pytest

from edge.scoring import iou
from training.evaluation.metrics import (
    Answers,
    ocgnet_group,
    paired_iou,
    same_cell,
    score_published,
)

TRUE = (0.0, 0.0, 10.0, 10.0)
HALF = (0.0, 0.0, 10.0, 5.0)  # IoU exactly 0.5
QUARTER = (0.0, 0.0, 5.0, 5.0)  # exactly 0.25
MISS = (50.0, 50.0, 60.0, 60.0)
NONE = (np.nan,) * 4


def answers(boxes, image=None, **more) -> Answers:
    said = np.array(boxes, float).reshape(-1, 4)
    truth = np.tile(TRUE, (len(said), 1))
    where = np.arange(len(said)) if image is None else np.array(image)
    return Answers(where, truth, said, **more)


def test_iou_equal_to_the_threshold_does_not_count() -> None:
    scores = score_published(answers([TRUE, HALF, QUARTER, MISS]), 16)
    assert scores["acc@0.5"] == 1 / 4
    assert scores["acc@0.25"] == 2 / 4
    assert scores["mean_iou"] == pytest.approx((1 + 0.5 + 0.25) / 4)


def test_an_image_counts_only_if_all_of_its_objects_do() -> None:
    boxes, image = [TRUE, TRUE, TRUE, MISS, TRUE, HALF], [7, 7, 3, 3, 5, 5]
    scores = score_published(answers(boxes, image), 16)
    assert scores["acc@0.5"] == pytest.approx(4 / 6)
    assert scores["accI@0.5"] == pytest.approx(1 / 3)
    assert scores["accI@0.25"] == pytest.approx(2 / 3)
    assert (scores["n_objects"], scores["n_images"]) == (6, 3)


def test_with_one_object_an_image_both_accuracies_are_equal() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array(TRUE) + rng.normal(0, 2, (40, 4))
    scores = score_published(answers(boxes), 16)
    for end in ("", "_lo", "_hi"):
        assert scores[f"acc@0.5{end}"] == scores[f"accI@0.5{end}"]


def test_groups_by_class_and_by_number_of_objects() -> None:
    counts = [3, 4, 6, 7]
    image = np.repeat(np.arange(4), counts)
    boxes = [MISS if k == 0 else TRUE for n in counts for k in range(n)]
    kinds = tuple("car" if k == 0 else "roof" for n in counts for k in range(n))
    scores = score_published(answers(boxes, image, category=kinds), 16)
    assert scores["acc@0.5_class_car"] == 0
    assert scores["acc@0.5_class_roof"] == 1
    assert (scores["n_class_car"], scores["n_class_roof"]) == (4, 16)
    assert scores["acc@0.5_objects_1-3"] == pytest.approx(2 / 3)
    assert scores["acc@0.5_objects_4-6"] == pytest.approx(8 / 10)
    assert scores["acc@0.5_objects_7+"] == pytest.approx(6 / 7)
    assert scores["accI@0.5_objects_4-6"] == 0
    assert (scores["n_objects_4-6"], scores["n_images_4-6"]) == (10, 2)


def test_centre_accuracy_asks_for_the_same_cell() -> None:
    truth = np.array([[10.0, 10, 20, 20]] * 3)  # centre 15, 15: the first cell
    said = np.array([[0.0, 0, 31.8, 2], [0, 0, 32, 2], [0, 0, 2, 34]])
    assert same_cell(Answers(np.arange(3), truth, said), 16).tolist() == [True, False, False]


def test_centre_error_is_in_metres_where_the_ground_size_is_known() -> None:
    boxes = [(3.0, 4, 13, 14), (6, 8, 16, 18), (30, 40, 40, 50)]
    scores = score_published(answers(boxes, gsd_m=np.array([0.3, 0.5, np.nan])), 16)
    assert scores["centre_error_px_median"] == pytest.approx(10)
    assert scores["centre_error_m_median"] == pytest.approx((5 * 0.3 + 10 * 0.5) / 2)
    assert score_published(answers(boxes), 16)["centre_error_m_median"] is None


def test_no_answer_is_wrong_everywhere_and_no_nan() -> None:
    infinite = (-np.inf, -np.inf, np.inf, np.inf)
    scores = score_published(answers([TRUE, NONE, infinite]), 16)
    assert scores["acc@0.25"] == pytest.approx(1 / 3)
    assert scores["centre_accuracy"] == pytest.approx(1 / 3)
    assert scores["centre_error_px_median"] is None, "an infinite median is no number"
    assert all(v is None or np.isfinite(v) for v in scores.values())


def test_no_objects_at_all_define_nothing() -> None:
    scores = score_published(answers([]), 16)
    assert scores["n_objects"] == 0
    assert scores["acc@0.5"] is None
    assert scores["accI@0.5_hi"] is None


def test_interval_holds_the_score_and_narrows_with_more_images() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for count in (20, 500):
        boxes = [TRUE if x else MISS for x in rng.random(count) < 0.6]
        scores = score_published(answers(boxes), 16, resamples=400)
        low, mid, high = (scores[f"acc@0.5{end}"] for end in ("_lo", "", "_hi"))
        assert low <= mid <= high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    p = mid
    assert widths[1] == pytest.approx(2 * 1.96 * np.sqrt(p * (1 - p) / 500), rel=0.2)


def test_paired_iou_equals_the_runtimes() -> None:
    rng = np.random.default_rng(2)
    a, b = (np.sort(rng.integers(0, 30, (200, 2, 2)), axis=1).reshape(200, 4) for _ in range(2))
    a, b = a.astype(float), b.astype(float)
    wanted = [iou(tuple(x), tuple(y)) for x, y in zip(a, b, strict=True)]
    assert np.allclose(paired_iou(a, b), wanted)


def test_ocgnets_classes() -> None:
    names = ("building_roof", "building", "sport_baseball", "sport_tennis", "man_made_bridge")
    assert [ocgnet_group(n) for n in names] == [
        "building",
        "building",
        "sport_baseball",
        "others",
        "man_made_bridge",
    ]
    kinds = ("building_roof", "building_house", "sport_tennis")
    scores = score_published(answers([TRUE] * 3, category=kinds), 16, group=ocgnet_group)
    counted = [key for key in scores if key.startswith(("n_class_", "n_group_"))]
    assert counted == [
        *("n_class_building_house", "n_class_building_roof", "n_class_sport_tennis"),
        *("n_group_building", "n_group_others"),
    ]
    assert (scores["n_group_building"], scores["acc@0.5_group_building"]) == (2, 1)
