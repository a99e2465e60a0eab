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
float32's decides, and what is labelled can only refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from calibration.judging.record import LEAST_CLICKS, RegimeScore

UPPER_BUDGETS = 2.0  # the upper end of the loss, in budgets
LEAST_REGIME_CLICKS = 500  # a regime with fewer is reported and decides nothing
LEAST_AGREEMENT = 0.9  # median IoU with float32's boxes


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
    regime: str  # the one that decided
    loss: float  # points; what decided
    upper: float

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
        agreement: median IoU with float32's boxes where nothing is labelled; None: of the regimes.
    """
    enough = enough_labels(regimes)
    deciding = [x for x in regimes if x.clicks_on_map >= LEAST_REGIME_CLICKS]
    worst: Finding | None = None
    for each in deciding:
        loss, upper, lower = -each.change_25.mean, -each.change_25.low, -each.change_25.high
        if enough:
            broken = loss > budget_points or upper > UPPER_BUDGETS * budget_points
            holding = Holding.SHOWN if upper <= budget_points else Holding.HELD
        else:
            broken, holding = lower > budget_points, Holding.AGREES
        found = Finding(Holding.BROKEN if broken else holding, each.regime, loss, upper)
        if worst is None or (found.holds, -found.upper) < (worst.holds, -worst.upper):
            worst = found
    if enough and worst is not None:
        return worst
    if worst is not None and not worst.holds:
        return worst
    medians = [x.box_iou_median for x in regimes] if agreement is None else [agreement]
    agrees = bool(medians) and min(medians) >= LEAST_AGREEMENT
    loss, upper = (worst.loss, worst.upper) if worst else (0.0, 0.0)
    return Finding(Holding.AGREES if agrees else Holding.BROKEN, "agreement", loss, upper)
