"""A localizer graph cut in three, so that what depends on the window or the frame alone runs once.

The parts are made of the graph as it is stored and carry its sha256: they are a copy for the CPU
(`edge.executors.localizer_parts`), and the whole graph stays what is verified, calibrated and
built.
"""

from __future__ import annotations

import hashlib

import onnx
from onnx import ModelProto, helper
from onnx.utils import Extractor

from edge.bundle import CLICKS_PART, FRAME_PART, WINDOW_PART
from edge.errors import ExecutorError
from edge.executors.localizer_parts import WHOLE_SHA256
from export.graph_signature import BEFORE_FEATURES, PRIOR

FOR_CPU = "fp32"  # the precision of which a new bundle of a `lite` gets the parts
FRAME = "frame"


def localizer_parts(whole: bytes, precision: str) -> dict[str, bytes]:
    """The parts of a localizer by their names in a bundle: the window's, the frame's, the clicks'.

    Args:
        whole: the bytes of `localizer.onnx` as it is stored; weights may lie beside it, and the
            parts then point to the same file.
        precision: of the graph.

    Raises:
        ExecutorError: nothing is computed from the window alone, or from the frame alone.
    """
    model = onnx.load_model_from_string(whole)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    inputs = [value.name for value in model.graph.input]
    features = [name for name in inputs if name not in (*BEFORE_FEATURES, *PRIOR)]
    of_window, of_frame = (_checked_cut(model, names) for names in (features, [FRAME]))
    others = [name for name in inputs if name not in (FRAME, *features)]
    answers = [value.name for value in model.graph.output]
    extract = Extractor(model).extract_model
    parts = {
        WINDOW_PART: extract(features, of_window),
        FRAME_PART: extract([FRAME], of_frame),
        CLICKS_PART: extract([*others, *of_frame, *of_window], answers),
    }
    _lay_out_rows(parts[WINDOW_PART], parts[CLICKS_PART])
    for part in parts.values():
        part.metadata_props.extend(model.metadata_props)
        part.metadata_props.add(key=WHOLE_SHA256, value=hashlib.sha256(whole).hexdigest())
    return {
        f"graphs/{precision}/{kind}.onnx": part.SerializeToString(deterministic=True)
        for kind, part in parts.items()
    }


def _checked_cut(model: ModelProto, names: list[str]) -> list[str]:
    cut = values_at_cut(model, names)
    if set(cut) <= set(names):
        raise ExecutorError(
            "the localizer cannot be cut in parts",
            expected=f"something that is computed from {', '.join(names)} alone",
            found="it meets the other inputs as it is",
            do="use it whole",
        )
    return cut


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


def _lay_out_rows(window: ModelProto, clicks: ModelProto) -> None:
    """Give a matrix that queries are multiplied with, q V, as V transposed: no packing per run.

    ONNX Runtime packs the right-hand side of a product anew in every run, unless each of its
    columns lies in one piece already.
    """
    typed = (*clicks.graph.input, *clicks.graph.value_info, *clicks.graph.output)
    ranks = {x.name: len(x.type.tensor_type.shape.dim) for x in typed}
    at_the_cut = {value.name: value for value in window.graph.output}
    for place, node in enumerate(list(clicks.graph.node)):
        name = node.input[1] if node.op_type == "MatMul" else ""
        nodes = (*window.graph.node, *clicks.graph.node)
        takers = [other for other in nodes if name in other.input]
        if name not in at_the_cut or len(takers) > 1 or {ranks.get(x) for x in node.input} != {2}:
            continue
        product = helper.make_node("Gemm", node.input, node.output, node.name, transB=1)
        clicks.graph.node.remove(node)
        clicks.graph.node.insert(place, product)
        made = next(each for each in window.graph.node if name in each.output)
        made.output[list(made.output).index(name)] = f"{name}.columns"
        window.graph.node.append(
            helper.make_node("Transpose", [f"{name}.columns"], [name], f"{name}.rows", perm=[1, 0])
        )
        given = next(value for value in clicks.graph.input if value.name == name)
        for value in (at_the_cut[name], given):
            first, second = value.type.tensor_type.shape.dim
            first.dim_value, second.dim_value = second.dim_value, first.dim_value
