"""ONNX Runtime's form of what was kept: the blocks that it needs in float32 beside those.

TensorRT's form decides what is kept, and which blocks stay float16 in it. ONNX Runtime's rounds the
results of convolutions too, and may break the budget where TensorRT's holds it. Then more of its
blocks stay float32, by the same search; blocks are ranked by the error that leaves this form with
them (`sensitivity.reliefs`), and one that takes none with it is never left. Where no mix holds,
that is said, and float32 is the one to run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calibration.judging.budget import Finding, Holding
from calibration.judging.record import BlockSensitivity, CpuFormVerdict
from calibration.judging.search import Found, Try, most_left, ranked, search


@dataclass(frozen=True, slots=True)
class CpuForm:
    """How the form for ONNX Runtime came out."""

    left_float: tuple[str, ...]  # blocks of the graphs that are kept: TensorRT's, then its own
    finding: Finding  # of these
    alike: Finding  # of the same blocks as in TensorRT's form
    more: int = 0  # blocks that it has in float32 beside TensorRT's

    @property
    def holds(self) -> bool:
        """Whether the budget does."""
        return self.finding.holds

    @property
    def verdict(self) -> CpuFormVerdict:
        """For the record."""
        by_agreement = self.finding.holding is Holding.AGREES
        return CpuFormVerdict(
            left_float=self.left_float, holds=self.holds, by_agreement=by_agreement
        )


def fit_cpu_form(
    left: Sequence[BlockSensitivity],
    trial: Try,
    reliefs: Callable[[], Sequence[BlockSensitivity]],
    frames_per_window: float,
) -> CpuForm:
    """The least blocks that stay float32 for the budget to hold in ONNX Runtime's form.

    Args:
        left: blocks that TensorRT's form has in float16, in their order.
        trial: scores the form with some blocks in float32; is called once for each set.
        reliefs: of the other blocks; is called where the form breaks the budget as it is.
        frames_per_window: see `search`.
    """
    names = tuple(each.block for each in left)
    alike = trial(names)
    if alike.holds:
        return CpuForm(names, alike, alike)
    others = reliefs()
    of_use = sum(each.relative_error > 0 for each in others)  # these are ranked first
    found: Found = search(
        others,
        lambda more: trial((*names, *more)) if more else alike,
        frames_per_window,
        min(of_use, most_left(ranked(others, frames_per_window), frames_per_window, left)),
    )
    if found.left_float is None:
        return CpuForm(names, alike, alike)
    kept = next(each for each in found.trials if each.left_float == found.left_float)
    return CpuForm((*names, *kept.left_float), kept.finding, alike, len(kept.left_float))
