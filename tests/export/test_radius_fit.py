import numpy as np
import pytest

from edge.acceptance import FEATURES, AcceptanceModel
from edge.errors import DataError
from edge.geodesy import CE90_PER_SIGMA
from export.acceptance import Evidence
from export.radius_fit import fit_radius_factor
from training.models.lite import LiteOptions

OPTIONS = LiteOptions(click_var=0.01, centre_var=0.004, floor_var_px2=4.0)
ACCEPT_BY_PEAK = AcceptanceModel(np.eye(len(FEATURES))[0] * 100, -50.0, 0.5, 0.5)  # peak > 0.5


def evidence(count: int, scale: float) -> Evidence:
    """Errors drawn from the stated law times `scale`; every third fix has no prior.

    Fixes with a low peak or a wrong box are far off: they must not count.
    """
    rng = np.random.default_rng(1)
    area = rng.uniform(100, 4000, count)
    prior_var = np.where(np.arange(count) % 3 == 0, np.nan, rng.uniform(1, 30, count))
    own = 0.004 * area + 4.0
    given = np.where(np.isnan(prior_var), np.inf, prior_var + 0.01 * area)
    sigma = scale / np.sqrt(1 / own + 1 / given)
    error = rng.normal(0, 1, (count, 2)) * sigma[:, None]
    features = np.zeros((count, len(FEATURES)))
    features[:, 0] = np.where(rng.random(count) < 0.8, 0.9, 0.1)
    features[:, FEATURES.index("aligned")] = ~np.isnan(prior_var)
    right = rng.random(count) < 0.7
    error[~right | (features[:, 0] < 0.5)] = 500.0
    present = np.ones(count, bool)
    nothing = np.zeros(count)
    return Evidence(
        features, right, nothing, present, error, error, prior_var, area, ~np.isnan(prior_var)
    )


@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_the_factor_is_what_the_errors_were_multiplied_by(scale: float) -> None:
    assert fit_radius_factor(evidence(6000, scale), ACCEPT_BY_PEAK, OPTIONS) == pytest.approx(
        scale * np.sqrt(-2 * np.log(0.1)) / CE90_PER_SIGMA, rel=0.05
    )


def test_too_few_fixes_are_refused() -> None:
    with pytest.raises(DataError, match="error radius cannot be fitted"):
        fit_radius_factor(evidence(60, 1.0), ACCEPT_BY_PEAK, OPTIONS)
