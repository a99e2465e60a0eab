"""Why ranges by entropy spoil `lite`: which tensors they cut, and what is left without these.

    python -m benchmarks.studies.entropy --selection WORK/selection --histograms WORK/ranges

WORK is the work folder of `tilefix calibrate` with the shipped bundle. The encoder is quantised by
each method for all tensors, and by entropy for all but those of which it cuts more than half a per
cent of the values, which get their range by percentile. Answers are compared with float32's on a
few windows of the selection: they tell methods apart, and are no measure of accuracy.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.acceptance_record import machine, write_record
from benchmarks.studies.own_command import own_command
from benchmarks.studies.quantizer_boxes import cosine
from calibration.judging.sensitivity import spread_over
from calibration.quantization.int8_graphs import FloatGraphs
from calibration.quantization.qdq import Form, quantize_graph
from calibration.ranges.finding import find_ranges
from calibration.ranges.histogram import CoarseHistogram, Histogram
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.methods import FIRST, squared_errors
from calibration.ranges.record import METHODS
from calibration.ranges.work_folder import shard_name
from calibration.selection.record import SelectionFolder
from edge.bundle import ENCODER, Bundle, shipped_bundle_path
from edge.executors.onnxruntime import OnnxRuntimeExecutor

RECORD = Path(__file__).parent.parent / "records" / "int8" / "entropy.json"
CUT = 0.005  # of the values, by entropy
WINDOWS = 3


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--histograms", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RECORD)
    given = parser.parse_args()
    seen = TensorHistograms.read(given.histograms / ENCODER / shard_name(0, 1))
    graphs = FloatGraphs(Bundle.open(shipped_bundle_path()))
    folder = SelectionFolder.open(given.selection)
    ranges = {method: find_ranges((seen,), method).of(ENCODER) for method in METHODS}
    amax = {m: {name: each.amax for name, each in found.items()} for m, found in ranges.items()}
    read = {each.source for each in graphs.sorted[ENCODER].eligible}
    cut = [n for n in seen.tensors if n in read and ranges["entropy"][n].saturated_share > CUT]
    amax["entropy, but percentile for these"] = amax["entropy"] | {
        name: amax["percentile"][name] for name in cut
    }
    record: dict[str, Any] = {
        "schema": "tilefix-entropy-study/1",
        "command": own_command("benchmarks.studies.entropy"),
        "environment": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "images": len(seen.images),
        "windows": WINDOWS,
        "tensors": len(read),
        "cut": [shown(name, seen.tensors[name], amax) for name in cut],
        "cosine": cosines(graphs, folder, amax),
    }
    for line in (*record["cut"], *record["cosine"].items()):
        print(line, flush=True)
    write_record(record, given.out.parent, given.out.name)


def shown(name: str, histogram: Histogram, amax: dict[str, dict[str, float]]) -> dict[str, Any]:
    """One tensor: where methods cut, how much lies beyond, and the rounding error, all included."""
    coarse = CoarseHistogram.of(histogram)
    errors = squared_errors(histogram) / histogram.counts.sum()
    values: dict[str, Any] = {"tensor": name, "amax": round(histogram.amax, 3)}
    for method in METHODS:
        threshold = amax[method][name]
        candidate = min(max(round(threshold / coarse.width), FIRST), FIRST + len(errors) - 1)
        values[method] = {
            "of_amax": round(threshold / histogram.amax, 3),
            "beyond": round(histogram.share_beyond(threshold), 5),
            "rms_error": float(f"{np.sqrt(errors[candidate - FIRST]):.3g}"),
        }
    return values


def cosines(
    graphs: FloatGraphs, folder: SelectionFolder, amax: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Mean cosine of each output of the encoder with float32's, by the way of finding ranges."""
    bundle = graphs.bundle
    names = [feature.name for feature in bundle.manifest.features]
    inputs = [{"image": folder.read(each)} for each in spread_over(folder.windows, WINDOWS)]
    plain = OnnxRuntimeExecutor(bundle.graph(ENCODER), "fp32", threads=1)
    wanted = [plain.run(each, names) for each in inputs]
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "encoder.onnx"
        for way, thresholds in amax.items():
            model = graphs.model(ENCODER, "fp32")
            chosen = graphs.chosen(ENCODER, ())
            int8 = quantize_graph(model, thresholds, chosen, Form.TENSORRT)
            path.write_bytes(int8.SerializeToString())
            executor = OnnxRuntimeExecutor(path, Form.TENSORRT.value, threads=1)
            answers = [executor.run(each, names) for each in inputs]
            pairs = list(zip(wanted, answers, strict=True))
            found[way] = {
                name: round(float(np.mean([cosine(a[name], b[name]) for a, b in pairs])), 4)
                for name in names
            }
    return found


if __name__ == "__main__":
    main()
