"""The way from a frame to its queries, cut out of a localizer graph in two.

What depends on the frame alone runs once for all clicks and windows. The parts are made of the
graph as it is stored and carry its sha256: they are for the CPU, where the head is not a graph
(`edge.executors.localizer_parts`), and the whole graph stays what is calibrated and built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import onnx
from onnx import ModelProto
from onnx.utils import Extractor

from edge.bundle import FRAME_PART, QUERIES_PART
from edge.errors import ExecutorError
from edge.executors.localizer_parts import QUERY, WHOLE_SHA256
from export.graph_signature import BEFORE_FEATURES

FOR_CPU = "fp32"  # the precision of which a new bundle of a `lite` gets the parts
FRAME = "frame"
QUANTISED = ("QuantizeLinear", "DequantizeLinear")


def localizer_parts(whole: bytes, precision: str) -> dict[str, bytes]:
    """The parts of a localizer by their names in a bundle: the frame's, the queries'.

    Args:
        whole: the bytes of `localizer.onnx` as it is stored; weights may lie beside it, and the
            parts then point to the same file.
        precision: of the graph.

    Raises:
        ExecutorError: nothing is computed from the frame alone, or the head has numbers of its own
            in the graph, quantised ones.
    """
    model = onnx.load_model_from_string(whole)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    cut = values_at_cut(model, [FRAME])
    if set(cut) <= {FRAME} or QUERY not in {value.name for value in model.graph.output}:
        raise ExecutorError(
            "the localizer cannot be cut in parts",
            expected=f"an output {QUERY}, and something that is computed from {FRAME} alone",
            found=f"outputs {', '.join(value.name for value in model.graph.output)}",
            do="use it whole",
        )
    extract = Extractor(model).extract_model
    clicks = [name for name in BEFORE_FEATURES if name != FRAME]
    parts = {FRAME_PART: extract([FRAME], cut), QUERIES_PART: extract([*clicks, *cut], [QUERY])}
    _check_head(model, parts.values())
    for part in parts.values():
        part.metadata_props.extend(model.metadata_props)
        part.metadata_props.add(key=WHOLE_SHA256, value=hashlib.sha256(whole).hexdigest())
    return {
        f"graphs/{precision}/{kind}.onnx": part.SerializeToString(deterministic=True)
        for kind, part in parts.items()
    }


def _check_head(model: ModelProto, parts: Iterable[ModelProto]) -> None:
    """What comes after the queries must be in float: the CPU's head knows no other."""
    before = {name for part in parts for node in part.graph.node for name in node.output}
    head = [node for node in model.graph.node if not before.issuperset(node.output)]
    found = [node.name for node in head if node.op_type in QUANTISED]
    if found:
        raise ExecutorError(
            "the localizer cannot be cut in parts",
            expected="a head in float",
            found=f"{len(found)} quantised values after the queries, such as {found[0]}",
            do="use it whole",
        )


def values_at_cut(model: ModelProto, names: list[str]) -> list[str]:
    """The values that depend on some inputs alone, and are taken by what depends on more.

    Args:
        model: with nodes in the order of their dependence, as ONNX demands.
        names: of the inputs.
    """
    constant = {"", *(tensor.name for tensor in model.graph.initializer)}
    own = set(names)
    for node in model.graph.node:
        if constant.issuperset(node.input):
            constant.update(node.output)
        elif (constant | own).issuperset(node.input):
            own.update(node.output)
    beyond = [
        name
        for node in model.graph.node
        if not (constant | own).issuperset(node.output)
        for name in node.input
    ]
    beyond += [value.name for value in model.graph.output]
    return list(dict.fromkeys(name for name in beyond if name in own))
