"""Cross-layer equalisation: channels of neighbouring convolutions brought to like ranges.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (2019),
equations 6 to 9: for channel c between convolutions 1 and 2, s = sqrt(r1 / r2) with r the largest
magnitude of the channel's weights on either side; weights and bias of 1 are divided by s, weights
of 2 multiplied. That is exact where the activation between is positively homogeneous: none, ReLU,
leaky ReLU. ReLU6 is not, so that the inside of an inverted residual block (`lite`) is left alone;
residual networks and Darknets have many such pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from calibration.quantization.convolutions import GraphView, float32_name
from edge.types import Array, Float32

HOMOGENEOUS = ("Relu", "LeakyRelu")
MOST = 32.0  # a channel is scaled by at most this: a dead one must not blow up its neighbour


@dataclass(frozen=True, slots=True)
class Pair:
    """Two convolutions with nothing but a homogeneous activation between them."""

    first: str  # names of float32 weights
    second: str


def pairs_of(model: onnx.ModelProto) -> tuple[Pair, ...]:
    """The pairs of a float graph that equalisation leaves exact, in its order."""
    view = GraphView(model)
    found = []
    for node in view.graph.node:
        if not _convolves(view, node):
            continue
        second = _only_reader(view, node)
        if second is not None and second.op_type in HOMOGENEOUS:
            second = _only_reader(view, second)
        if second is None or not _convolves(view, second) or len(node.input) > 3:
            continue
        groups = next((a.i for a in second.attribute if a.name == "group"), 1)
        depth = view.constants[second.input[1]].dims[1]
        if groups == 1 or depth == 1:
            found.append(Pair(float32_name(node.input[1]), float32_name(second.input[1])))
    return tuple(found)


def equalising_scales(model: onnx.ModelProto) -> dict[Pair, Float32]:
    """What the first convolution's channels of each pair are divided by, [channels].

    Args:
        model: the float32 graph.
    """
    view = GraphView(model)
    weights = {name: view.array(name).astype(np.float32) for name in view.constants}
    scales = {}
    for pair in pairs_of(model):
        scale = _scale(weights[pair.first], weights[pair.second])
        weights[pair.first] = _along(weights[pair.first], 1 / scale, 0)
        weights[pair.second] = _second(weights[pair.second], scale)
        scales[pair] = scale
    return scales


def equalise(model: onnx.ModelProto, scales: Mapping[Pair, Float32]) -> onnx.ModelProto:
    """A copy of a float graph, float32 or float16, with these scales in its weights."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    view = GraphView(copy)
    nodes = {float32_name(n.input[1]): n for n in view.graph.node if _convolves(view, n)}
    for pair, scale in scales.items():
        first, second = nodes[pair.first], nodes[pair.second]
        for name in first.input[1:]:
            _put(view, name, _along(view.array(name).astype(np.float32), 1 / scale, 0))
        changed = _second(view.array(second.input[1]).astype(np.float32), scale)
        _put(view, second.input[1], changed)
    return copy


def _scale(first: Float32, second: Float32) -> Float32:
    r1 = np.abs(first).reshape(len(first), -1).max(1)
    channels = second if second.shape[1] == 1 else np.moveaxis(second, 1, 0)
    r2 = np.abs(channels).reshape(len(channels), -1).max(1)
    if len(r2) != len(r1):  # a depthwise convolution that makes several maps of each
        r2 = r2.reshape(len(r1), -1).max(1)
    safe = (r1 > 0) & (r2 > 0)
    ratio = np.divide(r1, r2, out=np.ones_like(r1), where=safe)
    clipped: Float32 = np.clip(np.sqrt(ratio), 1 / MOST, MOST).astype(np.float32)
    return clipped


def _second(weights: Float32, scale: Float32) -> Float32:
    if weights.shape[1] == 1 and len(weights) % len(scale) == 0 and len(scale) > 1:
        return _along(weights, np.repeat(scale, len(weights) // len(scale)), 0)
    return _along(weights, scale, 1)


def _along(values: Float32, scale: Float32, axis: int) -> Float32:
    shape = [1] * values.ndim
    shape[axis] = -1
    scaled: Float32 = (values * scale.reshape(shape)).astype(np.float32)
    return scaled


def _convolves(view: GraphView, node: NodeProto) -> bool:
    """Whether it is a convolution with constants of its own: shared ones are left alone."""
    return node.op_type == "Conv" and all(
        name in view.constants and len(view.readers[name]) == 1 for name in node.input[1:]
    )


def _only_reader(view: GraphView, node: NodeProto) -> NodeProto | None:
    name = node.output[0]
    readers = view.readers.get(name, [])
    alone = len(readers) == 1 and name not in view.outputs and readers[0].input[0] == name
    return readers[0] if alone else None


def _put(view: GraphView, name: str, value: Array) -> None:
    tensor = view.constants[name]
    kind = numpy_helper.to_array(tensor).dtype
    tensor.CopyFrom(numpy_helper.from_array(value.astype(kind), name))
