"""Our Q/DQ beside ready tools': accuracy, time, memory and layers, on the shipped encoder.

    python -m benchmarks.studies.quantizers --selection DIR --modelopt PYTHON

Every tool gets the same windows of a selection folder (`tilefix calibrate` leaves one in its work
folder) and TensorRT's rules: symmetric int8, weights per channel, convolutions only. What they make
is run by ONNX Runtime on other windows, in float between the Q/DQ, against the float32 graph.
ONNX Runtime's histogram methods hold every activation of every image at once, a gigabyte and more
for each of these windows: hence so few. NVIDIA's ModelOpt brings its own onnxruntime, so it runs in
an environment of its own, by its interpreter: `pip install torch 'nvidia-modelopt[onnx]'` there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.acceptance_record import machine, write_record
from calibration.selection.record import SelectionFolder
from edge.bundle import ENCODER, Bundle, shipped_bundle_path
from edge.types import Uint8

RECORD = Path(__file__).parent.parent / "records" / "quantizers.json"
OUR_METHODS = ("minmax", "percentile", "mse", "entropy")
ORT_METHODS = ("MinMax", "Percentile", "Entropy")
MODELOPT_METHODS = ("max", "entropy")
MODELOPT = """
import sys, numpy as np
from modelopt.onnx.quantization import quantize
from onnxruntime.quantization import CalibrationDataReader
source, target, method, images = sys.argv[1:]
class Reader(CalibrationDataReader):
    def __init__(self): self.images = np.load(images); self.rewind()
    def rewind(self): self.left = iter(self.images)
    def get_next(self):
        image = next(self.left, None)
        return None if image is None else {"image": image}
    def get_first(self): return {"image": self.images[0]}
