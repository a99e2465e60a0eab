"""A localizer graph cut in two, so that what depends on the window alone can run once per window.

The parts are made of the graph as it is stored and carry its sha256: they are a copy for the CPU
(`edge.executors.window_part`), and the whole graph stays what is verified, calibrated and built.
"""

from __future__ import annotations

import hashlib

import onnx
from onnx import ModelProto, helper
from onnx.utils import Extractor

from edge.bundle import FRAME_PART, WINDOW_PART
from edge.errors import ExecutorError
from edge.executors.window_part import WHOLE_SHA256
from export.graph_signature import BEFORE_FEATURES, PRIOR

FOR_CPU = "fp32"  # the precision of which a new bundle of a `lite` gets the parts


def localizer_parts(whole: bytes, precision: str) -> dict[str, bytes]:
    """Both parts of a localizer by their names in a bundle, the window's and the frame's.

    Args:
        whole: the bytes of `localizer.onnx` as it is stored; weights may lie beside it, and the
            parts then point to the same file.
        precision: of the graph.

    Raises:
        ExecutorError: nothing is computed from the window alone.
    """
    model = onnx.load_model_from_string(whole)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    inputs = [value.name for value in model.graph.input]
    features = [name for name in inputs if name not in (*BEFORE_FEATURES, *PRIOR)]
    cut = window_values(model, features)
    if set(cut) <= set(features):
        raise ExecutorError(
            "the localizer cannot be cut in two",
            expected="something that is computed from the window's features alone",
            found=f"the features {', '.join(features)} meet the frame as they are",
            do="use it whole",
        )
    extract = Extractor(model).extract_model
    others = [name for name in inputs if name not in features]
    parts = {
        WINDOW_PART: extract(features, cut),
        FRAME_PART: extract([*others, *cut], [value.name for value in model.graph.output]),
    }
    _lay_out_rows(parts[WINDOW_PART], parts[FRAME_PART])
    for part in parts.values():
        part.metadata_props.extend(model.metadata_props)
        part.metadata_props.add(key=WHOLE_SHA256, value=hashlib.sha256(whole).hexdigest())
    return {
        f"graphs/{precision}/{kind}.onnx": part.SerializeToString(deterministic=True)
        for kind, part in parts.items()
    }


def window_values(model: ModelProto, features: list[str]) -> list[str]:
    """The values at the cut: of the features alone, and taken by what depends on more.

    Args:
        model: with nodes in the order of their dependence, as ONNX demands.
        features: names of the inputs that come from the window.
    """
    constant = {"", *(tensor.name for tensor in model.graph.initializer)}
    of_window = set(features)
    for node in model.graph.node:
        if constant.issuperset(node.input):
            constant.update(node.output)
        elif (constant | of_window).issuperset(node.input):
            of_window.update(node.output)
    beyond = [
        name
        for node in model.graph.node
        if not (constant | of_window).issuperset(node.output)
        for name in node.input
    ]
    beyond += [value.name for value in model.graph.output]
    return list(dict.fromkeys(name for name in beyond if name in of_window))


def _lay_out_rows(window: ModelProto, frame: ModelProto) -> None:
    """Give a matrix that frames are multiplied with, q V, as V transposed: no packing per frame.

    ONNX Runtime packs the right-hand side of a product anew in every run, unless each of its
    columns lies in one piece already.
    """
    typed = (*frame.graph.input, *frame.graph.value_info, *frame.graph.output)
    ranks = {x.name: len(x.type.tensor_type.shape.dim) for x in typed}
    at_the_cut = {value.name: value for value in window.graph.output}
    for place, node in enumerate(list(frame.graph.node)):
        name = node.input[1] if node.op_type == "MatMul" else ""
        nodes = (*window.graph.node, *frame.graph.node)
        takers = [other for other in nodes if name in other.input]
        if name not in at_the_cut or len(takers) > 1 or {ranks.get(x) for x in node.input} != {2}:
            continue
        product = helper.make_node("Gemm", node.input, node.output, node.name, transB=1)
        frame.graph.node.remove(node)
        frame.graph.node.insert(place, product)
        made = next(each for each in window.graph.node if name in each.output)
        made.output[list(made.output).index(name)] = f"{name}.columns"
        window.graph.node.append(
            helper.make_node("Transpose", [f"{name}.columns"], [name], f"{name}.rows", perm=[1, 0])
        )
        given = next(value for value in frame.graph.input if value.name == name)
        for value in (at_the_cut[name], given):
            first, second = value.type.tensor_type.shape.dim
            first.dim_value, second.dim_value = second.dim_value, first.dim_value
