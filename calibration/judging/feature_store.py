"""Whether a store may hold its features in INT8: judged by the rule of the graphs, told apart.

What would fly is judged: the kept INT8 graphs with features in INT8 between them. Where that breaks
the budget, or where no INT8 graphs were kept, features in INT8 are judged with the float32 graphs
too, so that the verdict says whose loss it is. A store's features cost one option of `tiles encode`
and no graphs, so an undecided verdict is not a loss: float16 is what a store holds by default.
"""

from __future__ import annotations

from calibration.judging.bench import BASE, Bench
from calibration.judging.budget import AGREEMENT, Finding, Holding, apply_budget, enough_labels
from calibration.judging.locating import INT8
from calibration.judging.record import (
    AgreementScore,
    CandidateScore,
    FeatureVerdict,
    RegimeScore,
    StoreVerdict,
)
from calibration.judging.verdict import budget_sentence
from edge.bundle import Bundle

FLOAT = "store features as float16"


class StoreBench:
    """Scores features in INT8 between graphs, and keeps the scores.

    Args:
        bench: with the labelled samples, or with the selection's pictures alone.
        budget_points: greatest loss of acc@0.25.
    """

    def __init__(self, bench: Bench, budget_points: float) -> None:
        self._bench = bench
        self._budget = budget_points
        self.scores: list[CandidateScore] = []
        self.agreement: list[AgreementScore] = []

    def judge(
        self,
        kept: Bundle | None,
        precision: str,
        name: str,
        method: str,
        left_float: tuple[str, ...],
    ) -> FeatureVerdict:
        """The verdict on features in INT8.

        Args:
            kept: the candidate whose graphs are kept; None: they were rejected.
            precision: of its graphs.
            name: of it in tables.
            method: of its ranges.
            left_float: its blocks that are not quantised.
        """
        together = None
        if kept is not None:
            together = self._finding(kept, precision, name, method, left_float)
        alone = None
        if together is None or not together.holds:
            alone = self._finding(self._bench.request.bundle, BASE, BASE)
        return feature_verdict(together, alone, self._budget)

    def _finding(
        self,
        bundle: Bundle,
        precision: str,
        name: str,
        method: str = "",
        left_float: tuple[str, ...] = (),
    ) -> Finding:
        name = f"{name}, features in int8"
        regimes: tuple[RegimeScore, ...] = ()
        if self._bench.samples:
            score = self._bench.score(bundle, precision, name, method, left_float, INT8)
            self.scores.append(score)
            regimes = score.regimes
        if enough_labels(regimes):
            return apply_budget(regimes, self._budget)
        found = self._bench.agreement(bundle, precision, f"{name} ({precision})", INT8)
        self.agreement.append(found)
        return apply_budget(regimes, self._budget, found.box_iou_median)


def state_of(finding: Finding, budget: float) -> StoreVerdict:
    """The rule of the graphs, in three words.

    What only agrees with float32 where too little is labelled is not shown to hold a budget; and
    where the mean is within it and the interval is too wide, nobody has shown that it costs too
    much.
    """
    if finding.holding in (Holding.SHOWN, Holding.HELD):
        return StoreVerdict.HELD
    wide = finding.regime != AGREEMENT and finding.loss <= budget
    if finding.holding is Holding.AGREES or wide:
        return StoreVerdict.UNDECIDED
    return StoreVerdict.COSTS


def feature_verdict(
    together: Finding | None, alone: Finding | None, budget: float
) -> FeatureVerdict:
    """The verdict in a sentence that says what to do.

    Args:
        together: with the kept INT8 graphs; None: none were kept.
        alone: with the float32 graphs; None: `together` holds, so nobody asked.
        budget: in points.

    Raises:
        ValueError: neither was judged.
    """
    deciding = alone if together is None else together
    if deciding is None:
        raise ValueError("features in INT8 were judged with no graphs")
    verdict = state_of(deciding, budget)
    parts = []
    if together is not None:
        parts.append(f"with the INT8 graphs: {budget_sentence(together, budget)}")
    if alone is not None:
        parts.append(f"with the float32 graphs: {budget_sentence(alone, budget)}")
    if verdict is StoreVerdict.HELD:
        do = "a store of `tilefix tiles encode --features int8` may be used"
        if together is None:
            do += ", though the graphs stay float16"
    elif verdict is StoreVerdict.UNDECIDED:
        do = f"{FLOAT} until enough labelled clicks tell"
    else:
        do = FLOAT
        if together is not None:
            do += "; the verdict on the graphs stays as it is"
        if alone is not None and together is not None and alone.holds:
            do = f"it is the two together that cost too much: {do}"
    words = "; ".join([*parts, do])
    return FeatureVerdict(verdict=verdict, sentence=f"features in INT8: {verdict.value}: {words}")
