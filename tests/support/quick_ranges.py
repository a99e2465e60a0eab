"""Min-max ranges of a float32 graph from a single input: enough to quantise it in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime


def quick_ranges(
    model: onnx.ModelProto, names: Sequence[str], inputs: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Largest magnitudes of some values; never zero.

    Args:
        model: float32, weights inside.
        names: of its values.
        inputs: of the graph; more than it takes may be given.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    there = {value.name for value in watched.graph.output}
    for name in names:
        if name not in there:
            watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    fed = {value.name: inputs[value.name] for value in session.get_inputs()}
    found = session.run(list(names), fed)
    return {
        name: max(float(np.abs(value).max()), 1e-3)
        for name, value in zip(names, found, strict=True)
    }
