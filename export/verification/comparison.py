"""Two tensors that should be equal: how far apart they are, over all inputs.

Polygraphy's comparator has the same measures. It is not used here: it needs all results of a run in
memory or on disk before it compares (interior tensors of a 1024 px window are 100 MB an input),
judges each element where this judges a tensor, does not say which output of a graph comes first,
and would be one more library on the device. What is left of it are the lines below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.types import Array
from export.verification.tolerances import Tolerance


@dataclass(frozen=True, slots=True)
class TensorAgreement:
    """One tensor of a candidate against the reference's; the worst of all inputs."""

    graph: str  # "reference_encoder", "localizer"
    name: str  # "tap.stage2", "query_vector"
    shape: tuple[int, ...]  # in the last input compared
    other_shape: tuple[int, ...]  # of the candidate; another one is a failure by itself
    cosine: float
    relative: float  # |candidate - reference| / |reference|
    max_abs: float  # largest |candidate - reference|
    peak: float  # largest |reference|, to read max_abs by
    broken: int  # NaNs of the candidate, and infinities that the reference does not have
    broken_reference: int  # NaNs of the reference
    worst_input: str  # the input with the lowest cosine
    judged: bool  # False: only its NaNs and shape count

    def fault(self, limit: Tolerance) -> str:
        """Why this tensor does not pass; empty where it does."""
        if self.shape != self.other_shape:
            return f"shape {list(self.other_shape)} instead of {list(self.shape)}"
        if self.broken_reference:
            return f"{self.broken_reference} NaN in the reference"
        if self.broken:
            return f"{self.broken} NaN or infinite values"
        if not self.judged:
            return ""
        if self.cosine < limit.cosine_min:
            return f"cosine {self.cosine:.6f}, at least {limit.cosine_min:g}"
        if self.relative > limit.relative_max:
            return f"relative error {self.relative:.2g}, at most {limit.relative_max:g}"
        return ""


class TensorTally:
    """Adds up the agreement of one tensor, input after input."""

    def __init__(self, graph: str, name: str, *, judged: bool) -> None:
        self._graph, self._name, self._judged = graph, name, judged
        self._shapes: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        self._cosine, self._relative, self._max_abs, self._peak = 2.0, 0.0, 0.0, 0.0
        self._broken, self._broken_reference = 0, 0
        self._worst = ""

    def add(self, reference: Array, candidate: Array, source: str) -> None:
        """Compare one pair; `source` names the input."""
        if self._shapes[0] != self._shapes[1]:
            return  # one unlike pair is enough, and must not be hidden by the next
        self._shapes = reference.shape, candidate.shape
        if reference.shape != candidate.shape:
            self._worst = source
            return
        wide, narrow = (x.astype(np.float64).ravel() for x in (reference, candidate))
        with np.errstate(invalid="ignore"):
            broken = np.isnan(narrow) | (np.isinf(narrow) & (narrow != wide))
        self._broken += int(broken.sum())
        self._broken_reference += int(np.isnan(wide).sum())
        both = np.isfinite(wide) & np.isfinite(narrow)
        if not both.all():
            wide, narrow = wide[both], narrow[both]
        apart = narrow - wide
        norm, other = float(np.linalg.norm(wide)), float(np.linalg.norm(narrow))
        if norm and other:
            cosine = float(np.clip(wide @ narrow / (norm * other), -1, 1))
        else:
            cosine = 1.0 if norm == other else 0.0
        off = float(np.linalg.norm(apart))
        relative = off / norm if norm else (np.inf if off else 0.0)
        if cosine < self._cosine:
            self._cosine, self._worst = cosine, source
        self._relative = max(self._relative, relative)
        self._max_abs = max(self._max_abs, float(np.abs(apart).max(initial=0)))
        self._peak = max(self._peak, float(np.abs(wide).max(initial=0)))

    def agreement(self) -> TensorAgreement:
        """What was added up so far."""
        return TensorAgreement(
            graph=self._graph,
            name=self._name,
            shape=self._shapes[0],
            other_shape=self._shapes[1],
            cosine=min(self._cosine, 1.0),
            relative=self._relative,
            max_abs=self._max_abs,
            peak=self._peak,
            broken=self._broken,
            broken_reference=self._broken_reference,
            worst_input=self._worst,
            judged=self._judged,
        )
