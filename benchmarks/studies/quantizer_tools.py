"""The tools that are compared: each turns a float graph and its feeds into a graph with Q/DQ.

    python -m benchmarks.studies.quantizer_tools TOOL METHOD GRAPH FEEDS TARGET

Each run is a process of its own, so that its time and memory are its own. All are asked for the
same: symmetric int8, weights per channel, and Q/DQ before convolutions only. GRAPH is a file that
stands alone; FEEDS is a folder of .npz files, each with all inputs of the graph for one picture.
NVIDIA's ModelOpt is run by the interpreter of an environment of its own, which knows this file's
`MODELOPT` and nothing else of tilefix.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.types import Array

OURS, ORT, NVIDIA = "tilefix", "onnxruntime.quantization", "NVIDIA ModelOpt"
METHODS = {
    OURS: ("minmax", "percentile", "mse", "entropy"),
    ORT: ("MinMax", "Percentile"),
    NVIDIA: ("max", "entropy"),
}
MODELOPT = """
import sys, numpy as np
from pathlib import Path
from modelopt.onnx.quantization import quantize
from onnxruntime.quantization import CalibrationDataReader
method, source, feeds, target = sys.argv[1:]
class Reader(CalibrationDataReader):
    def __init__(self): self.files = sorted(Path(feeds).glob("*.npz")); self.rewind()
    def rewind(self): self.left = iter(self.files)
    def get_next(self):
        file = next(self.left, None)
        return None if file is None else dict(np.load(file))
    def get_first(self): return dict(np.load(self.files[0]))
quantize(source, quantize_mode="int8", calibration_data_reader=Reader(), output_path=target,
         calibration_method=method, calibration_eps=["cpu"], high_precision_dtype=PRECISION,
         op_types_to_quantize=["Conv"], log_level="ERROR")
"""


@dataclass(frozen=True, slots=True)
class Source:
    """A float graph that tools are given."""

    kind: str  # ENCODER or LOCALIZER
    precision: str  # "fp32", or "fp16" with the plugin's node
    path: Path  # standing alone
    feeds: Path  # folder


def command_of(
    tool: str, method: str, source: Source, target: Path, modelopt: str | None
) -> list[str]:
    """What runs one tool on one graph.

    Args:
        tool: one of `METHODS`.
        method: of the ranges, by the tool's own name.
        source: the graph.
        target: what it writes.
        modelopt: interpreter of ModelOpt's environment.
    """
    files = [str(source.path), str(source.feeds), str(target)]
    if tool == NVIDIA:
        text = MODELOPT.replace("PRECISION", repr(source.precision))
        return [str(modelopt), "-c", text, method, *files]
    return [sys.executable, "-m", "benchmarks.studies.quantizer_tools", tool, method, *files]


def main() -> None:
    """Run one tool in this process."""
    tool, method, graph, feeds, target = sys.argv[1:]
    make = _ours if tool == OURS else _onnxruntime
    make(method, Path(graph), Path(feeds), Path(target))


def readers(feeds: Path) -> list[Callable[[], dict[str, Array]]]:
    """What reads each feed of a folder, in the order of their names."""

    def reader(path: Path) -> Callable[[], dict[str, Array]]:
        return lambda: dict(np.load(path))

    return [reader(path) for path in sorted(feeds.glob("*.npz"))]


def _ours(method: str, graph: Path, feeds: Path, target: Path) -> None:
    from calibration.quantization.int8_graphs import FloatGraphs
    from calibration.ranges.finding import find_ranges
    from calibration.ranges.observer_graph import needed_inputs
    from calibration.ranges.observing import Feed, observe
    from calibration.ranges.work_folder import ObserveOptions

    graphs = FloatGraphs(Bundle.open(shipped_bundle_path()))
    kind = ENCODER if graph.stem.startswith(ENCODER) else LOCALIZER
    observed, tensors = graphs.bundle.graph(kind), graphs.observed[kind]
    needs = needed_inputs(observed, tensors)

    def some(read: Callable[[], Mapping[str, Array]]) -> Callable[[], Mapping[str, Array]]:
        return lambda: {name: value for name, value in read().items() if name in needs}

    pictures = [Feed(str(n), f"{n:064x}", some(r)) for n, r in enumerate(readers(feeds))]
    with tempfile.TemporaryDirectory() as scratch:
        options = ObserveOptions("0" * 64, "feeds as they are")
        seen = observe(observed, tensors, pictures, Path(scratch) / "ranges", options)
        ranges = find_ranges((seen,), method).of(kind)
    write_ours(graphs, kind, {name: each.amax for name, each in ranges.items()}, graph, target)


def write_ours(
    graphs: Any, kind: str, amax: Mapping[str, float], graph: Path, target: Path
) -> None:
    """Q/DQ for TensorRT in a float graph of the shipped bundle.

    Args:
        graphs: the bundle's `FloatGraphs`.
        kind: of the graph.
        amax: by names of the float32 graph.
        graph: the float graph itself, float32 or float16.
        target: file to be written.
    """
    import onnx

    from calibration.quantization.convolutions import carried_over
    from calibration.quantization.qdq import Form, quantize_graph

    model = onnx.load(str(graph))
    carried = dict(amax) | carried_over(amax, graphs.model(kind, "fp32"), model)
    made = quantize_graph(model, carried, graphs.chosen(kind, ()), Form.TENSORRT)
    onnx.save(made, str(target))


def _onnxruntime(method: str, graph: Path, feeds: Path, target: Path) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(readers(feeds))

        def get_next(self) -> dict[str, Array] | None:
            read = next(self.left, None)
            return None if read is None else read()

    quantize_static(
        str(graph),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8,
        calibrate_method=getattr(CalibrationMethod, method),
        op_types_to_quantize=["Conv"],
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv"],  # else what they make, too
        },
    )


if __name__ == "__main__":
    main()
