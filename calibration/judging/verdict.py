"""The verdict in sentences: what was decided, by which figures, and what nobody has shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from calibration.judging.budget import (
    AGREEMENT,
    LEAST_AGREEMENT,
    UPPER_BUDGETS,
    Finding,
    Holding,
    enough_labels,
)
from calibration.judging.cpu_form import CpuForm
from calibration.judging.record import (
    LEAST_CLICKS,
    CandidateScore,
    Judgement,
    Outcome,
    RankedBy,
    Ranking,
    RealScore,
    RegimeScore,
)
from calibration.judging.scores import Likeness
from calibration.judging.search import LEAST_GAIN, Found
from edge.precisions import TENSORRT_FORM

MOSTLY = 0.5  # of a graph's multiply-accumulates
LITTLE = 0.1  # of them: what runs twice as fast then saves a twentieth, and Q/DQ cost as well


def outcome_of(found: Found, real: RealScore | None) -> Outcome:
    """What becomes of the graphs.

    INT8 that saves no time on the device that was asked is refused by the search: it costs accuracy
    and a second set of graphs, so float16 is the better answer even where the budget holds. A loss
    on labelled real frames that is not chance (its whole interval is below zero) refuses them
    whatever the rendered samples say.
    """
    if found.left_float is None or (real is not None and real.change_25.high < 0):
        return Outcome.REJECTED
    return Outcome.MIXED if found.left_float else Outcome.ACCEPTED


def budget_sentence(finding: Finding, budget: float) -> str:
    """What the rule says of one candidate."""
    if finding.regime == AGREEMENT:
        if finding.agreement is None:
            return "its boxes were not compared with float32's"
        state = "agree" if finding.holds else "do not agree"
        return (
            f"its boxes {state} with float32's on the selection's pictures: a median IoU of "
            f"{finding.agreement:.4f}, at least {LEAST_AGREEMENT:g} is asked"
        )
    numbers = (
        f"{finding.regime}: loss of acc@0.25 {finding.loss:.2f} points, "
        f"at most {finding.upper:.2f} by its 95 % interval"
    )
    return {
        Holding.SHOWN: f"{numbers}: shown to be within {budget:g}",
        Holding.HELD: f"{numbers}: the mean is within {budget:g} and twice that is excluded; "
        "these clicks are too few to show the upper end within it",
        Holding.AGREES: f"{numbers}, of too few clicks to judge by",
        Holding.BROKEN: f"{numbers}: "
        + (
            f"above {budget:g}"
            if finding.loss > budget
            else f"its interval reaches beyond {UPPER_BUDGETS * budget:g}"
        ),
    }[finding.holding]


def missing_sentence(regimes: Sequence[RegimeScore], refused: bool = False) -> str | None:
    """What is missing for a judgement of accuracy; None: nothing.

    `refused`: few as they are, the labelled clicks refused the candidate.
    """
    if enough_labels(regimes):
        return None
    clicks = max((each.clicks_on_map for each in regimes), default=0)
    changes = "".join(
        f"; {each.regime}: acc@0.25 changes by {each.change_25.mean:.2f} points "
        f"({each.change_25.low:.2f} to {each.change_25.high:.2f})"
        for each in regimes
    )
    rests = "so few clicks can refuse" if refused else "this rests on agreement with float32 alone"
    return (
        f"{rests}: {clicks} labelled held-out clicks on the map "
        f"are there, and a loss of one point shows from {LEAST_CLICKS} on{changes}. Render more: "
        "tilefix datasets render --kind scenes --window-px 1024 --count 330 --out FOLDER"
    )


def method_sentence(likeness: Mapping[str, Likeness], kept: str) -> str:
    """Which ranges were kept and by what they won.

    Args:
        likeness: by method, of one measure; empty: only one method was asked for.
        kept: the method.
    """
    if not likeness:
        return f"ranges by {kept}, no other method was tried"
    order = sorted(likeness.items(), key=lambda each: -each[1].value)
    shown = ", ".join(f"{name} {each.value:.4f}" for name, each in order)
    return f"ranges by {kept}: {likeness[kept].measure}: {shown}"


def ranking_sentence(ranking: Ranking) -> str:
    """What the blocks were ranked by, and why not by the better measure."""
    if ranking.by is RankedBy.MACS:
        return f"blocks ranked by MACs: {ranking.reason}"
    saved = sum(each.fp16_ms - each.int8_ms for each in ranking.graphs)
    return (
        f"blocks ranked by the milliseconds that INT8 saves of them on {ranking.device}; of both "
        f"graphs, one run of each, {saved:.2f} ms"
    )


def by_labels(judgement: Judgement) -> bool:
    """Whether accuracy decided on the kept candidate, and not its agreement with float32."""
    kept = next(
        (
            each
            for each in judgement.candidates
            if (each.precision, each.left_float) == (TENSORRT_FORM, judgement.left_float)
        ),
        None,
    )
    return judgement.base is not None and kept is not None and enough_labels(kept.regimes)


def headline(judgement: Judgement) -> str:
    """The outcome with what must be known of it at once."""
    words = judgement.outcome.value
    if judgement.outcome is Outcome.REJECTED:
        return words
    if not by_labels(judgement):
        words += ", by agreement alone"
    shares = judgement.int8_share_of_macs.values()
    if shares and max(shares) < LITTLE:
        words += f", but at most {percent(max(shares))} of the work is INT8"
    return words


def little_sentences(
    outcome: Outcome, shares: Mapping[str, float], left_float: Sequence[str], ranking: Ranking
) -> tuple[str, ...]:
    """Of each graph that is hardly INT8 at all: an acceptance that changes next to nothing.

    Args:
        outcome: of the judgement.
        shares: graph -> share of its multiply-accumulates in INT8; empty: rejected.
        left_float: blocks that the search left in float16.
        ranking: where a device was asked, its times tell of the speed, and nothing is expected.
    """
    sentences = []
    for kind, share in shares.items():
        if share >= LITTLE:
            continue
        searched = any(block.startswith(f"{kind}/") for block in left_float)
        why = "by policy and because its blocks cost too much" if searched else "by policy"
        part = f"only {percent(share)}" if share else "none"
        words = (
            f"{outcome.value}, but {part} of the multiply-accumulates of the {kind} are INT8: "
            f"the rest is float16 {why}"
        )
        if ranking.by is RankedBy.MACS:
            words += ", expect no gain in speed"
        sentences.append(words)
    return tuple(sentences)


def percent(share: float) -> str:
    """A share that is no zero is not rounded to one: "0.3 %", "2 %"."""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1g} %"


def latency_sentences(ratios: Mapping[str, float]) -> tuple[str, ...]:
    """Of each graph that INT8 makes no faster on this CPU; no reason, for two runs may differ.

    Args:
        ratios: graph -> float32's time over INT8's in ONNX Runtime.
    """
    return tuple(
        f"in ONNX Runtime on this CPU INT8 saves no time in the {kind}: it is {ratio:.2f} times as "
        "fast as float32"
        for kind, ratio in ratios.items()
        if ratio <= 1
    )


def share_sentences(shares: Mapping[str, float]) -> tuple[str, ...]:
    """How much of each graph's work is in INT8, and why the rest is not; none where none was kept.

    Args:
        shares: graph -> share of its multiply-accumulates.
    """
    if not shares:
        return ()
    parts = ", ".join(f"{percent(share)} of those of the {kind}" for kind, share in shares.items())
    words = f"multiply-accumulates in INT8 (int8+fp16): {parts}"
    if min(shares.values()) < MOSTLY:
        words += (
            "; the policy leaves attention, normalisation and all that follows the meeting of both "
            "views in float16, which is most of the work there"
        )
    return (words,)


def reasons_of(
    found: Found,
    budget: float,
    scores: Sequence[CandidateScore],
    onnxruntime: CpuForm | None,
    real: RealScore | None,
) -> tuple[str, ...]:
    """Why, in the order of what weighs most.

    Args:
        found: the search.
        budget: in points.
        scores: of the search's trials, in their order.
        onnxruntime: how the form for ONNX Runtime came out; it decides nothing.
        real: labelled frames, where there are any.
    """
    reasons = []
    kept = found.trials[-1]
    if found.left_float is None and kept.saved_ms is not None and not kept.useful:
        reasons.append(
            "INT8 saves no time on the device: in it all blocks together take "
            f"{abs(kept.saved_ms):.3f} ms of a frame more than in FP16, and none is faster"
        )
        reasons.append(f"{_in_words(kept.left_float)}: {budget_sentence(kept.finding, budget)}")
    elif found.left_float is None:
        shares = f"{LEAST_GAIN:.0%} of what INT8 saves"
        reasons.append(
            f"the budget of {budget:g} points does not hold with all blocks in INT8, nor with the "
            f"worst {counted(kept.left_float)} in float16, beyond which less than {shares} "
            f"would be left: {budget_sentence(kept.finding, budget)}"
        )
    else:
        kept = next(x for x in found.trials if x.left_float == found.left_float)
        reasons.append(f"{_in_words(kept.left_float)}: {budget_sentence(kept.finding, budget)}")
        if kept.left_float:
            reasons.append("left in float16: " + ", ".join(kept.left_float))
            first = found.trials[0]
            slow = "" if first.useful else "; but on the device that saves no time"
            words = budget_sentence(first.finding, budget)
            reasons.append(f"with all blocks in INT8: {words}{slow}")
    regimes = scores[-1].regimes if scores else ()
    missing = missing_sentence(regimes, kept.finding.regime != AGREEMENT)
    if missing:
        reasons.append(missing)
    if onnxruntime is not None:
        reasons.append(cpu_form_sentence(onnxruntime, budget))
    if real is not None:
        reasons.append(real_sentence(real))
    return tuple(reasons)


def cpu_form_sentence(form: CpuForm, budget: float) -> str:
    """What became of ONNX Runtime's form."""
    name = "the form for ONNX Runtime (int8+fp32)"
    words = budget_sentence(form.finding, budget)
    if not form.holds:
        return f"{name}: {words}; in ONNX Runtime run fp32 instead"
    if not form.more:
        return f"{name}: {words}"
    own = ", ".join(form.left_float[-form.more :])
    return (
        f"{name}, with {counted(form.left_float[-form.more :])} more in float32 ({own}): "
        f"{words}; without these, {budget_sentence(form.alike, budget)}"
    )


def _in_words(left_float: Sequence[str]) -> str:
    if not left_float:
        return "all blocks in INT8"
    return f"{counted(left_float)} in float16 and the others in INT8"


def counted(blocks: Sequence[str]) -> str:
    """How many blocks, in words."""
    return f"{len(blocks)} block{'' if len(blocks) == 1 else 's'}"


def real_sentence(real: RealScore) -> str:
    """The labelled frames in a sentence."""
    change = real.change_25
    refused = "; this loss is not chance, so the graphs are refused" if change.high < 0 else ""
    return (
        f"labelled real frames: acc@0.25 {real.accuracy_25_before:.3f} before and "
        f"{real.accuracy_25_after:.3f} after, a change of {change.mean:.2f} points "
        f"({change.low:.2f} to {change.high:.2f}), {len(real.changed)} of {real.sightings} "
        f"verdicts changed{refused}"
    )
