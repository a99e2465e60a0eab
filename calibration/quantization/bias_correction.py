"""Bias correction: what rounding the weights adds to the mean of each output channel is taken off.

Nagel et al. (2019), section 4.2: rounding makes W' = W + e, so that the mean of an output moves by
e * E[x]. With the means of the float32 graph's own activations that needs no labels and no second
pass; each layer is corrected as if those before it were exact. At the border, where a convolution
pads with zeros, the correction is too large by the part that the padding hides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper

from calibration.quantization.convolutions import Convolution, GraphView, float32_name
from calibration.quantization.weights import quantize_weights
from edge.errors import CalibrationError
from edge.executors.onnxruntime import STOP_SPINNING
from edge.types import Array, Float32

if TYPE_CHECKING:
    from calibration.ranges.observing import Feed


def channel_means(
    model: onnx.ModelProto, chosen: Sequence[Convolution], feeds: Iterable[Feed], threads: int = 1
) -> dict[str, Float32]:
    """Mean of every channel that a convolution reads, [channels], by the convolution's name.

    Args:
        model: the float32 graph.
        chosen: whose inputs are averaged.
        feeds: what the graph takes, see `calibration.ranges`.
        threads: of ONNX Runtime.

    Raises:
        CalibrationError: no images.
    """
    import onnxruntime

    sources = list(dict.fromkeys(each.source for each in chosen))
    averaging = _averaging(model, sources)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry(STOP_SPINNING, "1")
    session: Any = onnxruntime.InferenceSession(
        averaging.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = [value.name for value in session.get_inputs()]
    names = [value.name for value in session.get_outputs()]
    sums, count = [np.zeros(1)] * len(names), 0
    for feed in feeds:
        given = feed.read()
        found = session.run(names, {name: given[name] for name in inputs})
        sums = [total + value.astype(np.float64) for total, value in zip(sums, found, strict=True)]
        count += 1
    if not count:
        raise CalibrationError(
            "biases cannot be corrected without images",
            expected="at least one image",
            found="none",
            do="select frames and windows first",
        )
    means = {
        source: (total / count).astype(np.float32)
        for source, total in zip(sources, sums, strict=True)
    }
    return {each.name: means[each.source] for each in chosen}


def bias_shifts(model: onnx.ModelProto, means: Mapping[str, Float32]) -> dict[str, Float32]:
    """What has to be added to the bias of each convolution, [out], by the name of its weights.

    Args:
        model: the float32 graph.
        means: of `channel_means`.
    """
    view = GraphView(model)
    shifts = {}
    for name, mean in means.items():
        weights = view.array(name).astype(np.float32)
        error = quantize_weights(weights).dequantized - weights
        summed = error.reshape(*error.shape[:2], -1).sum(2)  # [out, in / groups]
        groups = len(mean) // summed.shape[1]
        seen = mean.reshape(groups, 1, -1).repeat(len(summed) // groups, axis=1)
        shifts[name] = -(summed * seen.reshape(summed.shape)).sum(1).astype(np.float32)
    return shifts


def shift_biases(model: onnx.ModelProto, shifts: Mapping[str, Float32]) -> onnx.ModelProto:
    """A copy of a float graph, float32 or float16, with these shifts in its biases.

    A convolution without a bias gets one.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    view, added = GraphView(copy), set[str]()
    for node in view.graph.node:
        shift = shifts.get(float32_name(node.input[1])) if node.op_type == "Conv" else None
        if shift is None:
            continue
        kind = view.array(node.input[1]).dtype
        bias: Array = shift
        if len(node.input) > 2 and node.input[2]:
            bias = view.array(node.input[2]).astype(np.float32) + shift
        # of its own: others may read the tensor that it was
        made = f"{float32_name(node.input[1])}.shifted"
        if made not in added:
            added.add(made)
            copy.graph.initializer.append(numpy_helper.from_array(bias.astype(kind), made))
        del node.input[2:]
        node.input.append(made)
    return copy


def _averaging(model: onnx.ModelProto, sources: Sequence[str]) -> onnx.ModelProto:
    """The ancestors of some maps [B, C, *space], with the mean of each channel as output [C]."""
    view = GraphView(model)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    axes, nodes = "mean.axes", list[onnx.NodeProto]()
    needed, kept = set(sources), list[onnx.NodeProto]()
    for node in reversed(view.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            kept.append(node)
    for index, source in enumerate(sources):
        given = [source, axes]
        mean = onnx.helper.make_node("ReduceMean", given, [f"mean.{index}"], keepdims=0)
        nodes.append(mean)
    del made.graph.node[:], made.graph.output[:]
    made.graph.node.extend([*reversed(kept), *nodes])
    made.graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 3], np.int64), axes))
    inputs = [value for value in model.graph.input if value.name in needed]
    del made.graph.input[:], made.graph.value_info[:]
    made.graph.input.extend(inputs)
    for index in range(len(sources)):
        kind = onnx.TensorProto.FLOAT
        made.graph.output.append(onnx.helper.make_tensor_value_info(f"mean.{index}", kind, [None]))
    return made
