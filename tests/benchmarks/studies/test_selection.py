import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies.selection import choices_of, coverage, spread, study
from benchmarks.studies.selection_flights import Recorded
from calibration.selection.candidate import Candidate, seen
from calibration.selection.look import look_at


def pictures(count, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(
        np.clip(rng.normal(60 + 5 * n, 30, (48, 64, 3)), 0, 255).astype(np.uint8)
        for n in range(count)
    )


def test_coverage_is_counted_per_frame_and_per_value():
    magnitude = np.array([[1, 1], [2, 1], [1, 3], [2, 0.5], [2.5, 0.5]])
    found = coverage(magnitude, [0, 1], [2, 3, 4], "aabba")
    # limits 2 and 1: frame 2 leaves the second, frame 4 the first
    assert found == {
        "frames_inside": pytest.approx(1 / 3),
        "parts_inside": pytest.approx((1 / 2 + 0) / 2),
        "values_inside": pytest.approx(4 / 6),
        "worst_excess": 3.0,
    }
    assert spread([found, found])["worst_excess_5_95"] == [3.0, 3.0]
    assert "worst_excess_5_95" not in spread([found])


def test_every_way_takes_the_same_number_from_the_candidates():
    images = pictures(20)
    pool = [
        Candidate(
            source=0,
            item=2 * n,
            place=(n, 0),
            name="a",
            words="",
            feature=np.float32([n, 1]).tobytes(),
            **seen(look_at(image), image),
        )
        for n, image in enumerate(images)
    ]
    ways = choices_of(pool, pool[3:], ["a"], 6)
    assert ways["first"] == [[0, 2, 4, 6, 8, 10]]
    assert ways["evenly spaced"] == [[0, 6, 12, 20, 26, 32]]
    for way, choices in ways.items():
        for choice in choices:
            assert len(set(choice)) == 6, way
            assert set(choice) <= {each.item for each in pool}
    assert all(min(choice) >= 6 for choice in ways["selection"])


def test_a_study_of_made_up_magnitudes():
    """Peaks grow with brightness, and frames become brighter: the first ones know least."""
    flight = Recorded("made", pictures(28), ("a",) * 28, ("a",) * 28)

    def probe(frame):
        return np.float32([frame.mean(), 255 - frame.mean()])

    found = study(flight, (64, 48), probe, [4, 99])
    assert list(found["chosen"]) == ["4"]
    ways = found["chosen"]["4"]
    assert ways["first"]["frames_inside"] < 0.5
    assert ways["selection with peaks"]["frames_inside"] > 0.8
    assert (found["candidates"], found["held_out"], found["tensors"]) == ([14, 14], [14, 14], 2)
    assert ways["first"]["repetitions"] == 2


RECORDS = Path(__file__).resolve().parents[3] / "benchmarks/records"
RECORD = json.loads((RECORDS / "selection.json").read_text())


def test_the_text_states_the_record():
    lines = (RECORDS / "selection.md").read_text().splitlines()
    rows = [
        line.strip("| ").split(" | ") for line in lines if line.startswith(("| rend", "| real"))
    ]
    assert len(rows) == 12
    for flight, way, *cells in rows:
        for count, cell in zip(("16", "32", "64"), cells, strict=True):
            found = RECORD["flights"][flight]["chosen"][count][way]
            frames, parts, worst = map(float, cell.split(" / "))
            assert frames == pytest.approx(100 * found["frames_inside"], abs=0.051)
            assert parts == pytest.approx(100 * found["parts_inside"], abs=0.051)
            assert worst == pytest.approx(found["worst_excess"], abs=0.0051)


@pytest.mark.parametrize("flight", ["rendered", "real"])
@pytest.mark.parametrize("count", ["16", "32", "64"])
@pytest.mark.parametrize("other", ["first", "evenly spaced", "random"])
def test_peaks_cover_more_than_what_others_do(flight, count, other):
    ways = RECORD["flights"][flight]["chosen"][count]
    for measure in ("frames_inside", "parts_inside"):
        assert ways["selection with peaks"][measure] > ways[other][measure]
