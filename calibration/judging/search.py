"""The mixed search: as few blocks in float16 as will do for the budget to hold.

Blocks are ranked by what they spoil against what they save: the relative error that a block alone
causes, over its time saved on a device or, where none was measured, over its multiply-accumulates.
The first k of that list stay in float16. A judgement of a candidate costs minutes, so k is not
raised one by one: 0, 1, 2, 4 ... until the budget holds, then halved in between. That finds the
least k as long as more float16 never hurts, which noise can break by a block or two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calibration.judging.budget import Finding
from calibration.judging.record import BlockSensitivity

LEAST_GAIN = (
    0.25  # share of what all blocks save: below it INT8 is not worth a second set of graphs
)
Try = Callable[[tuple[str, ...]], Finding]  # blocks in float16 -> whether the budget holds


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of the search."""

    left_float: tuple[str, ...]
    finding: Finding


@dataclass(frozen=True, slots=True)
class Found:
    """How the search ended."""

    left_float: tuple[str, ...] | None  # None: the budget holds nowhere before the gain is gone
    trials: tuple[Trial, ...]  # in their order


def ranked(sensitivity: Sequence[BlockSensitivity]) -> tuple[BlockSensitivity, ...]:
    """Blocks in the order in which they are left in float16: worst per cost first.

    Latency counts where it was measured for every block, else multiply-accumulates: the two have no
    common unit. A block that INT8 makes no faster comes first whatever it spoils.
    """
    measured = all(each.latency_ms is not None for each in sensitivity)

    def per_gain(each: BlockSensitivity) -> float:
        gain = _gain(each, measured)
        return each.relative_error / gain if gain > 0 else float("inf")

    return tuple(sorted(sensitivity, key=lambda each: (-per_gain(each), each.block)))


def search(sensitivity: Sequence[BlockSensitivity], judge: Try) -> Found:
    """The least blocks at the head of the ranking that must stay in float16.

    Args:
        sensitivity: of all blocks.
        judge: scores a candidate; is called once for each.
    """
    order = ranked(sensitivity)
    most = most_left(order)
    trials: list[Trial] = []

    def holds(count: int) -> bool:
        left = tuple(each.block for each in order[:count])
        trials.append(Trial(left, judge(left)))
        return trials[-1].finding.holds

    failed, step = -1, 0
    while not holds(step):
        if step == most:
            return Found(None, tuple(trials))
        failed, step = step, min(max(1, 2 * step), most)
    while step - failed > 1:
        middle = (failed + step) // 2
        if holds(middle):
            step = middle
        else:
            failed = middle
    return Found(tuple(each.block for each in order[:step]), tuple(trials))


def most_left(order: Sequence[BlockSensitivity]) -> int:
    """How many blocks of a ranking can stay in float16 before the gain is gone."""
    measured = all(each.latency_ms is not None for each in order)
    gains = [max(0.0, _gain(each, measured)) for each in order]
    total, saved = sum(gains), sum(gains)
    for count, gain in enumerate(gains):
        saved -= gain
        if saved < LEAST_GAIN * total:
            return count
    return len(gains)


def _gain(each: BlockSensitivity, measured: bool) -> float:
    return each.latency_ms if measured and each.latency_ms is not None else float(each.macs)
