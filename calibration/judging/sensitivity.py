"""What quantising a block does to the outputs of its graph: which blocks to leave first.

Of TensorRT's form, in a float32 graph, each block is tried alone: its Q/DQ stand at the inputs of
convolutions only, so one block's error is its own. ONNX Runtime's form rounds the results as well
and would charge a block for what its neighbour reads; there each block alone is left in float32,
and what counts is the error that goes with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from calibration.judging.candidates import thresholds
from calibration.judging.line_file import LineFile
from calibration.judging.priors import Progress
from calibration.judging.record import BlockSensitivity
from calibration.quantization.bias_correction import shift_biases
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.quantization.qdq import Form, quantize_graph
from calibration.ranges.inputs import CLICKS, seeded_clicks
from calibration.ranges.record import Ranges
from calibration.selection.record import ChosenImage, SelectionFolder
from edge.bundle import ENCODER, LOCALIZER
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.sinks import write_whole
from edge.types import Array

VERSION = "sensitivity/2"
RELIEF_VERSION = "relief/1"
IMAGES = 4  # of each kind: errors of blocks differ tenfold, of images by a tenth
OUTPUTS = ("query_vector", "confidence_logit")  # of the localizer


class BlockErrors(msgspec.Struct, frozen=True):
    """The relative error of every output of a graph with some blocks in INT8."""

    key: str  # the block that is, or that is not; a graph's name: all are
    errors: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Tried:
    """A graph with some of its convolutions in INT8."""

    graph: str
    convolutions: tuple[str, ...]
    form: Form


@dataclass(frozen=True, slots=True)
class _Case:
    """A graph's inputs and float32's outputs."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]


def sensitivities(
    graphs: FloatGraphs,
    ranges: Ranges,
    folder: SelectionFolder,
    work: Path,
    *,
    latency_ms: Mapping[str, float] | None = None,
    progress: Progress | None = None,
) -> tuple[BlockSensitivity, ...]:
    """Quantise each block alone and compare the graph's outputs with float32's; worst first.

    Args:
        graphs: of the float bundle; a block has its bias shifts, the others none.
        ranges: of its tensors.
        folder: the selection whose first, middle and last images are run.
        work: finished blocks are kept there.
        latency_ms: block -> what INT8 saves on a device, where that was measured.
        progress: told of every block.

    Raises:
        CalibrationError, OutputError, ExecutorError: a graph, a picture or the disk.
    """
    identity = _identity(graphs, ranges, folder, VERSION)
    lines = LineFile(work / f"blocks-{identity}.jsonl", BlockErrors)
    cases: dict[str, list[_Case]] = {}
    found = []
    for number, block in enumerate(graphs.blocks):
        line = lines.get(block.name)
        if line is None:
            cases = cases or _cases(graphs, folder)
            tried = _Tried(block.graph, block.convolutions, Form.TENSORRT)
            line = BlockErrors(block.name, _errors(graphs, ranges, tried, cases, work))
            lines.add(line)
        found.append(
            BlockSensitivity(
                block=block.name,
                graph=block.graph,
                macs=block.macs,
                convolutions=len(block.convolutions),
                relative_error=max(line.errors.values()),
                latency_ms=(latency_ms or {}).get(block.name),
            )
        )
        if progress:
            progress("blocks alone in INT8", number + 1, len(graphs.blocks))
    return tuple(sorted(found, key=lambda each: -each.relative_error))


def reliefs(
    graphs: FloatGraphs,
    ranges: Ranges,
    folder: SelectionFolder,
    work: Path,
    left: Sequence[str],
    progress: Progress | None = None,
) -> tuple[BlockSensitivity, ...]:
    """What error leaves each graph with each block that is left in float32, in ONNX Runtime's form.

    Args:
        graphs: of the float bundle.
        ranges: of its tensors.
        folder: see `sensitivities`.
        work: finished blocks are kept there.
        left: blocks that are not quantised anyway; they are not tried.
        progress: told of every block.

    Returns:
        Of the other blocks, most relief first; `relative_error` is the relief of the output that is
        relieved most. A block without which no output's error is less counts 0.

    Raises:
        CalibrationError, OutputError, ExecutorError: a graph, a picture or the disk.
    """
    others = [block for block in graphs.blocks if block.name not in left]
    keys = [*dict.fromkeys(block.graph for block in others), *(block.name for block in others)]
    identity = _identity(graphs, ranges, folder, RELIEF_VERSION, *sorted(left))
    lines = LineFile(work / f"reliefs-{identity}.jsonl", BlockErrors)
    cases: dict[str, list[_Case]] = {}
    kinds = {block.name: block.graph for block in others}
    errors: dict[str, dict[str, float]] = {}
    for number, key in enumerate(keys):
        line = lines.get(key)
        if line is None:
            cases = cases or _cases(graphs, folder)
            kind = kinds.get(key, key)
            chosen = sorted(graphs.chosen(kind, {*left, key} if key in kinds else left))
            tried = _Tried(kind, tuple(chosen), Form.ONNXRUNTIME)
            line = BlockErrors(key, _errors(graphs, ranges, tried, cases, work))
            lines.add(line)
        errors[key] = line.errors
        if progress:
            progress("blocks alone in float32", number + 1, len(keys))
    found = [
        BlockSensitivity(
            block=block.name,
            graph=block.graph,
            macs=block.macs,
            convolutions=len(block.convolutions),
            relative_error=max(
                0.0, *(all_of - errors[block.name][x] for x, all_of in errors[block.graph].items())
            ),
        )
        for block in others
    ]
    return tuple(sorted(found, key=lambda each: -each.relative_error))


