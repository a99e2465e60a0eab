"""The answers of a bundle in one precision on held-out samples, kept by what they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from calibration.judging.held_out import HeldOutSample
from calibration.judging.line_file import LineFile
from calibration.judging.priors import Progress, priors_id
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.feature_quantization import TYPES, dequantized, quantized
from edge.localizer import Localizer
from edge.types import Localizations, Prior, ReferenceFeature

NO_PRIOR, ALIGNMENT = "no prior", "alignment"
REGIMES = (NO_PRIOR, ALIGNMENT)
VERSION = "answers/1"
PLAIN, INT8 = TYPES


class Answer(msgspec.Struct, frozen=True):
    """What the localizer said of the N clicks of a sample."""

    box_xyxy_px: list[tuple[float, float, float, float]]
    confidence_logit: list[float]
    peak_similarity: list[float]
    second_peak_similarity: list[float]
    cell_similarity: list[float]

    @staticmethod
    def of(found: Localizations) -> Answer:
        """As lists."""
        boxes = [tuple(box) for box in found.box_xyxy_px.tolist()]
        numbers = (getattr(found, name).tolist() for name in Answer.__struct_fields__[1:])
        return Answer(boxes, *numbers)

    def localizations(self) -> Localizations:
        """As arrays again; float32 survives the text."""
        lists = (getattr(self, name) for name in Answer.__struct_fields__)
        return Localizations(*(np.array(values, np.float32) for values in lists))


class SampleAnswers(msgspec.Struct, frozen=True):
    """The answers of one sample by regime; one that did not align has none with alignment."""

    key: str
    regimes: dict[str, Answer]


def answers_id(bundle: Bundle, precision: str, stored: str = PLAIN) -> str:
    """What the answers on a sample depend on beside it."""
    import onnxruntime

    files = bundle.manifest.files
    graphs = [files[f"graphs/{precision}/{kind}.onnx"] for kind in (ENCODER, LOCALIZER)]
    parts = [VERSION, precision, *graphs, priors_id(bundle), onnxruntime.__version__]
    if stored != PLAIN:
        parts.append(stored)
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def answers_of(
    bundle: Bundle,
    precision: str,
    samples: Sequence[HeldOutSample],
    priors: Mapping[str, Prior | None],
    work: Path,
    *,
    stored: str = PLAIN,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, SampleAnswers]:
    """The answers on each sample by its sha256; those given before are read from `work`.

    Features come from the bundle's own encoder in the same precision. ONNX Runtime runs both.

    Args:
        bundle: with graphs in `precision`.
        precision: of both graphs.
        samples: to be located.
        priors: of `priors_of`; empty: without alignment.
        work: folder of finished work.
        stored: how a feature store holds the features in between, "float16" or "int8".
        threads: of each graph.
        progress: told of every sample.

    Raises:
        BundleError, ExecutorError: the graphs cannot be run.
        DataError: a sample that cannot be decoded.
        OutputError, CalibrationError: see `LineFile`.
    """
    lines = LineFile(work / f"answers-{answers_id(bundle, precision, stored)}.jsonl", SampleAnswers)
    localizer: Localizer | None = None
    found = {}
    for number, each in enumerate(samples):
        line = lines.get(each.sha256)
        if line is None:
            localizer = localizer or Localizer.open(bundle, precision=precision, threads=threads)
            sample = each.read()
            feature = as_stored(localizer.encode(sample.reference_window()), bundle, stored)
            known = {NO_PRIOR: Prior.none(len(sample.present))}
            aligned = priors.get(each.sha256)
            if aligned is not None:
                known[ALIGNMENT] = aligned
            answers = {
                regime: Answer.of(
                    localizer.locate(sample.frame, sample.click_xy_px, feature, prior)
                )
                for regime, prior in known.items()
            }
            line = SampleAnswers(each.sha256, answers)
            lines.add(line)
        found[each.sha256] = line
        if progress:
            progress(f"located in {precision}", number + 1, len(samples))
    return found


def as_stored(feature: ReferenceFeature, bundle: Bundle, stored: str) -> ReferenceFeature:
    """A feature as it comes back from a store that holds it so."""
    if stored == PLAIN:
        return feature
    names = [spec.name for spec in bundle.manifest.features]
    return replace(feature, tensors=dequantized(quantized(feature.tensors, names)))
