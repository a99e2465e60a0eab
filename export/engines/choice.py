"""`--precision auto`: which of the built precisions is kept, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import ExecutorError, TilefixError
from edge.precisions import TENSORRT_FORM
from export.engines.measuring import Latency, Measurer
from export.verification.boxes import BoxAgreement
from export.verification.tolerances import RANDOM, limits_on

BY_RULE = ("fp16", "fp32")  # without a measurement: the first of these that there is


@dataclass(frozen=True, slots=True)
class Candidate:
    """One precision, built and perhaps measured."""

    precision: str
    latency: Latency | None = None
    agreement: BoxAgreement | None = None
    faults: tuple[str, ...] = ()  # why it may not be used

    @property
    def words(self) -> str:
        """One line for people."""
        if self.latency is None or self.agreement is None:
            return "; ".join(self.faults) or "not measured"
        timed = f"{self.latency.p50_ms:.2f} ms (p99 {self.latency.p99_ms:.2f}) for "
        timed += f"{self.latency.clicks} clicks, median IoU {self.agreement.iou_median:.4f}"
        return f"{timed}; fails: {'; '.join(self.faults)}" if self.faults else f"{timed}, passes"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is kept."""

    precision: str
    why: str
    measured: bool
    candidates: tuple[Candidate, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """For people: every candidate, and the decision."""
        wide = max(5, *(len(each.precision) for each in self.candidates))
        rows = [f"{each.precision:{wide}} {each.words}" for each in self.candidates]
        return (*rows, f"kept: {self.precision}, {self.why}")


def measure(precision: str, measurer: Measurer) -> Candidate:
    """Time one precision and compare its boxes; what fails on the way is a fault, not the end.

    Random pictures judge no INT8: of its boxes there half are of other cells, and `build` compares
    no tensors.
    """
    try:
        agreement = measurer.agreement(precision)
        latency = measurer.latency(precision)
    except TilefixError as error:
        return Candidate(precision, faults=(f"{error.what}: {error.found}",))
    faults = tuple(agreement.faults(limits_on(measurer.inputs)[precision]))
    if measurer.inputs == RANDOM and precision == TENSORRT_FORM:
        faults = (*faults, "random pictures do not judge INT8: give --inputs demo or a folder")
    return Candidate(precision, latency, agreement, faults)


def choose(candidates: Sequence[Candidate], cannot_measure: str = "") -> Choice:
    """The fastest candidate that passes; without measurements the one that the rule names.

    Args:
        candidates: at least one.
        cannot_measure: why nothing was measured; empty where it was.

    Raises:
        ExecutorError: all were measured, and none passes.
    """
    listed = tuple(candidates)
    if cannot_measure:
        names = [each.precision for each in listed if not each.faults]
        kept = next(name for name in BY_RULE if name in names)
        why = f"by rule, not by measurement: {cannot_measure}"
        return Choice(kept, why, False, listed)
    passing = [each for each in listed if not each.faults and each.latency is not None]
    if not passing:
        raise ExecutorError(
            "no precision passes on this device",
            expected="one whose boxes are those of the fp32 graphs in ONNX Runtime",
            found="; ".join(f"{each.precision} {each.words}" for each in listed),
            do="run `tilefix verify BUNDLE --taps`: it names the first tensor that diverges",
        )
    best = min(passing, key=lambda each: each.latency.p50_ms if each.latency else 0.0)
    others = [each for each in listed if each is not best]
    because = [f"{each.precision} {_against(best, each)}" for each in others]
    why = "; ".join(["the fastest that passes", *because])
    return Choice(best.precision, why, True, listed)


def _against(best: Candidate, other: Candidate) -> str:
    if other.faults:
        return f"fails ({'; '.join(other.faults)})"
    if best.latency is None or other.latency is None:
        return "was not measured"
    return f"takes {other.latency.p50_ms / best.latency.p50_ms:.2f} times as long"
