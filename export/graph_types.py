"""Element types of a graph's values, and the operators whose types decide how fast it is.

Without torch: a board that builds engines need not have it.
"""

from __future__ import annotations

import onnx

CONVOLUTIONS, PRODUCTS = ("Conv", "ConvTranspose"), ("MatMul", "Gemm")
HEAVY = (*CONVOLUTIONS, *PRODUCTS)
HEAVY_SHARE = 0.95  # at least, of the heavy operators of a graph or engine, in its own type


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every value: as stated, else as inferred."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {t.name: int(t.data_type) for t in graph.initializer}
    for source in (graph.value_info, graph.input, graph.output):
        types.update({v.name: int(v.type.tensor_type.elem_type) for v in source})
    return types


def static_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shape of every value that is known before a run, as stated or inferred."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    found = {}
    for value in (*graph.value_info, *graph.input, *graph.output):
        tensor = value.type.tensor_type
        sides = tensor.shape.dim
        if tensor.HasField("shape") and all(side.HasField("dim_value") for side in sides):
            found[value.name] = tuple(int(side.dim_value) for side in sides)
    return found
