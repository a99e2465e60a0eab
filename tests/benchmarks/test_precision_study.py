import numpy as np
import pytest

from benchmarks.precision_study import Located, compared, summary, verdict
from edge.scoring import JudgedClick
from edge.types import Localizations


def localizations(boxes) -> Localizations:
    n = len(boxes)
    numbers = [np.zeros(n, np.float32) for _ in range(4)]
    return Localizations(np.array(boxes, np.float32), *numbers)


def test_both_answers_are_compared_with_the_truth_and_with_each_other():
    truth = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    answers = [localizations([[0, 0, 10, 10]] * 2), localizations([[0, 0, 10, 5]] * 2)]
    present, absent = compared(7, answers, np.array([True, False]), truth)
    assert present == Located(7, True, (1.0, 0.5), 0.5)
    assert absent == Located(7, False, (0.0, 0.0), 0.5)


def test_the_interval_of_the_change_is_over_samples_and_paired():
    """40 samples of 5 clicks; in 4 of them the second precision loses all five."""
    clicks = [
        Located(sample, True, (0.9, 0.1 if sample < 4 else 0.9), 0.995)
        for sample in range(40)
        for _ in range(5)
    ]
    found = summary(clicks)
    assert found["acc@0.25"] == [1.0, 0.9]
    change = found["acc@0.25_change_points"]
    assert change["mean"] == -10.0
    low, high = change["interval_95"]
    # binomial over 40 samples, not over 200 clicks: a standard error of 4.7 points, not of 2.1
    assert low == pytest.approx(-20.0, abs=2.6) and high == pytest.approx(-2.5, abs=2.6)
    assert found["box_iou_median"] == 0.995 and found["clicks"] == 200


def test_absent_objects_count_for_agreement_and_not_for_accuracy():
    clicks = [Located(0, True, (0.9, 0.9), 1.0), Located(1, False, (0.0, 0.0), 0.2)]
    found = summary(clicks)
    assert (found["clicks"], found["clicks_on_map"]) == (2, 1)
    assert found["box_iou_at_least_0.99"] == 0.5
    assert found["acc@0.25"] == [1.0, 1.0]
    assert summary([]) == {"clicks": 0}


def test_a_verdict_is_acceptance_and_truth():
    box = (0.0, 0.0, 10.0, 10.0)
    assert verdict(JudgedClick("f", "o", box, box, True)) == "accepted, right"
    assert verdict(JudgedClick("f", None, None, box, False)) == "refused, wrong"
