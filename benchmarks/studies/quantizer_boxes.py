"""What quantised graphs cost in boxes, by the judge's own measures, without a prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.precision import points
from calibration.judging.held_out import HeldOutSample
from calibration.judging.locating import NO_PRIOR, SampleAnswers, answers_of
from calibration.judging.priors import Progress
from calibration.judging.scores import LocatedClick, accuracy, located, score_regime
from calibration.quantization.qdq import Form
from edge.acceptance import AcceptanceModel
from edge.bundle import ENCODER, LOCALIZER, Bundle, write_bundle
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.types import Uint8

BASE = "fp32"
PRECISION = Form.TENSORRT.value  # float between the Q/DQ, as TensorRT computes
KINDS = (ENCODER, LOCALIZER)


@dataclass(frozen=True, slots=True)
class Court:
    """Held-out samples and what float32 says of them.

    Args:
        bundle: the float bundle.
        samples: labelled.
        work: folder of finished work; answers there are not asked for again.
        progress: told of every sample.
    """

    bundle: Bundle
    samples: tuple[HeldOutSample, ...]
    work: Path
    progress: Progress | None = None

    def answers(self, bundle: Bundle, precision: str) -> dict[str, SampleAnswers]:
        """Of a bundle on all samples, on one thread."""
        return answers_of(bundle, precision, self.samples, {}, self.work, progress=self.progress)

    def boxes(self, candidate: Bundle) -> dict[str, Any]:
        """A candidate's accuracy and boxes beside float32's on the same clicks."""
        base, other = self.answers(self.bundle, BASE), self.answers(candidate, PRECISION)
        acceptance = AcceptanceModel.from_spec(self.bundle.manifest.acceptance)
        return summary(located(self.samples, base, other, {}, acceptance)[NO_PRIOR])


def candidate_of(bundle: Bundle, graphs: Mapping[str, Path], folder: Path) -> Bundle:
    """The float bundle with quantised graphs beside its own.

    Args:
        bundle: the float bundle.
        graphs: kind -> a file that stands alone.
        folder: for the bundle; one that is there is replaced.
    """
    kept = [name for name in bundle.manifest.files if name.startswith(f"graphs/{BASE}/")]
    files: dict[str, bytes | Path] = {name: bundle.file(name) for name in kept}
    files |= {f"graphs/{PRECISION}/{kind}.onnx": graphs[kind].read_bytes() for kind in KINDS}
    head = f"graphs/{BASE}/head.npz"
    if head in files:
        files[f"graphs/{PRECISION}/head.npz"] = bundle.file(head)
    return write_bundle(folder, bundle.manifest, files, replace=folder.exists())


def summary(clicks: Sequence[LocatedClick]) -> dict[str, Any]:
    """Accuracy, its change with a 95 % interval by bootstrap over samples, and the boxes."""
    score = score_regime(NO_PRIOR, clicks)
    on_map = [each for each in clicks if each.present]
    agreement = np.array([each.agreement for each in clicks])
    shown: dict[str, Any] = {
        "samples": score.samples,
        "clicks_on_map": score.clicks_on_map,
        "clicks": score.clicks,
        "box_iou_median": round(score.box_iou_median, 4),
        "box_iou_mean": round(float(agreement.mean()), 4),
        "box_iou_at_least_0.9": round(score.box_iou_90, 4),
    }
    for threshold, change in ((0.25, score.change_25), (0.5, score.change_50)):
        both = [accuracy(on_map, threshold, which) for which in (0, 1)]
        shown[f"acc@{threshold}"] = [round(each, 4) for each in both]
        shown[f"acc@{threshold}_change_points"] = points(change)
    return shown


def cosine(one: Any, other: Any) -> float:
    """Of two tensors as vectors."""
    a, b = (x.astype(np.float64).ravel() for x in (one, other))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def least_cosines(before: Path, after: Path, pictures: Sequence[Uint8]) -> dict[str, float]:
    """Each output of two encoders, as vectors: the least cosine of all pictures.

    Args:
        before: the float32 graph.
        after: the quantised one.
        pictures: [H, W, 3] uint8 each.
    """
    one = OnnxRuntimeExecutor(before, BASE, threads=1)
    other = OnnxRuntimeExecutor(after, PRECISION, threads=1)
    pairs = [(one.run({"image": x}), other.run({"image": x})) for x in pictures]
    names = [each.name for each in one.outputs]
    return {name: round(min(cosine(a[name], b[name]) for a, b in pairs), 4) for name in names}
