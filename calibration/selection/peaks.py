"""A network's own descriptor of a picture: the largest magnitude in each of its convolutions.

It is what a range is made of, so that pictures that are far apart in it widen different ranges. It
costs one run of the network for each candidate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.selection.candidate import FeatureMaker
from edge.errors import CalibrationError, MissingLibraryError
from edge.executors.onnxruntime import STOP_SPINNING
from edge.types import Float32, Uint8

if TYPE_CHECKING:
    from edge.bundle import Bundle


def peak_features(bundle: Bundle, threads: int = 2, windows: bool = True) -> FeatureMaker:
    """The peaks of a bundle's two float32 graphs, by ONNX Runtime on the CPU.

    Args:
        bundle: whose graphs.
        threads: of ONNX Runtime.
        windows: False leaves the windows to the cheap numbers: one costs as much as five frames.

    Raises:
        MissingLibraryError: the library onnx (extra `export`) is not installed.
        CalibrationError: a graph without a convolution that sees the picture alone.
    """
    from edge.bundle import ENCODER, LOCALIZER

    kinds = (LOCALIZER, ENCODER) if windows else (LOCALIZER,)
    paths = [bundle.graph(kind, "fp32") for kind in kinds]
    sha256 = hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
    frame, *window = (peak_probe(path, threads) for path in paths)
    return FeatureMaker(f"peaks of {sha256}", frame, window[0] if window else None)


def peak_probe(path: Path, threads: int = 1) -> Callable[[Uint8], Float32]:
    """From a picture, uint8 [H, W, 3], to the largest magnitude of every convolution, [C] float32.

    Convolutions that need more than the graph's first input, the picture, are left out, and so is
    the rest of the graph.

    Raises:
        MissingLibraryError, CalibrationError: see `peak_features`.
    """
    import onnxruntime

    try:
        import onnx
    except ImportError as error:
        raise MissingLibraryError(
            "the graph cannot be read",
            expected="the library onnx",
            found=str(error),
            do="pip install 'tilefix[export]'",
        ) from error
    whole = onnx.load(str(path))
    picture = whole.graph.input[0]
    convs, nodes = _upstream(whole.graph)
    if not convs:
        raise CalibrationError(
            f"{path} has no convolution that sees the picture alone",
            expected=f"convolutions behind the input {picture.name}",
            found="none",
            do="select without features of the network",
        )
    outputs = []
    for n, name in enumerate(convs):
        nodes.append(onnx.helper.make_node("Abs", [name], [f"magnitude of {n}"]))
        nodes.append(
            onnx.helper.make_node("ReduceMax", [f"magnitude of {n}"], [f"peak of {n}"], keepdims=0)
        )
        kind = onnx.TensorProto.FLOAT
        outputs.append(onnx.helper.make_tensor_value_info(f"peak of {n}", kind, []))
    used = {name for node in nodes for name in node.input}
    weights = [each for each in whole.graph.initializer if each.name in used]
    graph = onnx.helper.make_graph(nodes, "peaks", [picture], outputs, weights)
    model = onnx.helper.make_model(
        graph,
        opset_imports=whole.opset_import,
        ir_version=whole.ir_version,
        functions=whole.functions,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(STOP_SPINNING, "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )

    def peaks(pixels: Uint8) -> Float32:
        return np.array(session.run(None, {picture.name: pixels}), np.float32)

    return peaks


def _upstream(graph: Any) -> tuple[list[str], list[Any]]:
    """Outputs of the convolutions that see only the picture, and the nodes that they need."""
    sees_only = {graph.input[0].name} | {each.name for each in graph.initializer} | {""}
    fit = []
    for node in graph.node:  # ONNX keeps nodes in the order of computation
        if all(name in sees_only for name in node.input):
            sees_only.update(node.output)
            fit.append(node)
    convs = [node.output[0] for node in fit if node.op_type == "Conv"]
    needed = set(convs)
    kept = []
    for node in reversed(fit):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return convs, kept[::-1]
