"""Q/DQ nodes around chosen convolutions, in the form that ONNX Runtime or TensorRT makes INT8 of.

Both runtimes find `DequantizeLinear -> Conv` and run it in INT8. They differ in the rest:

TensorRT takes symmetric int8 only, and adds and activates in float16 within the convolution's own
kernel, so only what convolutions read is quantised. A residual that is quantised for a convolution
joins its addition from there too: TensorRT then fuses the addition, and one copy is stored.

ONNX Runtime wants all activations in one 8-bit type, and a convolution's result quantised as well
(`QLinearConv`), its bias in int32. Here that is uint8: values that are never negative use all 256
levels from zero, whereby a ReLU falls away, others lie around 128 with the levels of int8.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from calibration.quantization.convolutions import Convolution, GraphView, convolutions, float32_name
from calibration.quantization.weights import LEVELS, quantize_weights, scale_up
from edge.errors import CalibrationError

OPSET = 19  # the first whose Q/DQ take float16; from 18 on nothing that is used here changed
# A convolution's result is quantised where it comes to another one through these alone.
PASSING = ("Add", "Concat", "Resize", "MaxPool", "LeakyRelu", *("Relu", "Clip"))
_BIAS_LIMIT = 2.0**30


class Form(str, Enum):
    """For whom a graph is quantised; the value is the precision's name in a bundle."""

    ONNXRUNTIME = "int8+fp32"
    TENSORRT = "int8+fp16"