quantize(source, quantize_mode="int8", calibration_data_reader=Reader(), output_path=target,
         calibration_method=method, calibration_eps=["cpu"], high_precision_dtype="fp32",
         op_types_to_quantize=["Conv"], log_level="ERROR")
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One tool with one method."""

    tool: str
    method: str
    seconds: float
    peak_mb: float  # of its process, all included
    quantised_convolutions: int
    convolutions: int
    quantize_nodes: int
    file_bytes: int
    cosine: dict[str, float]  # output -> the least of all windows
    failed: str = ""


def main() -> None:
    """Quantise, compare, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--judged-on", type=int, default=6)
    parser.add_argument("--modelopt", help="Python interpreter of its environment")
    parser.add_argument("--out", type=Path, default=RECORD)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)  # in a process of its own
    given = parser.parse_args()
    if given.one:
        _one(*given.one)
        return
    folder = SelectionFolder.open(given.selection)
    chosen = folder.windows[:: max(1, len(folder.windows) // (given.windows + given.judged_on))]
    pictures = [folder.read(each) for each in chosen[: given.windows + given.judged_on]]
    seen, judged = pictures[: given.windows], pictures[given.windows :]
    with tempfile.TemporaryDirectory() as scratch:
        results = compare(Path(scratch), seen, judged, given.modelopt)
    for each in results:
        print(line_of(each), flush=True)
    values = {
        "schema": "tilefix-quantizers/1",
        "command": "python -m benchmarks.studies.quantizers --selection DIR "
        f"--windows {given.windows} --judged-on {given.judged_on}"
        + (" --modelopt PYTHON" if given.modelopt else ""),
        "environment": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "windows": len(seen),
        "judged_on": len(judged),
        "results": [asdict(each) for each in results],
    }
    write_record(values, given.out.parent, given.out.name)


def compare(
    scratch: Path, seen: list[Uint8], judged: list[Uint8], modelopt: str | None
) -> list[Result]:
    """Every tool and method, each in a process of its own, so that its memory is its own."""
    from export.shared_weights import whole_graph

    source = scratch / "float.onnx"
    graph = whole_graph(Bundle.open(shipped_bundle_path()).graph(ENCODER))
    source.write_bytes(graph.SerializeToString())
    images = scratch / "images.npy"
    np.save(images, np.stack(seen))
    before = answers(source, judged)
    own = [sys.executable, "-m", "benchmarks.studies.quantizers", "--selection", ".", "--one"]
    jobs: list[tuple[str, str, list[str]]] = [
        *(("tilefix", m, [*own, "ours", m]) for m in OUR_METHODS),
        *(("onnxruntime.quantization", m, [*own, "ort", m]) for m in ORT_METHODS),
    ]
    results = []
    for tool, method, command in jobs:
        target = scratch / f"{tool}_{method}.onnx"
        run = [*command, str(images), str(target)]
        results.append(judge(tool, method, run, target, before, judged))
    for method in MODELOPT_METHODS if modelopt else ():
        target = scratch / f"modelopt_{method}.onnx"
        run = [str(modelopt), "-c", MODELOPT, str(source), str(target), method, str(images)]
        results.append(judge("NVIDIA ModelOpt", method, run, target, before, judged))
    return results


def judge(
    tool: str,
    method: str,
    command: list[str],
    target: Path,
    before: list[dict[str, Any]],
    judged: list[Uint8],
) -> Result:
    """Run a tool and compare what it made with float32."""
    import onnx

    start_s = time.perf_counter()
    timed = ["/usr/bin/env", "python3", "-c", _PEAK, *command]
    done = subprocess.run(timed, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start_s
    peak_mb = float(done.stdout.rsplit("peak_kb", 1)[-1] or 0) / 1024 if done.stdout else 0.0
    if not target.exists():
        why = (done.stderr.strip().splitlines() or ["no file"])[-1][:200]
        return Result(tool, method, seconds, peak_mb, 0, 0, 0, 0, {}, why)
    graph = onnx.load(str(target)).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantised = [
        node
        for node in convolutions
        if all(makers.get(name) == "DequantizeLinear" for name in node.input[:2])
    ]
    after = list(zip(before, answers(target, judged), strict=True))
    return Result(
        tool=tool,
        method=method,
        seconds=round(seconds, 2),
        peak_mb=round(peak_mb, 1),
        quantised_convolutions=len(quantised),
        convolutions=len(convolutions),
        quantize_nodes=sum(node.op_type == "QuantizeLinear" for node in graph.node),
        file_bytes=target.stat().st_size,
        cosine={
            name: round(min(cosine(a[name], b[name]) for a, b in after), 5) for name in before[0]
        },
    )


def answers(graph: Path, pictures: list[Uint8]) -> list[dict[str, Any]]:
    """What a graph makes of each picture, in float between its Q/DQ."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 2
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return [dict(zip(names, session.run(names, {"image": x}), strict=True)) for x in pictures]


def cosine(one: Any, other: Any) -> float:
    """Of two tensors as vectors."""
    a, b = (x.astype(np.float64).ravel() for x in (one, other))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def line_of(each: Result) -> str:
    """One row for people."""
    head = f"{each.tool:26} {each.method:10} {each.seconds:7.1f} s {each.peak_mb:7.0f} MB"
    if each.failed:
        return f"{head}  failed: {each.failed}"
    numbers = "  ".join(f"{name} {value:.4f}" for name, value in each.cosine.items())
    layers = f"{each.quantised_convolutions}/{each.convolutions} convolutions"
    return f"{head}  {layers}, {each.quantize_nodes} Q  {each.file_bytes / 1e6:.1f} MB  {numbers}"


# Runs a command and says the peak memory of it and its children.
_PEAK = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("peak_kb", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def _one(tool: str, method: str, images: str, target: str) -> None:
    make: Callable[[str, str, str], None] = _ours if tool == "ours" else _onnxruntime
    make(method, images, target)


def _ours(method: str, images: str, target: str) -> None:
    import onnx

    from calibration.quantization.int8_graphs import FloatGraphs
    from calibration.quantization.qdq import Form, quantize_graph
    from calibration.ranges.finding import find_ranges
    from calibration.ranges.observing import Feed, observe
    from calibration.ranges.work_folder import ObserveOptions

    graphs = FloatGraphs(Bundle.open(shipped_bundle_path()))
    pictures = np.load(images)
    feeds = [Feed(str(n), f"{n:064x}", lambda x=x: {"image": x}) for n, x in enumerate(pictures)]
    with tempfile.TemporaryDirectory() as scratch:
        seen = observe(
            graphs.bundle.graph(ENCODER),
            graphs.observed[ENCODER],
            feeds,
            Path(scratch) / "ranges",
            ObserveOptions("0" * 64, "windows as they are"),
        )
        ranges = find_ranges((seen,), method).of(ENCODER)
    amax = {name: each.amax for name, each in ranges.items()}
    chosen = graphs.chosen(ENCODER, ())
    made = quantize_graph(graphs.model(ENCODER, "fp32"), amax, chosen, Form.TENSORRT)
    onnx.save(made, target)


def _onnxruntime(method: str, images: str, target: str) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(np.load(images))

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.left, None)
            return None if image is None else {"image": image}

    quantize_static(
        str(Path(images).with_name("float.onnx")),
        target,
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
        },
    )


if __name__ == "__main__":
    main()
