import numpy as np
import pytest

from edge.click_noise import CarelessClicks, scores_by_error
from edge.predictors import Prediction
from edge.score_report import ALL_SITES, RowScores
from edge.types import Frame

CLICKS = np.random.default_rng(0).uniform(100, 300, (4000, 2))


class Repeats:
    """Answers with a box at the very click."""

    name = "repeats"

    def predict(self, frame, click_xy_px, windows):
        return [Prediction((x, y, x + 1, y + 1), accepted=True) for x, y in click_xy_px.tolist()]


def frame(index=0, source="a.png") -> Frame:
    return Frame(np.zeros((400, 400, 3), np.uint8), index, 0.0, source)


def given(sigma_px: float, at: Frame | None = None, clicks=CLICKS) -> np.ndarray:
    answers = CarelessClicks(Repeats(), sigma_px).predict(at or frame(), clicks, [])
    return np.array([a.box_xyxy_px[:2] for a in answers])


def test_errors_are_normal_with_their_sigma():
    error = given(5.0) - CLICKS
    assert error.std(0) == pytest.approx([5, 5], rel=0.05)
    assert np.abs(error.mean(0)).max() < 0.3
    assert abs(np.corrcoef(error.T)[0, 1]) < 0.05


def test_a_larger_sigma_stretches_the_same_errors():
    assert np.allclose((given(8.0) - CLICKS) / 8, (given(2.0) - CLICKS) / 2, atol=1e-9)
    assert np.array_equal(given(2.0), given(2.0))


def test_frames_have_errors_of_their_own():
    assert not np.allclose(given(2.0), given(2.0, frame(1)))
    assert not np.allclose(given(2.0), given(2.0, frame(0, "b.png")))


def test_clicks_stay_in_the_frame_and_the_row_says_the_error():
    far = given(1000.0)
    assert far.min() >= 0 and far.max() < 400
    assert CarelessClicks(Repeats(), 2.5).name == "repeats, clicks off by 2.5 px"
    assert len(given(1.0, clicks=np.empty((0, 2)))) == 0


def test_scores_by_error_are_those_over_all_sites() -> None:
    names = ("repeats", "repeats, clicks off by 4 px")
    sites = ("one", "two", ALL_SITES)
    rows = [
        RowScores(n, s, {"n": 3 * i + k}) for i, n in enumerate(names) for k, s in enumerate(sites)
    ]
    found = scores_by_error(rows, [Repeats()], (4.0,))
    assert found == {"repeats": {0.0: {"n": 2}, 4.0: {"n": 5}}}
