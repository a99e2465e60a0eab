"""What one run of an ONNX graph needs at least: multiply-accumulates, and bytes that must move.

Multiply-accumulates (MACs) are those of convolutions and products of matrices, as in the papers of
this family, whose "GFLOPs" are MACs; additions, activations and resizing count as nothing. A
TileAttention counts by its meaning (`export.plugin.tile_attention`), however it is computed: the
cosine and the confidence of each anchor at every cell, and one box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.roofline.shapes import ShapedGraph, shaped_graph
from edge.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

# operator -> where its two operands are among its inputs; the second one of a convolution: weights
CONVOLUTIONS = {"Conv": (0, 1), "ConvInteger": (0, 1), "QLinearConv": (0, 3)}
TRANSPOSED = {"ConvTranspose": (0, 1)}
PRODUCTS = {
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearMatMul": (0, 3),
}
TILE_ATTENTION, CROSS_ATTENTION = "tilefix::TileAttention", "tilefix::CrossAttention"
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "Sigmoid")  # fused into what they follow
# They hide work that is not counted here; none of our exporters writes them.
OPAQUE = ("Attention", "Einsum", "GRU", "If", "LSTM", "Loop", "RNN", "Scan")
BOX = 4  # channels of the winner


@dataclass(frozen=True, slots=True)
class GraphCounts:
    """The least that one run of a graph takes."""

    macs: int
    weight_bytes: int  # as they are stored, each once
    input_bytes: int
    output_bytes: int
    # What convolutions, products and attentions read and write between those, each run by itself
    # with its activation: the traffic where nothing more is fused and no cache holds it.
    between_bytes: int

    @property
    def compulsory_bytes(self) -> int:
        """Weights and inputs read once, outputs written once."""
        return self.weight_bytes + self.input_bytes + self.output_bytes

    @property
    def layer_bytes(self) -> int:
        """The same and the traffic between the layers."""
        return self.compulsory_bytes + self.between_bytes


def count_graph(path: Path, clicks: int, wanted: Sequence[str] | None = None) -> GraphCounts:
    """Count one run of a graph.

    Args:
        path: of the ONNX file, in any precision; weights beside it are not read.
        clicks: in this run; 1 for an encoder.
        wanted: names of the outputs that are asked for; None: all. What only the others need is
            counted all the same.

    Raises:
        BundleError: it is no ONNX graph.
        BenchmarkError: an operator whose work is not known, or shapes that are not.
        ModuleNotFoundError: onnx is not installed (the extra `export`).
    """
    shaped = shaped_graph(path, clicks)
    graph = shaped.graph
    weights = {weight.name for weight in graph.initializer}
    inputs = [value.name for value in graph.input if value.name not in weights]
    outputs = [value.name for value in graph.output]
    used = {name for node in graph.node for name in node.input} & weights
    return GraphCounts(
        macs=sum(_macs(node, shaped) for node in graph.node),
        weight_bytes=_bytes(used, shaped) + _constant_bytes(graph),
        input_bytes=_bytes(inputs, shaped),
        output_bytes=_bytes(outputs if wanted is None else wanted, shaped),
        between_bytes=_between(shaped, weights, {*inputs, *outputs}),
    )


def _macs(node: onnx.NodeProto, shaped: ShapedGraph) -> int:
    kind = _kind(node)
    if kind in CONVOLUTIONS:
        weights = _shape(node, CONVOLUTIONS[kind][1], shaped)  # [out, in / groups, *kernel]
        return math.prod(shaped.shape(node.output[0], node)) * math.prod(weights[1:])
    if kind in TRANSPOSED:
        weights = _shape(node, 1, shaped)  # [in, out / groups, *kernel]
        return math.prod(_shape(node, 0, shaped)) * math.prod(weights[1:])
    if kind in PRODUCTS:
        inner = _shape(node, 0, shaped)[-1]
        if kind == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute):
            inner = _shape(node, 0, shaped)[0]
        return math.prod(shaped.shape(node.output[0], node)) * inner
    if kind == TILE_ATTENTION:
        return _tile_attention(node, shaped)
    if kind == CROSS_ATTENTION:
        batch, rows, depth = _shape(node, 0, shaped)
        columns, value_depth = _shape(node, 2, shaped)[1:]
        return batch * rows * columns * (depth + value_depth)
    if "::" in kind or kind in OPAQUE:
        raise BenchmarkError(
            f"the work of the graph {shaped.path} cannot be counted",
            expected="operators whose multiply-accumulates are known",
            found=f"{kind} {node.name}".rstrip(),
            do="report this, with the model that the bundle was made from",
        )
    return 0


def _tile_attention(node: onnx.NodeProto, shaped: ShapedGraph) -> int:
    clicks, depth = _shape(node, 0, shaped)  # query
    cells = math.prod(_shape(node, 1, shaped)[1:])  # v, [D, Hg, Wg]
    anchors, hidden = _shape(node, 4, shaped)  # weights of the confidence
    return clicks * (cells * (depth + anchors * hidden) + BOX * hidden)


def _between(shaped: ShapedGraph, weights: set[str], ends: set[str]) -> int:
    """Bytes of operands and results of the heavy operators, but for weights and the graph's ends.

    Of a Q/DQ pair the quantised side lies in memory.
    """
    makers = {name: node for node in shaped.graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in shaped.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    moved: list[str] = []
    for node in shaped.graph.node:
        read = [node.input[index] for index in _operands(node)]
        moved.extend(_source(name, makers) for name in read)
        moved.extend(_result(name, readers) for name in node.output if read and name)
    return _bytes([name for name in moved if name not in weights and name not in ends], shaped)


def _operands(node: onnx.NodeProto) -> tuple[int, ...]:
    kind = _kind(node)
    if kind == TILE_ATTENTION:
        return (0, 1, 2)
    if kind == CROSS_ATTENTION:
        return (0, 1, 2)
    return {**CONVOLUTIONS, **TRANSPOSED, **PRODUCTS}.get(kind, ())


def _source(name: str, makers: dict[str, onnx.NodeProto]) -> str:
    maker = makers.get(name)
    return maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name


def _result(name: str, readers: dict[str, list[onnx.NodeProto]]) -> str:
    """What lies in memory of a result: after its activation, quantised where that follows."""
    following = readers.get(name, [])
    if len(following) == 1 and following[0].op_type in (*ACTIVATIONS, "QuantizeLinear"):
        return _result(following[0].output[0], readers)
    return name


def _kind(node: onnx.NodeProto) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def _shape(node: onnx.NodeProto, index: int, shaped: ShapedGraph) -> tuple[int, ...]:
    return shaped.shape(node.input[index], node)


def _bytes(names: Iterable[str], shaped: ShapedGraph) -> int:
    total = 0
    for name in names:
        tensor = shaped.tensors.get(name)
        sizes = tensor.shape if tensor is not None else None
        if tensor is None or sizes is None or any(size is None for size in sizes):
            raise BenchmarkError(
                f"the bytes of the graph {shaped.path} cannot be counted",
                expected=f"a known shape of {name}",
                found="no shape" if sizes is None else f"{list(sizes)}",
                do="report this, with the model that the bundle was made from",
            )
        total += -(-math.prod(size or 0 for size in sizes) * tensor.item_bits // 8)
    return total


def _constant_bytes(graph: onnx.GraphProto) -> int:
    """Weights that a graph keeps in nodes of their own."""
    import onnx

    return sum(
        onnx.numpy_helper.to_array(attribute.t).nbytes
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    )
