"""INT8 graphs of a bundle with ranges from one picture: good enough to build, not to fly."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

from calibration.quantization.int8_graphs import FloatGraphs, int8_graphs
from calibration.quantization.qdq import Form
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.types import Array
from export.verification.cases import Case, random_cases


def quick_int8(bundle: Bundle, form: Form = Form.TENSORRT) -> dict[str, bytes]:
    """The INT8 graphs in one form by their names in a bundle.

    Args:
        bundle: with graphs in fp32 and fp16.
        form: for whom.
    """
    graphs = FloatGraphs(bundle)
    (case,) = random_cases(bundle, 1)
    features = _run(graphs.model(ENCODER, "fp32"), {"image": case.window})
    amax = {
        ENCODER: _largest(graphs, ENCODER, {"image": case.window}),
        LOCALIZER: _largest(graphs, LOCALIZER, {**_inputs(case), **features}),
    }
    made = int8_graphs(graphs, amax, forms=(form,))
    return {name: model.SerializeToString(deterministic=True) for name, model in made.items()}


def _inputs(case: Case) -> dict[str, Array]:
    return {
        "frame": case.frame,
        "frame_affine": case.frame_affine,
        "click_xy_px": case.click_xy_px[:1],
        "prior_xy_px": case.prior.xy_px[:1],
        "prior_inv_var": case.prior.inv_var[:1],
    }


def _largest(graphs: FloatGraphs, kind: str, inputs: dict[str, Array]) -> dict[str, float]:
    """Largest magnitudes of the values whose ranges a graph needs."""
    observed = onnx.ModelProto()
    observed.CopyFrom(graphs.model(kind, "fp32"))
    del observed.graph.output[:]
    names = graphs.observed[kind]
    observed.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    found = _run(observed, inputs)
    return {name: max(float(np.abs(found[name]).max()), 1e-3) for name in names}


def _run(model: onnx.ModelProto, inputs: dict[str, Array]) -> dict[str, Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    known = {each.name for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]
    given = {name: value for name, value in inputs.items() if name in known}
    return dict(zip(names, session.run(names, given), strict=True))
