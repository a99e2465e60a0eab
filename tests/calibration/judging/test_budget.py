import pytest
from made_scores import regime

from calibration.judging.budget import Holding, apply_budget


@pytest.mark.parametrize(
    ("mean", "low", "high", "holding"),
    [
        (-0.2, -0.9, 0.5, Holding.SHOWN),  # even the greatest loss is within the budget
        (-0.6, -1.6, 0.4, Holding.HELD),  # the mean is, and twice the budget is excluded
        (-0.6, -2.1, 0.9, Holding.BROKEN),  # too wide to mean anything
        (-1.1, -1.9, -0.3, Holding.BROKEN),  # the mean is not
        (+0.4, -0.3, 1.1, Holding.SHOWN),  # a gain is no loss
    ],
)
def test_mean_and_interval_decide_together(mean, low, high, holding):
    found = apply_budget([regime(change=(mean, low, high))], 1.0)
    assert found.holding is holding
    assert (found.loss, found.upper) == (-mean, -low)
    assert found.holds == (holding is not Holding.BROKEN)


def test_the_worst_regime_decides():
    good = regime("no prior", change=(0.0, -0.5, 0.5))
    bad = regime("alignment", clicks=1700, change=(-1.5, -1.8, -1.2))
    assert apply_budget([good, bad], 1.0).regime == "alignment"
    assert apply_budget([good, bad], 1.0).holding is Holding.BROKEN
    assert apply_budget([good, bad], 2.0).holding is Holding.SHOWN


def test_a_regime_of_few_clicks_decides_nothing():
    good = regime("no prior", change=(0.0, -0.5, 0.5))
    few = regime("alignment", clicks=499, change=(-5.0, -9.0, -1.0))
    assert apply_budget([good, few], 1.0).holding is Holding.SHOWN


def test_below_two_thousand_clicks_the_agreement_decides():
    few = regime(clicks=1999, change=(0.0, -0.1, 0.1))
    found = apply_budget([few], 1.0, agreement=0.89)
    assert (found.holding, found.agreement) == (Holding.BROKEN, 0.89)
    few = regime(clicks=1999, change=(-1.9, -4.0, 0.2))
    found = apply_budget([few], 1.0, agreement=0.9)
    assert (found.holding, found.regime) == (Holding.AGREES, "agreement")
    assert not apply_budget([few], 1.0).holds  # the samples' own boxes are no measure of it


def test_few_labelled_clicks_can_refuse_all_the_same():
    """All of the interval is beyond the budget: agreement of other boxes does not excuse that."""
    few = regime(clicks=700, change=(-4.0, -6.0, -2.0))
    found = apply_budget([few], 1.0, agreement=0.99)
    assert (found.holding, found.regime) == (Holding.BROKEN, "no prior")


def test_a_clear_loss_refuses_however_few_the_clicks_of_its_regime_are():
    few = regime(clicks=450, change=(-9.0, -12.0, -6.0))
    found = apply_budget([few], 1.0, agreement=0.99)
    assert (found.holding, found.loss, found.upper) == (Holding.BROKEN, 9.0, 12.0)
    both = [regime(clicks=1900), regime("alignment", clicks=60, change=(-20.0, -30.0, -1.1))]
    found = apply_budget(both, 1.0, agreement=0.99)
    assert (found.holding, found.regime) == (Holding.BROKEN, "alignment")
    assert apply_budget(both, 1.2, agreement=0.99).holds  # part of the interval is within it
    one = regime(clicks=6, change=(-16.7, -16.7, -16.7))  # of one sample: that is no interval
    assert one.samples == 1 and apply_budget([one], 1.0, agreement=0.99).holds


def test_without_labels_the_selections_agreement_decides():
    assert apply_budget([], 1.0, agreement=0.95).holding is Holding.AGREES
    assert not apply_budget([], 1.0, agreement=0.85).holds
    assert not apply_budget([], 1.0).holds  # nothing was measured: nothing holds
