import numpy as np
import pytest

from edge.errors import DataError
from export.acceptance import Evidence
from export.centre_fit import fit_centre, without_blending
from training.models.lite import LiteOptions


def made_up(count: int = 20000, seed: int = 0) -> Evidence:
    """Clicks whose errors are drawn from known variances."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(200, 8000, count)
    sigma2 = rng.uniform(1, 30, count)
    head = rng.normal(0, 1, (count, 2)) * np.sqrt(0.01 * area + 9.0)[:, None]
    prior = rng.normal(0, 1, (count, 2)) * np.sqrt(0.02 * area + sigma2)[:, None]
    yes = np.ones(count, bool)
    features = np.zeros((count, 7))
    return Evidence(features, yes, np.ones(count), yes, head, prior, sigma2, area, yes)


def test_known_variances_come_back() -> None:
    fitted = fit_centre(made_up(), LiteOptions())
    # the trimming of the largest twentieth lowers a chi-square's mean by a sixth or so
    assert fitted.centre_var == pytest.approx(0.01, rel=0.3)
    assert fitted.click_var == pytest.approx(0.02, rel=0.3)
    assert fitted.floor_var_px2 == pytest.approx(9.0, rel=0.4)


def test_too_few_clicks_and_a_blending_model_are_refused() -> None:
    with pytest.raises(DataError, match="at least 50 clicks"):
        fit_centre(made_up(20), LiteOptions())
    with pytest.raises(DataError, match="does not blend"):
        fit_centre(made_up(), LiteOptions(centre_var=0.1))


def test_a_model_that_went_on_from_a_fitted_one_is_fitted_anew() -> None:
    fitted = fit_centre(made_up(), LiteOptions())
    assert fit_centre(made_up(), without_blending(fitted)) == fitted
