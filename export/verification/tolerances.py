"""How far a run may be from the reference and still pass: data, with the reason for each line."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge.errors import UsageError
from edge.precisions import INT8, INT8_FORMS, TENSORRT_FORM


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The limits for one precision; each holds for the worst case of all inputs."""

    cosine_min: float  # of a whole tensor against the reference's
    relative_max: float  # |candidate - reference| / |reference|, Euclidean
    iou_median_min: float  # of the boxes of all clicks
    # Shares of few clicks may miss their limits by one click.
    iou_share_min: float  # share of clicks whose boxes overlap by IoU >= 0.99
    same_cell_min: float  # share of clicks without a prior whose winning cell is equal
    reason: str
    by_hand: tuple[str, ...] = ()  # of these fields, those that the user set


TOLERANCES: dict[str, Tolerance] = {
    "fp32": Tolerance(
        cosine_min=0.99999,
        relative_max=2e-3,
        iou_median_min=0.999,
        iou_share_min=0.98,
        same_cell_min=0.98,
        reason="two orders of summation; features are stored in float16, whose step is 5e-4, and "
        "where two cells nearly tie, a click in fifty may go to the other one",
    ),
    "fp16": Tolerance(
        # About three times what `tilefix verify --executors onnxruntime --taps` missed by with lite
        # on the demo flight, 316 clicks, on 2026-11-26: 99.4 % of the boxes at IoU 0.99 or more,
        # 98.7 % of the cells equal. Taps twice: cosine 0.99990, relative error 0.014, which
        # random pictures (--inputs random) reach too; there the median IoU is 0.9974.
        cosine_min=0.9995,
        relative_max=0.03,
        iou_median_min=0.99,
        iou_share_min=0.98,
        same_cell_min=0.96,
        reason="each of some sixty layers rounds to 11 bits, which adds up to one per cent in the "
        "deepest; without a prior the best cells of weak clicks lie that near together",
    ),
}
_INT8 = Tolerance(
    # About twice what min-max ranges of a calibration missed by with lite on five frames of the
    # demo flight, 66 clicks, in the form for TensorRT, on 2026-11-26: the worst tap has cosine
    # 0.980 and relative error 0.20; v has 0.998. Boxes: median IoU 0.975, 12 % at 0.99 or more,
    # 26 of 33 cells equal.
    cosine_min=0.9,
    relative_max=0.45,
    iou_median_min=0.9,
    iou_share_min=0.0,
    same_cell_min=0.6,
    reason="8 bits to a layer's input: some per cent in the deepest, so boxes keep their place and "
    "not their last pixel, and cells of weak clicks change; what that costs the judge measures",
)
TOLERANCES |= dict.fromkeys((*INT8_FORMS.values(), TENSORRT_FORM), _INT8)

# On pictures of blobs (`--inputs random`) clicks are weak: without a prior their best cells nearly
# tie, with one at a place that means nothing their boxes are 11 px wide, and 0.07 px of such a box
# are 1 % of the IoU. About twice what lite missed by with seeds 0 to 3, 256 clicks, on 2026-11-28:
# in float16 up to 14 % of the boxes and 6 % of the cells of a seed; in INT8 a median IoU of 0.873,
# and nearly half of the cells.
WEAK = "on random pictures clicks are weak, so more of them change; the tensors are judged as ever"
ON_RANDOM: dict[str, dict[str, float]] = {
    "fp16": {"iou_share_min": 0.72, "same_cell_min": 0.87},
} | {
    form: {"iou_median_min": 0.75, "iou_share_min": 0.0, "same_cell_min": 0.05}
    for form in (*INT8_FORMS.values(), TENSORRT_FORM)
}
RANDOM = "random"


LOOSER = {  # field -> which of two limits lets more pass
    "cosine_min": min,
    "relative_max": max,
    "iou_median_min": min,
    "iou_share_min": min,
    "same_cell_min": min,
}


RANGES = {"cosine_min": (-1.0, 1.0), "relative_max": (0.0, math.inf)}  # of the others: 0 to 1


def limits_on(inputs: str) -> dict[str, Tolerance]:
    """By precision, the limits on inputs of that name: "random", or pictures of something."""
    if inputs != RANDOM:
        return dict(TOLERANCES)
    own = {
        name: replace(TOLERANCES[name], **changes, reason=f"{TOLERANCES[name].reason}; {WEAK}")
        for name, changes in ON_RANDOM.items()
    }
    return TOLERANCES | own


def between(limits: dict[str, Tolerance], reference: str, candidate: str) -> Tolerance:
    """The limits of a candidate against a reference that may be the less exact of the two.

    What was set by hand for the candidate holds as it is.

    Args:
        limits: by precision.
        reference: its precision.
        candidate: its precision.
    """
    ours, others = limits[candidate], limits[reference]
    looser = {
        name: getattr(ours, name)
        if name in ours.by_hand
        else of(getattr(ours, name), getattr(others, name))
        for name, of in LOOSER.items()
    }
    if all(looser[name] == getattr(ours, name) for name in looser):
        return ours
    reason = f"the looser of {candidate} and {reference}, the reference: {others.reason}"
    return Tolerance(**looser, reason=reason, by_hand=ours.by_hand)


def tolerances(overrides: Sequence[str], inputs: str = "") -> dict[str, Tolerance]:
    """The limits on inputs, with values changed: "cosine_min=0.99" or "fp16.cosine_min=0.99".

    "int8" means both of its forms.

    Raises:
        UsageError: an unknown precision or limit, or a value that is not a number or no limit.
    """
    table = limits_on(inputs)
    both = tuple(dict.fromkeys((*INT8_FORMS.values(), TENSORRT_FORM)))
    limits = list(LOOSER)
    for text in overrides:
        name, equals, number = text.partition("=")
        precision, dot, limit = name.strip().rpartition(".")
        meant = both if precision == INT8 else (precision,) if dot else tuple(table)
        if dot and meant[0] not in table:
            raise _refused(text, precision, [*table, INT8], "precisions")
        if limit not in limits:
            raise _refused(text, limit, limits, "limits")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value):
            raise UsageError(
                f"--tolerance {text} has no number",
                expected=f"{name.strip()}=NUMBER",
                found=repr(number),
                do="give it a finite number",
            )
        low, high = RANGES.get(limit, (0.0, 1.0))
        if not low <= value <= high:
            raise UsageError(
                f"--tolerance {text} is no limit",
                expected=f"{limit} from {low:g} to {high:g}",
                found=f"{value:g}",
                do="see `tilefix verify --help` for what each limit bounds",
            )
        for each in meant:
            note = f"{limit} was set to {value:g} by hand; otherwise: {table[each].reason}"
            hands = (*table[each].by_hand, limit)
            table[each] = replace(table[each], **{limit: value}, reason=note, by_hand=hands)
    return table


def _refused(text: str, found: str, known: list[str], what: str) -> UsageError:
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.0)
    return UsageError(
        f"--tolerance {text} cannot be understood",
        expected=f"one of the {what} {', '.join(known)}",
        found=repr(found),
        do=f"write {near[0]} if that was meant" if near else f"name one of the {what}",
    )
