"""What a verification found: values that are printed, written as JSON, and end in an exit code."""

from __future__ import annotations

from dataclasses import dataclass

from export.verification.boxes import BoxAgreement
from export.verification.comparison import TensorAgreement
from export.verification.tolerances import Tolerance

SCHEMA = "tilefix-verification/1"


@dataclass(frozen=True, slots=True)
class Broken:
    """Values that are no numbers, in the answer to one probing input."""

    input: str  # "all black"
    graph: str
    tensor: str
    values: int


@dataclass(frozen=True, slots=True)
class Skipped:
    """A run that cannot be had here."""

    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A run that could be had, and refused to open or to answer."""

    run: str
    error: str  # with its four parts


@dataclass(frozen=True, slots=True)
class Comparison:
    """One candidate against the reference."""

    run: str
    limit: Tolerance
    tensors: tuple[TensorAgreement, ...]  # in the order of the graphs: encoder, then localizer
    boxes: BoxAgreement
    probes: tuple[Broken, ...]
    only_reference: tuple[str, ...]  # tensors that the candidate does not have
    only_candidate: tuple[str, ...]

    @property
    def first_divergence(self) -> TensorAgreement | None:
        """The first tensor in the order of the graphs that does not pass."""
        return next((each for each in self.tensors if each.fault(self.limit)), None)

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that does not pass, the first diverging tensor first."""
        found = []
        first = self.first_divergence
        if first is not None:
            found.append(f"{first.name} of the {first.graph}: {first.fault(self.limit)}")
        found += [f"boxes: {text}" for text in self.boxes.faults(self.limit)]
        found += [
            f"{each.values} NaN or infinite values in {each.tensor} of the {each.graph} on an "
            f"input that is {each.input}"
            for each in self.probes[:1]
        ]
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether this candidate may stand in for the reference."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class Verification:
    """All of it."""

    bundle: str
    bundle_sha256: str
    reference: str
    inputs: str
    frames: int
    clicks: int
    comparisons: tuple[Comparison, ...]
    skipped: tuple[Skipped, ...]
    failed: tuple[Failed, ...]
    reference_probes: tuple[Broken, ...]

    @property
    def passed(self) -> bool:
        """Whether all that was asked for and can be had here agrees with the reference."""
        agree = all(each.passed for each in self.comparisons)
        return agree and not self.failed and not self.reference_probes

    @property
    def sentence(self) -> str:
        """The outcome in one sentence: what diverged first, where something did."""
        if self.reference_probes:
            each = self.reference_probes[0]
            return (
                f"FAILED: the reference {self.reference} itself has {each.values} NaN or infinite "
                f"values in {each.tensor} of the {each.graph} on an input that is {each.input}"
            )
        if self.failed:
            first_line = self.failed[0].error.splitlines()[0]
            return f"FAILED: {self.failed[0].run} could not be compared: {first_line}"
        for each in self.comparisons:
            first = each.first_divergence
            if first is not None:
                return (
                    f"FAILED: {each.run} first diverges from {self.reference} at {first.name} of "
                    f"the {first.graph}: {first.fault(each.limit)}"
                )
            if each.faults:
                return f"FAILED: {each.run} against {self.reference}: {each.faults[0]}"
        runs = ", ".join(each.run for each in self.comparisons)
        return f"PASSED: {runs} against {self.reference}"