def relative_errors(
    wanted: Sequence[Mapping[str, Array]], found: Sequence[Mapping[str, Array]]
) -> dict[str, float]:
    """Output -> |found - wanted| / |wanted| over all cases together (Euclidean).

    >>> relative_errors([{"v": np.array([3.0, 4.0])}], [{"v": np.array([3.0, 4.5])}])
    {'v': 0.1}
    """
    errors = {}
    for name in wanted[0]:
        pairs = [
            (np.asarray(w[name], np.float64), np.asarray(f[name], np.float64))
            for w, f in zip(wanted, found, strict=True)
        ]
        size = sum(float(np.square(w).sum()) for w, _ in pairs)
        off = sum(float(np.square(f - w).sum()) for w, f in pairs)
        errors[name] = float(np.sqrt(off / size)) if size else float(off > 0)
    return errors


def _errors(
    graphs: FloatGraphs,
    ranges: Ranges,
    tried: _Tried,
    cases: Mapping[str, Sequence[_Case]],
    work: Path,
) -> dict[str, float]:
    """Output -> relative error of a graph that is quantised so."""
    amax, of_graph = thresholds(ranges)[tried.graph], cases[tried.graph]
    shifts = graphs.shifts.get(tried.graph, {})
    corrected = {name: shifts[name] for name in tried.convolutions if name in shifts}
    model = shift_biases(graphs.model(tried.graph, "fp32"), corrected)
    model = quantize_graph(model, amax, tried.convolutions, tried.form)
    path = work / "some_blocks.onnx"
    write_whole(path, model.SerializeToString())
    executor = OnnxRuntimeExecutor(path, tried.form.value, threads=1)
    found = [executor.run(case.inputs, list(case.outputs)) for case in of_graph]
    return relative_errors([case.outputs for case in of_graph], found)


def _cases(graphs: FloatGraphs, folder: SelectionFolder) -> dict[str, list[_Case]]:
    """Inputs and float32's outputs of both graphs."""
    bundle = graphs.bundle
    names = [feature.name for feature in bundle.manifest.features]
    encoder = OnnxRuntimeExecutor(bundle.graph(ENCODER), "fp32", threads=1)
    localizer = OnnxRuntimeExecutor(bundle.graph(LOCALIZER), "fp32", threads=1)
    cases: dict[str, list[_Case]] = {ENCODER: [], LOCALIZER: []}
    for image in spread_over(folder.windows):
        inputs: dict[str, Array] = {"image": folder.read(image)}
        cases[ENCODER].append(_Case(inputs, encoder.run(inputs, names)))
    there = {spec.name for spec in localizer.outputs}
    wanted = [name for name in OUTPUTS if name in there]
    for number, image in enumerate(spread_over(folder.frames)):
        feature = cases[ENCODER][number % len(cases[ENCODER])].outputs
        inputs = {
            "frame": folder.read(image),
            "frame_affine": np.array(image.frame_affine, np.float32).reshape(2, 3),
            "click_xy_px": seeded_clicks(image, folder.selection.frame_px, seed=0),
            "prior_xy_px": np.zeros((CLICKS, 2), np.float32),
            "prior_inv_var": np.zeros(CLICKS, np.float32),
            **feature,
        }
        taken = {spec.name for spec in localizer.inputs}
        inputs = {name: value for name, value in inputs.items() if name in taken}
        cases[LOCALIZER].append(_Case(inputs, localizer.run(inputs, wanted)))
    return cases


def spread_over(images: Sequence[ChosenImage], count: int = IMAGES) -> list[ChosenImage]:
    """A few images, evenly from the first to the last."""
    places = np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)
    return [images[place] for place in places]


def _identity(graphs: FloatGraphs, ranges: Ranges, folder: SelectionFolder, *told: str) -> str:
    """Of a file of finished blocks; `told`: the version first."""
    import onnxruntime

    files = graphs.bundle.manifest.files
    parts = [
        *told,
        onnxruntime.__version__,
        *(files[f"graphs/fp32/{kind}.onnx"] for kind in (ENCODER, LOCALIZER)),
        folder.selection.digest(),
        thresholds(ranges),
        [[block.name, *block.convolutions] for block in graphs.blocks],
        {k: {n: shift.tolist() for n, shift in x.items()} for k, x in graphs.shifts.items()},
        IMAGES,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
