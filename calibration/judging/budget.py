"""Whether a candidate holds the budget: the rule, and why it is this one.

The loss of acc@0.25 is known by its mean over the held-out clicks and by a 95 % interval (paired
bootstrap over samples). The budget holds where, in every regime that has enough clicks,

    the mean loss is at most the budget, and the upper end of its interval at most twice the budget.

The upper end alone would decide by the number of clicks. INT8 changes single answers in both
directions; where a few per cent of 2,000 clicks change, the interval is some 0.7 to 1 point wide on
either side even where nothing at all is lost, so that "the upper end below 1.0" would refuse half
of the candidates that lose nothing, and all that lose half of what they may. The mean alone would
be content with twenty clicks, and the search looks several times at the same clicks, whose luck
favours what it keeps. So the mean, which is unbiased, decides, and the interval must be narrow
enough for it to mean something: a loss of twice the budget is excluded. A candidate whose upper
end is within the budget as well is said to be shown to hold it; the report tells the two apart.

Below `LEAST_CLICKS` labelled clicks none of this can be shown: the agreement of boxes with
float32's on the selection's pictures decides, and what is labelled can only refuse. It does so
where the whole interval of a regime, however few its clicks, lies beyond the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from calibration.judging.record import LEAST_CLICKS, RegimeScore

UPPER_BUDGETS = 2.0  # the upper end of the loss, in budgets
LEAST_REGIME_CLICKS = 500  # where labels are enough, a regime with fewer decides nothing
LEAST_SAMPLES = 2  # a bootstrap over one sample has no width, and no interval
LEAST_AGREEMENT = 0.9  # median IoU with float32's boxes
AGREEMENT = "agreement"  # in place of a regime, where it decided


class Holding(str, Enum):
    """What can be said of a candidate and the budget."""

    SHOWN = "shown"  # even the upper end of the loss is within it
    HELD = "held"  # the mean is, and twice the budget is excluded
    AGREES = "agrees"  # too few labelled clicks; the boxes are float32's
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """The rule applied."""

    holding: Holding
    regime: str  # the one that decided, or AGREEMENT
    loss: float  # points; what decided
    upper: float
    agreement: float | None = None  # median IoU with float32's boxes, where that decided

    @property
    def holds(self) -> bool:
        """Whether the candidate may be kept."""
        return self.holding is not Holding.BROKEN


def enough_labels(regimes: Sequence[RegimeScore]) -> bool:
    """Whether the budget can be judged by accuracy at all."""
    return any(each.clicks_on_map >= LEAST_CLICKS for each in regimes)


def apply_budget(
    regimes: Sequence[RegimeScore], budget_points: float, agreement: float | None = None
) -> Finding:
    """Whether scores hold the budget; the regime that is worst decides.

    Args:
        regimes: of one candidate, on the held-out clicks; may be none.
        budget_points: greatest loss of acc@0.25.
        agreement: median IoU with float32's boxes on the selection's pictures; None: not measured.
            It is asked for where the labels are not enough, and nothing holds without it there.
    """
    if enough_labels(regimes):
        found = [
            _judged(each, budget_points)
            for each in regimes
            if each.clicks_on_map >= LEAST_REGIME_CLICKS
        ]
        return min(found, key=lambda each: (each.holds, -each.upper))
    refused = [_lost(each) for each in regimes if _refuses(each, budget_points)]
    if refused:
        return max(refused, key=lambda each: each.upper)
    agrees = agreement is not None and agreement >= LEAST_AGREEMENT
    holding = Holding.AGREES if agrees else Holding.BROKEN
    return Finding(holding, AGREEMENT, 0.0, 0.0, agreement)


def _judged(each: RegimeScore, budget_points: float) -> Finding:
    loss, upper = -each.change_25.mean, -each.change_25.low
    if loss > budget_points or upper > UPPER_BUDGETS * budget_points:
        holding = Holding.BROKEN
    else:
        holding = Holding.SHOWN if upper <= budget_points else Holding.HELD
    return Finding(holding, each.regime, loss, upper)


def _refuses(each: RegimeScore, budget_points: float) -> bool:
    """Whether even the lower end of the loss is beyond the budget."""
    return each.samples >= LEAST_SAMPLES and -each.change_25.high > budget_points


def _lost(each: RegimeScore) -> Finding:
    return Finding(Holding.BROKEN, each.regime, -each.change_25.mean, -each.change_25.low)
