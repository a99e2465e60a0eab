"""What an ONNX graph promises, so that the engine made of it can be held to its word.

Strongly typed building takes every type from the graph: a convolution whose input comes from a
DequantizeLinear shall run in INT8, one over float16 tensors in FP16. `layer_checks` compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TensorProto

from edge.errors import BundleError, ExecutorError
from export.engines.toolkit import Toolkit
from export.graph_types import CONVOLUTIONS, HEAVY, PRODUCTS, element_types, static_shapes

DOMAIN = "tilefix"  # of the nodes that the plugin implements
# ONNX's element types as TensorRT's layer tables write them.
TYPES = {
    TensorProto.FLOAT: "Float",
    TensorProto.FLOAT16: "Half",
    TensorProto.BFLOAT16: "BFloat16",
    TensorProto.INT8: "Int8",
    TensorProto.FLOAT8E4M3FN: "FP8",
}
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """A graph, as far as a build and its checks need to know it."""

    path: Path
    size_bytes: int
    custom_nodes: tuple[str, ...]  # "TileAttention node_name"
    operators: dict[str, str]  # node -> operator
    convolutions: dict[str, str]  # node -> the type that it shall run in
    products: dict[str, str]
    reads: dict[str, str]  # convolution or product -> its first operand
    depthwise_elements: int = 0  # of the inputs of depthwise convolutions in INT8, each shape once

    @property
    def custom_operators(self) -> tuple[str, ...]:
        """Names of the creators that the plugin must have."""
        return tuple(sorted({name.partition(" ")[0] for name in self.custom_nodes}))


def read_graph(path: Path) -> tuple[ModelProto, GraphFacts]:
    """Load a graph and look through it.

    Raises:
        BundleError: the file is no ONNX graph, or a truncated one.
        ExecutorError: an operator set that this version of onnx does not know.
    """
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise _refused(path, str(error)) from error
    except (DecodeError, OSError) as error:
        raise BundleError(
            f"{path} is no ONNX graph, or a truncated one",
            expected="a file that onnx can read in full",
            found=f"{type(error).__name__}: {error}",
            do="export the bundle again",
        ) from error
    types = {name: TYPES.get(kind, UNKNOWN) for name, kind in element_types(model).items()}
    made_by = {name: node for node in model.graph.node for name in node.output}
    nodes = {node_name(node): node for node in model.graph.node}
    products = {name: node for name, node in nodes.items() if node.op_type in PRODUCTS}
    convolutions = {
        name: _promised(node, types, made_by)
        for name, node in nodes.items()
        if node.op_type in CONVOLUTIONS
    }
    return model, GraphFacts(
        path=path,
        size_bytes=model.ByteSize(),  # with weights that lie beside the file
        custom_nodes=tuple(
            f"{node.op_type} {name}" for name, node in nodes.items() if node.domain == DOMAIN
        ),
        operators={name: node.op_type for name, node in nodes.items()},
        convolutions=convolutions,
        products={name: _promised(node, types, made_by) for name, node in products.items()},
        reads={
            name: _stored(node.input[0], made_by)
            for name, node in nodes.items()
            if node.op_type in HEAVY
        },
        depthwise_elements=_depthwise_elements(
            model, [nodes[name] for name, dtype in convolutions.items() if dtype == "Int8"]
        ),
    )


def check_opset(model: ModelProto, path: Path, toolkit: Toolkit) -> None:
    """Refuse an operator set that the toolkit's parser does not list; some take it in silence.

    Raises:
        ExecutorError: the graph is of a newer one.
    """
    version = max((each.version for each in model.opset_import if each.domain == ""), default=0)
    if version > toolkit.newest_opset:
        raise ExecutorError(
            f"the graph {path} is of an operator set that {toolkit.title} does not know",
            expected=f"operator set {toolkit.newest_opset} or older",
            found=f"operator set {version}",
            do="export the bundle again with this version of tilefix",
        )


def node_name(node: NodeProto) -> str:
    """A node's name as TensorRT has it; one without gets that of its first output."""
    return node.name or f"node_of_{node.output[0]}"


def _promised(node: NodeProto, types: dict[str, str], made_by: dict[str, NodeProto]) -> str:
    """The type that a convolution or product shall run in: that of its two operands."""
    operands = node.input[:2]
    quantised = [made_by.get(name) for name in operands]
    if all(each is not None and each.op_type == "DequantizeLinear" for each in quantised):
        codes = {types.get(each.input[0], UNKNOWN) for each in quantised if each is not None}
        return codes.pop() if len(codes) == 1 else UNKNOWN
    return types.get(operands[0], UNKNOWN)


def _depthwise_elements(model: ModelProto, convolutions: Sequence[NodeProto]) -> int:
    """Elements of the inputs of those convolutions that have a group for each channel."""
    inputs = {node.input[0]: _groups(node) for node in convolutions if _groups(node) > 1}
    shapes = static_shapes(model) if inputs else {}
    found = {
        shapes[name] for name, groups in inputs.items() if shapes.get(name, ())[1:2] == (groups,)
    }
    return sum(math.prod(shape) for shape in found)


def _groups(node: NodeProto) -> int:
    return next((each.i for each in node.attribute if each.name == "group"), 1)


def _stored(name: str, made_by: dict[str, NodeProto]) -> str:
    """The tensor as it lies in memory: before a DequantizeLinear, which is part of its reader."""
    maker = made_by.get(name)
    return maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name


def _refused(path: Path, why: str) -> ExecutorError:
    return ExecutorError(
        f"the graph {path} breaks the rules of ONNX",
        expected=f"operators and operator sets that onnx {onnx.__version__} knows",
        found=" ".join(why.split())[:500],
        do="export the bundle again, or install a newer onnx: pip install -U onnx",
    )
