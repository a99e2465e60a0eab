"""ONNX Runtime's form of what was kept: the blocks that it needs in float32 beside those.

TensorRT's form decides what is kept, and which blocks stay float16 in it. ONNX Runtime's rounds the
results of convolutions too, and may break the budget where TensorRT's holds it. Then more of its
blocks stay float32, by the same search; blocks are ranked by the error that leaves this form with
them (`sensitivity.reliefs`). Where no mix holds, that is said, and float32 is the one to run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calibration.judging.budget import Finding
from calibration.judging.record import BlockSensitivity
from calibration.judging.search import Found, Try, search


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


def fit_cpu_form(
    left: tuple[str, ...],
    trial: Try,
    reliefs: Callable[[], Sequence[BlockSensitivity]],
    frames_per_window: float,
) -> CpuForm:
    """The least blocks that stay float32 for the budget to hold in ONNX Runtime's form.

    Args:
        left: blocks that TensorRT's form has in float16.
        trial: scores the form with some blocks in float32; is called once for each set.
        reliefs: of the other blocks; is called where the form breaks the budget as it is.
        frames_per_window: see `search`.
    """
    alike = trial(left)
    if alike.holds:
        return CpuForm(left, alike, alike)
    found: Found = search(
        reliefs(),
        lambda more: trial((*left, *more)) if more else alike,
        frames_per_window,
    )
    if found.left_float is None:
        return CpuForm(left, alike, alike)
    kept = next(each for each in found.trials if each.left_float == found.left_float)
    return CpuForm((*left, *kept.left_float), kept.finding, alike, len(kept.left_float))
