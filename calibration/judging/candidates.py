"""Candidates as bundles: the float bundle with INT8 graphs beside its own, for judging only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from calibration.quantization.int8_graphs import FloatGraphs, int8_graphs
from calibration.quantization.qdq import Form
from calibration.ranges.record import Ranges
from edge.bundle import ALIGNMENT_GRAPH, ENCODER, LOCALIZER, Bundle, sha256_of, write_bundle
from edge.sinks import write_whole

if TYPE_CHECKING:
    from onnx import ModelProto

KINDS = (ENCODER, LOCALIZER)


def thresholds(ranges: Ranges) -> dict[str, dict[str, float]]:
    """Kind of graph -> tensor -> amax."""
    return {kind: {name: x.amax for name, x in ranges.of(kind).items()} for kind in KINDS}


def write_candidate(
    graphs: FloatGraphs,
    ranges: Ranges,
    left_float: Collection[str],
    form: Form,
    folder: Path,
) -> Bundle:
    """A bundle with the INT8 graphs of one form, and all that locating with them takes.

    TensorRT's form is written into a float32 graph. On a CPU float16 is emulated: slow,
    and what it changes in the answers (`benchmarks.studies.precision`) is a twentieth of what INT8
    does. An engine's answers are checked against these once there is one.

    Args:
        graphs: of the float bundle.
        ranges: of its tensors.
        left_float: blocks that are not quantised.
        form: for whom.
        folder: for the bundle; one that is there is replaced.

    Raises:
        CalibrationError, UsageError: see `int8_graphs`.
    """
    made = int8_graphs(graphs, thresholds(ranges), left_float, [form], emulate_half=False)
    with TemporaryDirectory() as scratch:  # stored as it is shipped: its size is in the report
        written = _write_shared(made, Path(scratch), graphs.parts_as_well)
        files: dict[str, bytes | Path] = {name: path.read_bytes() for name, path in written.items()}
    listed = graphs.bundle.manifest.files
    kept = [name for name in listed if name.startswith("graphs/fp32/") or name == ALIGNMENT_GRAPH]
    files |= {name: graphs.bundle.file(name) for name in kept}
    if "graphs/fp32/head.npz" in listed:
        files[f"graphs/{form.value}/head.npz"] = graphs.bundle.file("graphs/fp32/head.npz")
    return write_bundle(folder, graphs.bundle.manifest, files, replace=folder.exists())


def write_kept(
    graphs: FloatGraphs,
    ranges: Ranges,
    left_float: Mapping[Form, Collection[str]],
    folder: Path,
) -> dict[str, str]:
    """The graphs as they are shipped, in every form that the bundle allows; their sha256 by name.

    Args:
        graphs: of the float bundle; without fp16 there is no form for TensorRT.
        ranges: that were kept.
        left_float: form that is wanted -> its blocks that are not quantised.
        folder: gets graphs/int8+fp32/localizer.onnx and so on.
    """
    made: dict[str, ModelProto] = {}
    for form, left in left_float.items():
        if form is Form.ONNXRUNTIME or "fp16" in graphs.bundle.precisions:
            made |= int8_graphs(graphs, thresholds(ranges), left, [form])
    written = _write_shared(made, folder, graphs.parts_as_well)
    return {name: sha256_of(path) for name, path in written.items()}


def _write_shared(
    models: Mapping[str, ModelProto], folder: Path, parts_as_well: bool
) -> dict[str, Path]:
    """Write graphs and the weights that those of one precision share; all files by their names.

    `parts_as_well`: the localizer of ONNX Runtime is written cut in parts as well.
    """
    from export.localizer_parts import localizer_parts
    from export.shared_weights import share_weights

    together: dict[Path, list[Path]] = {}
    for name, model in models.items():
        write_whole(folder / name, model.SerializeToString(deterministic=True))
        together.setdefault((folder / name).parent, []).append(folder / name)
    for paths in together.values():
        share_weights(paths)
    cpu = folder / "graphs" / Form.ONNXRUNTIME.value
    if parts_as_well and cpu.is_dir():
        whole = (cpu / f"{LOCALIZER}.onnx").read_bytes()
        for name, part in localizer_parts(whole, cpu.name).items():
            write_whole(folder / name, part)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in files}


def graph_bytes(bundle: Bundle, precision: str) -> int:
    """Size of both graphs on the disk, with the weights that they share."""
    shared = f"graphs/{precision}/weights.bin"
    return sum(
        bundle.file(name).stat().st_size
        for name in (*(f"graphs/{precision}/{kind}.onnx" for kind in KINDS), shared)
        if name in bundle.manifest.files
    )


def int8_share(graphs: FloatGraphs, left_float: Collection[str]) -> dict[str, float]:
    """Graph -> share of all its multiply-accumulates that run in INT8."""
    shares = {}
    for kind in KINDS:
        chosen = graphs.chosen(kind, left_float)
        found = graphs.sorted[kind]
        total = sum(x.macs for x in found.eligible) + sum(x.macs for x, _ in found.refused)
        total += found.other_macs
        macs = sum(x.macs for x in found.eligible if x.name in chosen)
        shares[kind] = macs / total if total else 0.0
    return shares