def quantize_graph(
    model: onnx.ModelProto, amax: Mapping[str, float], chosen: Collection[str], form: Form
) -> onnx.ModelProto:
    """A copy of a float graph whose chosen convolutions run in INT8.

    Args:
        model: sorted; the float32 graph for `Form.ONNXRUNTIME`, the float16 one for TensorRT. The
            form of TensorRT in a float32 graph answers as it, faster where float16 is emulated.
        amax: the largest magnitude that the eight bits of a value shall hold, for every name of
            `policy.tensors_to_observe` of this graph (see `convolutions.carried_over`).
        chosen: names of convolutions, which the policy allows.
        form: for whom.

    Raises:
        CalibrationError: the graph is quantised already, has no such convolution, or a range is
            missing or cannot be a scale.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = convolutions(copy)
    unknown = set(chosen) - {each.name for each in known}
    if unknown:
        raise CalibrationError(
            "the graph lacks convolutions that shall be quantised",
            expected=f"some of its {len(known)} convolutions",
            found=", ".join(sorted(unknown)[:3]),
            do="calibrate this bundle anew: the plan is of another model",
        )
    _Writer(copy, amax, [each for each in known if each.name in chosen], form).write()
    for part in (copy, *copy.functions):  # a body has to be of its graph's operator set
        for opset in part.opset_import:
            if opset.domain in ("", "ai.onnx"):
                opset.version = max(opset.version, OPSET)
    return copy


class _Writer:
    def __init__(
        self,
        model: onnx.ModelProto,
        amax: Mapping[str, float],
        chosen: list[Convolution],
        form: Form,
    ) -> None:
        self.graph = model.graph
        self.view = GraphView(model)
        self.amax = amax
        self.chosen = {each.name for each in chosen}
        self.form = form
        self.nodes: list[NodeProto] = []
        self.made: dict[str, TensorProto] = {}
        self.dequantized: dict[str, str] = {}  # value -> its dequantised twin
        self.scales: dict[str, float] = {}
        self.wanted = self._wanted()  # values to be quantised -> their float type

    def write(self) -> None:
        for value in self.graph.input:
            if value.name in self.wanted:
                self._quantize(value.name)
        for node in list(self.graph.node):
            if node.op_type == "Conv" and float32_name(node.input[1]) in self.chosen:
                self._convolution(node)
            elif self.form is Form.ONNXRUNTIME or node.op_type == "Add":
                for index, name in enumerate(node.input):
                    node.input[index] = self.dequantized.get(name, name)
            self.nodes.append(node)
            for name in node.output:
                if name in self.wanted:
                    self._quantize(name)
        read = {name for node in self.nodes for name in node.input}
        constants = [t for t in self.graph.initializer if t.name in read]
        constants += [t for t in self.made.values() if t.name in read]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(constants)

    def _wanted(self) -> dict[str, np.dtype[np.generic]]:
        wanted = {}
        nodes = [
            n
            for n in self.graph.node
            if n.op_type == "Conv" and float32_name(n.input[1]) in self.chosen
        ]
        for node in nodes:
            kind = self.view.array(node.input[1]).dtype
            wanted[node.input[0]] = kind
            result = (self.view.activation(node) or node).output[0]
            if self.form is Form.ONNXRUNTIME and self._comes_to_convolution(result):
                wanted[result] = kind
        return wanted

    def _comes_to_convolution(self, name: str) -> bool:
        for node in self.view.readers.get(name, []):
            if node.op_type == "Conv":
                if node.input[0] == name and float32_name(node.input[1]) in self.chosen:
                    return True
            elif node.op_type in PASSING and self._comes_to_convolution(node.output[0]):
                return True
        return False

    def _quantize(self, name: str) -> None:
        known = float32_name(name)
        if known not in self.amax:
            raise CalibrationError(
                f"there is no range for {known}",
                expected="the ranges of every value that a convolution reads or makes",
                found=f"ranges of {len(self.amax)} values",
                do="calibrate this bundle anew: the ranges are of another graph",
            )
        unsigned = self.form is Form.ONNXRUNTIME
        from_zero = unsigned and self.view.not_negative(name)
        try:
            scale = float(scale_up(np.array(self.amax[known] / (255 if from_zero else LEVELS))))
        except OverflowError as error:
            raise CalibrationError(
                f"the range of {known} cannot be a scale",
                expected="a magnitude of at most 8,000,000: float16 has to hold the scale",
                found=f"{self.amax[known]:g}",
                do="leave its block in float16, or look what the model does there",
            ) from error
        self.scales[name] = scale
        scale_name = self._constant(f"{known}.scale", np.array(scale, self.wanted[name]))
        zero = np.array(0 if from_zero or not unsigned else 128, np.uint8 if unsigned else np.int8)
        zero_name = self._constant(f"zero_{zero.dtype}_{int(zero)}", zero)
        for op, read, made in (
            ("QuantizeLinear", name, f"{known}.quantized"),
            ("DequantizeLinear", f"{known}.quantized", f"{known}.dequantized"),
        ):
            given = [read, scale_name, zero_name]
            self.nodes.append(helper.make_node(op, given, [made], name=f"{op}_{known}"))
        self.dequantized[name] = f"{known}.dequantized"

    def _convolution(self, node: NodeProto) -> None:
        source = node.input[0]
        kind = self.wanted[source]
        weights = quantize_weights(self.view.array(node.input[1]).astype(np.float32))
        scale, values = weights.scale, weights.values
        bias = None
        if self.form is Form.ONNXRUNTIME and len(node.input) > 2 and node.input[2]:
            bias = self.view.array(node.input[2]).astype(np.float64)
            # Of a channel whose weights are all but zero the bias must still fit into int32.
            needed = np.abs(bias) / (_BIAS_LIMIT * self.scales[source])
            if (needed > scale).any():
                scale = np.maximum(scale, needed.astype(np.float32))
                shape = (-1,) + (1,) * (values.ndim - 1)
                values = np.rint(weights.dequantized / scale.reshape(shape)).astype(np.int8)
        node.input[0] = self.dequantized[source]
        node.input[1] = self._dequantized_constant(
            float32_name(node.input[1]), values, scale.astype(kind)
        )
        if bias is not None:
            of_products = scale.astype(np.float64) * self.scales[source]
            levels = np.rint(bias / of_products).astype(np.int32)
            node.input[2] = self._dequantized_constant(
                float32_name(node.input[2]), levels, of_products.astype(kind)
            )

    def _dequantized_constant(
        self, name: str, values: NDArray[np.generic], scale: NDArray[np.generic]
    ) -> str:
        made = f"{name}.dequantized"
        given = [
            self._constant(f"{name}.quantized", values),
            self._constant(f"{name}.scale", scale),
        ]
        # Zero by default, but where ONNX Runtime makes uint8 of weights it wants theirs spelt out.
        if values.dtype == np.int8:
            given.append(self._constant(f"{name}.zero", np.zeros(len(scale), np.int8)))
        node = helper.make_node(
            "DequantizeLinear", given, [made], name=f"DequantizeLinear_{name}", axis=0
        )
        self.nodes.append(node)
        return made

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        if name not in self.made:
            self.made[name] = numpy_helper.from_array(value, name)
        return name
