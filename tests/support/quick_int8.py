"""INT8 graphs of a bundle with ranges from one picture: good enough to build, not to fly."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from calibration.quantization.int8_graphs import FloatGraphs, int8_graphs
from calibration.quantization.qdq import Form
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.letterbox import letterbox
from edge.types import Array


def quick_int8(bundle: Bundle, form: Form = Form.TENSORRT) -> dict[str, bytes]:
    """The INT8 graphs in one form by their names in a bundle.

    Args:
        bundle: with graphs in fp32 and fp16; its manifest need not know their sizes.
        form: for whom.
    """
    graphs = FloatGraphs(bundle)
    amax, features = {}, {}
    for kind in (ENCODER, LOCALIZER):
        model = graphs.model(kind, "fp32")
        names = graphs.observed[kind]
        made = [each.name for each in model.graph.output] if kind == ENCODER else []
        found = _run(model, [*names, *(name for name in made if name not in names)], features)
        amax[kind] = {name: max(float(np.abs(found[name]).max()), 1e-3) for name in names}
        features = {name: found[name] for name in made}
    quantised = int8_graphs(graphs, amax, forms=(form,))
    return {name: model.SerializeToString(deterministic=True) for name, model in quantised.items()}


def _run(model: onnx.ModelProto, names: list[str], features: dict[str, Array]) -> dict[str, Array]:
    """Interior values of one run on a smooth picture with one click."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(observed.SerializeToString(), options)
    inputs = {each.name: features.get(each.name) for each in model.graph.input}
    for value in model.graph.input:
        if inputs[value.name] is None:
            inputs[value.name] = _input(value)
    return dict(zip(names, session.run(names, inputs), strict=True))


def _input(value: onnx.ValueInfoProto) -> Array:
    """A picture of soft blobs, or one click in the upper left of an upright frame."""
    tensor = value.type.tensor_type
    shape = [side.dim_value or 1 for side in tensor.shape.dim]
    if tensor.elem_type == TensorProto.UINT8:
        coarse = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        return letterbox(coarse, shape[1], shape[0]).image
    if value.name == "frame_affine":
        return np.eye(2, 3, dtype=np.float32)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return np.full(shape, 20 if value.name == "click_xy_px" else 0, dtype)
