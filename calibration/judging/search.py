"""The mixed search: as few blocks in float16 as will do for the budget to hold.

Blocks are ranked by what they spoil against what they save: the relative error that a block alone
causes, over its time saved on a device or, where none was measured, over its multiply-accumulates.
Both are counted for one frame: the encoder runs once per window, and its features serve all frames
that fall into it, so a block of it saves only its part of that run.
The first k of that list stay in float16. A judgement of a candidate costs minutes, so k is not
raised one by one: 0, 1, 2, 4 ... until the budget holds, then halved in between. That finds the
least k as long as more float16 never hurts, which noise can break by a block or two.

INT8 that was measured and saves no time is of no use, whatever it costs: a candidate whose blocks
in INT8 together are no faster than in float16 does not count as one that holds. Its accuracy is
judged and told all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calibration.defaults import FRAMES_PER_WINDOW
from calibration.judging.budget import Finding
from calibration.judging.record import BlockSensitivity, RankedBy, Ranking
from edge.bundle import ENCODER

LEAST_GAIN = (
    0.25  # share of what all blocks save: below it INT8 is not worth a second set of graphs
)
Try = Callable[[tuple[str, ...]], Finding]  # blocks in float16 -> whether the budget holds


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate of the search."""

    left_float: tuple[str, ...]
    finding: Finding
    saved_ms: float | None = None  # of a frame, by the blocks in INT8; None: not measured

    @property
    def useful(self) -> bool:
        """Whether its blocks in INT8 save time, as far as anybody knows."""
        return self.saved_ms is None or self.saved_ms > 0


@dataclass(frozen=True, slots=True)
class Found:
    """How the search ended."""

    left_float: tuple[str, ...] | None  # None: no budget holds before the gain is gone
    trials: tuple[Trial, ...]  # in their order


def ranked(
    sensitivity: Sequence[BlockSensitivity], frames_per_window: float = FRAMES_PER_WINDOW
) -> tuple[BlockSensitivity, ...]:
    """Blocks in the order in which they are left in float16: worst per cost first.

    Latency counts where it was measured for every block, else multiply-accumulates: the two have no
    common unit. A block that INT8 makes no faster comes first whatever it spoils.

    Args:
        sensitivity: of all blocks.
        frames_per_window: frames that one run of the encoder serves; 1 weighs both graphs alike.
    """
    gains = dict(zip(sensitivity, gains_per_frame(sensitivity, frames_per_window), strict=True))

    def per_gain(each: BlockSensitivity) -> float:
        gain = gains[each]
        return each.relative_error / gain if gain > 0 else float("inf")

    return tuple(sorted(sensitivity, key=lambda each: (-per_gain(each), each.block)))


def search(
    sensitivity: Sequence[BlockSensitivity],
    judge: Try,
    frames_per_window: float = FRAMES_PER_WINDOW,
    most: int | None = None,
) -> Found:
    """The least blocks at the head of the ranking that must stay in float16.

    Blocks that INT8 makes slower come first there: where they cost more than the others save, it is
    the mix without them that is tried next. Where no block saves anything, none is left to try.

    Args:
        sensitivity: of all blocks.
        judge: scores a candidate; is called once for each.
        frames_per_window: see `ranked`.
        most: how many blocks may be left; None: as many as `most_left` says.
    """
    order = ranked(sensitivity, frames_per_window)
    most = most_left(order, frames_per_window) if most is None else most
    gains = gains_per_frame(order, frames_per_window)
    trials: list[Trial] = []

    def holds(count: int) -> bool:
        left = tuple(each.block for each in order[:count])
        saved_ms = sum(gains[count:]) if _measured(order) else None
        trials.append(Trial(left, judge(left), saved_ms))
        return trials[-1].finding.holds and trials[-1].useful

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


def most_left(
    order: Sequence[BlockSensitivity],
    frames_per_window: float = FRAMES_PER_WINDOW,
    already: Sequence[BlockSensitivity] = (),
) -> int:
    """How many blocks of a ranking can stay in float16 before the gain is gone; 0: no gain.

    `already`: other blocks, which stay in float16 whatever is found.
    """
    both = gains_per_frame([*already, *order], frames_per_window)
    gains = [max(0.0, gain) for gain in both]
    total, saved = sum(gains), sum(gains[len(already) :])
    if total <= 0:
        return 0
    for count, gain in enumerate(gains[len(already) :]):
        saved -= gain
        if saved < LEAST_GAIN * total:
            return count
    return len(order)


def ranking_of(asked: Ranking, sensitivity: Sequence[BlockSensitivity]) -> Ranking:
    """What blocks are ranked by in truth: by latency only where each of them has it."""
    missing = [each.block for each in sensitivity if each.latency_ms is None]
    if asked.by is RankedBy.MACS or not missing:
        return asked
    return Ranking(by=RankedBy.MACS, reason=f"no latency is known of {', '.join(missing[:3])}")


def gains_per_frame(
    sensitivity: Sequence[BlockSensitivity], frames_per_window: float
) -> list[float]:
    """What INT8 saves of a frame by each block: milliseconds, or multiply-accumulates."""
    measured = _measured(sensitivity)
    gains = []
    for each in sensitivity:
        run = each.latency_ms if measured and each.latency_ms is not None else float(each.macs)
        gains.append(run / frames_per_window if each.graph == ENCODER else run)
    return gains


def _measured(sensitivity: Sequence[BlockSensitivity]) -> bool:
    return bool(sensitivity) and all(each.latency_ms is not None for each in sensitivity)
