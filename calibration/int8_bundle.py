"""A bundle with INT8 graphs beside its float ones, and how they came about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from calibration.judging.record import CpuFormVerdict, Judgement, Outcome
from calibration.judging.verdict import headline
from calibration.quantization.qdq import Form
from calibration.ranges.carried import RANGES_FILE
from calibration.ranges.record import Ranges
from calibration.replay_index import FOLDER as REPLAY
from edge.bundle import Bundle, write_bundle
from edge.precisions import JUDGED, RUN_FLOAT32

RANGES = RANGES_FILE
JUDGEMENT, REPORT = (f"calibration/{name}" for name in ("judgement.json", "report.html"))
HEAD = "head.npz"


@dataclass(frozen=True, slots=True)
class Proof:
    """What goes into the bundle beside the graphs."""

    ranges: Ranges
    judgement: Judgement | None = None  # None: a candidate that is about to be judged
    report: bytes = b""
    pictures: Mapping[str, bytes] = field(default_factory=dict)  # for replays, by their names


def write_int8_bundle(
    source: Bundle, graphs: Mapping[str, Path], proof: Proof, out: Path
) -> Bundle:
    """Write the bundle `source` with INT8 graphs in it.

    Args:
        source: its files are kept as they are, but for pictures of earlier graphs.
        graphs: by name, "graphs/int8+fp32/localizer.onnx"; none where INT8 was rejected.
        proof: of what they are; without graphs for TensorRT its pictures are left out.
        out: folder of the new bundle.

    Raises:
        OutputError: the folder is taken, or cannot be written.
    """
    kept = [name for name in source.manifest.files if not name.startswith(f"{REPLAY}/")]
    files: dict[str, bytes | Path] = {name: source.file(name) for name in kept}
    files.update(graphs)
    if any(name.startswith(f"graphs/{Form.TENSORRT.value}/") for name in graphs):
        files.update(proof.pictures)
    for form in Form:
        head = f"graphs/fp32/{HEAD}"
        if head in files and any(name.startswith(f"graphs/{form.value}/") for name in graphs):
            files[f"graphs/{form.value}/{HEAD}"] = source.file(head)
    files[RANGES] = _json(proof.ranges)
    manifest = source.manifest
    if proof.judgement is not None:
        files[JUDGEMENT] = _json(proof.judgement)
        scores = {**manifest.scores, JUDGED: summary(proof.judgement)}
        manifest = msgspec.structs.replace(manifest, scores=scores)
    if proof.report:
        files[REPORT] = proof.report
    return write_bundle(out, manifest, files)


def summary(judgement: Judgement) -> dict[str, object]:
    """The judgement in the few words that `bundle.toml` holds."""
    blocks = f": {', '.join(judgement.left_float)}" if judgement.outcome is Outcome.MIXED else ""
    features, on_cpu = judgement.int8_features, judgement.cpu_form
    return {
        "outcome": f"{headline(judgement)}{blocks}",
        **({} if on_cpu is None else {"onnxruntime": _in_onnxruntime(on_cpu)}),
        **({} if features is None else {"int8_features": features.verdict.value}),
        "method": judgement.method,
        "budget_points": judgement.budget_points,
        "reasons": list(judgement.reasons),
    }


def _in_onnxruntime(form: CpuFormVerdict) -> str:
    if not form.holds:
        return RUN_FLOAT32
    alone = ", by agreement alone" if form.by_agreement else ""
    left = f", in float32: {', '.join(form.left_float)}" if form.left_float else ""
    return f"held{alone}{left}"


def _json(value: msgspec.Struct) -> bytes:
    return json.dumps(msgspec.to_builtins(value), indent=1, sort_keys=True).encode() + b"\n"
