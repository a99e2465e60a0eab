import numpy as np
import pytest

from calibration.judging.scores import (
    LocatedClick,
    acceptance_of,
    compared,
    score_regime,
    score_regimes,
)
from edge.acceptance import AcceptanceModel
from edge.types import Localizations, Prior, PriorSource


def localizations(boxes, peak=0.0) -> Localizations:
    n = len(boxes)
    zeros = [np.zeros(n, np.float32) for _ in range(3)]
    return Localizations(
        np.array(boxes, np.float32), zeros[0], np.full(n, peak, np.float32), *zeros[1:]
    )


def click(sample, before, after, agreement=1.0, probability=0.5, accepted=False, present=True):
    return LocatedClick(sample, present, (before, after), agreement, probability, accepted)


def test_both_answers_are_compared_with_the_truth_and_with_each_other():
    truth = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    answers = localizations([[0, 0, 10, 10]] * 2), localizations([[0, 0, 10, 5]] * 2)
    judged = np.array([0.75, 0.25]), np.array([True, False])
    present, absent = compared(7, answers, np.array([True, False]), truth, *judged)
    assert present == LocatedClick(7, True, (1.0, 0.5), 0.5, 0.75, True)
    assert absent == LocatedClick(7, False, (0.0, 0.0), 0.5, 0.25, False)


def test_accuracy_is_the_candidates_and_the_change_is_against_float32():
    clicks = [click(n, 0.9, 0.3 if n < 2 else 0.1 if n < 3 else 0.9) for n in range(10)]
    found = score_regime("no prior", clicks)
    assert (found.accuracy_25, found.accuracy_50) == pytest.approx((0.9, 0.7))
    assert (found.change_25.mean, found.change_50.mean) == pytest.approx((-10.0, -30.0))
    assert found.change_25.low < -10.0 < found.change_25.high <= 0.0
    assert (found.clicks, found.clicks_on_map, found.samples) == (10, 10, 10)


def test_an_iou_of_exactly_a_quarter_is_not_right():
    assert score_regime("no prior", [click(0, 0.25, 0.25)]).accuracy_25 == 0.0


def test_absent_objects_count_for_agreement_and_acceptance_not_for_accuracy():
    clicks = [click(0, 0.9, 0.9), click(1, 0.0, 0.0, 0.2, 0.9, accepted=True, present=False)]
    found = score_regime("alignment", clicks)
    assert (found.clicks, found.clicks_on_map, found.samples) == (2, 1, 1)
    assert found.accuracy_25 == 1.0 and found.change_25.mean == 0.0
    assert found.box_iou_90 == 0.5 and found.box_iou_median == pytest.approx(0.6)
    assert (found.wrong_rate, found.coverage) == (1.0, 0.5)


def test_acceptance_is_judged_by_what_it_takes_and_by_its_probabilities():
    clicks = [
        click(0, 0.9, 0.9, probability=0.95, accepted=True),
        click(1, 0.9, 0.1, probability=0.95, accepted=True),
        click(2, 0.9, 0.9, probability=0.15),
        click(3, 0.9, 0.1, probability=0.15),
    ]
    found = score_regime("alignment", clicks)
    assert (found.wrong_rate, found.coverage) == (0.5, 0.5)
    # two bins: stated 0.95 and 0.15, right in half of the cases each
    assert found.calibration_error == pytest.approx((0.45 + 0.35) / 2)
    none = score_regime("alignment", [click(0, 0.9, 0.9)])
    assert (none.wrong_rate, none.coverage) == (0.0, 0.0)


def test_the_bundles_own_thresholds_accept_with_and_without_alignment():
    weights = np.array([1.0, 0, 0, 0, 0, 0, 0])
    model = AcceptanceModel(weights, 0.0, threshold=0.6, threshold_unaligned=0.9)
    found = localizations([[0, 0, 1, 1]] * 2, peak=1.0)  # sigmoid(1) = 0.731
    probability, accepted = acceptance_of(found, None, model)
    assert probability == pytest.approx([0.7310586] * 2) and not accepted.any()
    one, unknown = np.ones(2, np.float32), np.array([1.0, 0.0], np.float32)
    prior = Prior(np.zeros((2, 2), np.float32), one, PriorSource.ALIGNMENT, 30)
    assert acceptance_of(found, prior, model)[1].all()
    prior = Prior(np.zeros((2, 2), np.float32), unknown, PriorSource.ALIGNMENT, 30)
    assert acceptance_of(found, prior, model)[1].tolist() == [True, False]


def test_a_regime_without_clicks_has_no_score():
    found = score_regimes({"no prior": [click(0, 0.9, 0.9)], "alignment": []})
    assert [each.regime for each in found] == ["no prior"]
