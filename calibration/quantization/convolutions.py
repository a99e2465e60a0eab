"""The convolutions of an exported graph, by names that hold in each of its precisions.

A float16 graph keeps the names of values; what was cast or converted has a suffix. A convolution is
therefore known by the float32 name of its weights, and a value by its float32 name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from edge.errors import CalibrationError

ACTIVATIONS = ("Relu", "Clip")  # a runtime computes them within the convolution
NOT_NEGATIVE = ("Relu", "Clip", "Sigmoid")
KEEPS_SIGN = ("MaxPool", "AveragePool", "Concat", "Transpose", "Reshape", "Resize", "Identity")
_SUFFIXES = ("_float16", "_float32")
_OF_TAP = "of_tap."


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution with constant weights."""

    name: str  # of its float32 weights, e.g. "model.backbone._conv_stem.weight"
    source: str  # float32 name of the value that it reads
    output: str  # float32 name of what it writes, before any activation
    result: str  # the same after an activation that nothing else reads past
    weight_shape: tuple[int, ...]  # [out, in / groups, *kernel]
    groups: int
    macs: int  # multiply-accumulates of one run; 0: shapes are not known

    @property
    def depthwise(self) -> bool:
        """Whether every channel is convolved by itself."""
        return self.groups > 1 and self.weight_shape[1] == 1


class GraphView:
    """Who makes and who reads each value of a graph.

    Args:
        model: sorted, weights as initialisers.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}
        self.makers: dict[str, onnx.NodeProto] = {}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            self.makers.update(dict.fromkeys(node.output, node))
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in self.graph.output}

    def array(self, name: str) -> NDArray[np.generic]:
        """The value of a constant."""
        found: NDArray[np.generic] = numpy_helper.to_array(self.constants[name])
        return found

    def activation(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """The activation that alone reads what `node` writes, if there is one."""
        readers = self.readers.get(node.output[0], [])
        if len(readers) != 1 or node.output[0] in self.outputs:
            return None
        fits = readers[0].op_type in ACTIVATIONS and readers[0].input[0] == node.output[0]
        return readers[0] if fits else None

    def not_negative(self, name: str) -> bool:
        """Whether the graph itself, for whatever input, makes no negative number here."""
        maker = self.makers.get(name)
        if maker is None:
            return False
        if maker.op_type == "Clip":
            lowest = self.constants.get(maker.input[1]) if len(maker.input) > 1 else None
            return lowest is not None and float(numpy_helper.to_array(lowest)) >= 0
        if maker.op_type == "Resize" and any(a.s == b"cubic" for a in maker.attribute):
            return False  # a cubic overshoots on either side of an edge
        if maker.op_type == "Cast" or maker.op_type in KEEPS_SIGN:
            variable = [n for n in maker.input if n and n not in self.constants]
            return bool(variable) and all(self.not_negative(n) for n in variable)
        return maker.op_type in NOT_NEGATIVE

    def downstream_of(self, inputs: Iterable[str]) -> set[str]:
        """All values that depend on some of these graph inputs, not on their number alone."""
        reached = set(inputs)
        for node in self.graph.node:
            counts = node.op_type in ("Shape", "Size")
            if not counts and any(name in reached for name in node.input):
                reached.update(node.output)
        return reached


def float32_name(name: str) -> str:
    """The name that a value or constant has in the float32 graph."""
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name.removeprefix("of_") if name.startswith(_OF_TAP) else name


def convolutions(model: onnx.ModelProto) -> tuple[Convolution, ...]:
    """All convolutions with constant weights, in the order of the graph.

    Raises:
        CalibrationError: the graph is quantised already.
    """
    view = GraphView(model)
    if any(node.op_type == "QuantizeLinear" for node in view.graph.node):
        raise CalibrationError(
            "the graph is quantised already",
            expected="a float32 or float16 graph",
            found=f"{sum(n.op_type == 'QuantizeLinear' for n in view.graph.node)} QuantizeLinear",
            do="calibrate the bundle that this one was made from",
        )
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {v.name: v for v in (*inferred.value_info, *inferred.output)}
    found = []
    for node in view.graph.node:
        if node.op_type != "Conv" or node.input[1] not in view.constants:
            continue
        weights = tuple(view.constants[node.input[1]].dims)
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        activation = view.activation(node)
        cells = _cells(shapes.get(node.output[0]))
        found.append(
            Convolution(
                name=float32_name(node.input[1]),
                source=float32_name(node.input[0]),
                output=float32_name(node.output[0]),
                result=float32_name((activation or node).output[0]),
                weight_shape=weights,
                groups=groups,
                macs=cells * math.prod(weights),
            )
        )
    return tuple(found)


def carried_over(
    ranges: Mapping[str, float], observed: onnx.ModelProto, other: onnx.ModelProto
) -> dict[str, float]:
    """Ranges that were found in one graph of a model, by the names of its other one.

    A float16 localizer can be another trace of the model, so that values have other names; they are
    matched by the convolutions that read and make them.

    Args:
        ranges: by names of `observed`.
        observed: the float32 graph.
        other: a float graph with the same convolutions.
    """
    theirs = {each.name: each for each in convolutions(other)}
    carried: dict[str, float] = {}
    for ours in convolutions(observed):
        if ours.name not in theirs:
            continue
        match = theirs[ours.name]
        for name, new in (
            (ours.source, match.source),
            (ours.output, match.output),
            (ours.result, match.result),
        ):
            if name in ranges:
                carried[new] = ranges[name]
    return carried


def _cells(value: onnx.ValueInfoProto | None) -> int:
    """Places of a map [B, C, *space] in all, B as one where it is not known."""
    if value is None or not value.type.tensor_type.HasField("shape"):
        return 0
    dims = value.type.tensor_type.shape.dim
    sizes = [d.dim_value for d in dims]
    return max(1, sizes[0]) * math.prod(sizes[2:]) if len(sizes) > 2 else 0
