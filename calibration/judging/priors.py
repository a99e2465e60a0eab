"""Frame alignment of held-out samples, once for all candidates: its graph is never quantised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from calibration.judging.held_out import HeldOutSample
from calibration.judging.line_file import LineFile
from edge.alignment import Aligner
from edge.bundle import ALIGNMENT_GRAPH, Bundle
from edge.types import Prior, PriorSource, ReferenceFeature

VERSION = "priors/1"
Progress = Callable[[str, int, int], None]  # what, done, in all


class AlignedSample(msgspec.Struct, frozen=True):
    """The alignment of one sample; no inliers: it failed."""

    key: str
    xy_px: list[tuple[float, float]]
    inv_var: list[float]
    inliers: int

    def prior(self) -> Prior | None:
        """For the sample's clicks; None unless it tells something of all of them."""
        if not self.inliers or not all(x > 0 for x in self.inv_var):
            return None
        xy_px, inv_var = np.array(self.xy_px, np.float32), np.array(self.inv_var, np.float32)
        return Prior(xy_px, inv_var, PriorSource.ALIGNMENT, self.inliers)


def priors_id(bundle: Bundle) -> str:
    """What the alignments of a sample depend on beside it; "" for a bundle that cannot align."""
    graph = bundle.manifest.files.get(ALIGNMENT_GRAPH)
    if graph is None:
        return ""
    return hashlib.sha256(f"{VERSION} {graph}".encode()).hexdigest()[:16]


def priors_of(
    bundle: Bundle,
    samples: Sequence[HeldOutSample],
    work: Path,
    progress: Progress | None = None,
) -> Mapping[str, Prior | None]:
    """The prior of each sample by its sha256; those found before are read from `work`.

    A bundle without an alignment graph has none. Yaw and scale are told as telemetry would, see
    `export.aligned_samples`.

    Raises:
        DataError: a sample that cannot be decoded.
        OutputError, CalibrationError: see `LineFile`.
    """
    from export.aligned_samples import align

    identity = priors_id(bundle)
    if not identity:
        return {}
    lines = LineFile(work / f"priors-{identity}.jsonl", AlignedSample)
    aligner: Aligner | None = None
    found = {}
    for number, each in enumerate(samples):
        line = lines.get(each.sha256)
        if line is None:
            aligner = aligner or Aligner.open(bundle, threads=1)
            sample = each.read()
            window = sample.reference_window()
            height, width = sample.window.shape[:2]
            described = ReferenceFeature(
                aligner.describe(window), None, width, height, "", "", "", window.coverage
            )
            prior = align(aligner, sample, described, each.random())
            numbers = prior.xy_px.tolist(), prior.inv_var.tolist()
            line = AlignedSample(each.sha256, *numbers, prior.inliers)
            lines.add(line)
        found[each.sha256] = line.prior()
        if progress:
            progress("alignment", number + 1, len(samples))
    return found
