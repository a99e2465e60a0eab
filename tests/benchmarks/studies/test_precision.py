import pytest

from benchmarks.studies.precision import shown_real, summary
from calibration.judging.real_frames import score_real
from calibration.judging.scores import LocatedClick
from edge.scoring import JudgedClick


def test_the_record_shows_both_accuracies_and_the_change():
    """40 samples of 5 clicks; in 4 of them the second precision loses all five."""
    clicks = [
        LocatedClick(sample, True, (0.9, 0.1 if sample < 4 else 0.9), 0.995)
        for sample in range(40)
        for _ in range(5)
    ]
    found = summary("no prior", clicks)
    assert found["acc@0.25"] == [1.0, 0.9]
    change = found["acc@0.25_change_points"]
    assert change["mean"] == -10.0
    low, high = change["interval_95"]
    # binomial over 40 samples, not over 200 clicks: a standard error of 4.7 points, not of 2.1
    assert low == pytest.approx(-20.0, abs=2.6) and high == pytest.approx(-2.5, abs=2.6)
    assert found["box_iou_median"] == 0.995 and found["clicks"] == 200


def test_absent_objects_count_for_agreement_and_not_for_accuracy():
    clicks = [LocatedClick(0, True, (0.9, 0.9), 1.0), LocatedClick(1, False, (0.0, 0.0), 0.2)]
    found = summary("no prior", clicks)
    assert (found["clicks"], found["clicks_on_map"]) == (2, 1)
    assert found["box_iou_at_least_0.99"] == 0.5
    assert found["acc@0.25"] == [1.0, 1.0]
    assert summary("no prior", []) == {"clicks": 0}


def test_changed_verdicts_are_named_by_both_precisions():
    box, half = (0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 5.0)
    before = [JudgedClick("f", "o", box, box, True)]
    after = [JudgedClick("f", "o", box, half, False)]
    found = shown_real(score_real(["made.json"], before, after), "fp16")
    assert found["changed_verdicts"] == [
        {"frame": "f", "object": "o", "fp32": "accepted, right", "fp16": "refused, right"}
        | {"iou": [1.0, 0.5]}
    ]
    assert (found["sightings"], found["box_iou_median"]) == (1, 0.5)
