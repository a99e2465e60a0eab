"""The shape of every value of an ONNX graph at a given number of clicks.

An exporter leaves the number of clicks open and writes what depends on it as an expression
("9*clicks"). These are filled in first; what is still missing is inferred.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import BenchmarkError, BundleError

if TYPE_CHECKING:
    import onnx

CLICKS = "clicks"
_OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value of a graph."""

    shape: tuple[int | None, ...] | None  # None: not even its rank is known
    item_bits: int  # of one element; 0: its type is not known


@dataclass(frozen=True, slots=True)
class ShapedGraph:
    """A graph whose clicks are a number."""

    path: Path
    graph: onnx.GraphProto
    tensors: Mapping[str, Tensor]  # values and weights, by name

    def shape(self, name: str, node: onnx.NodeProto) -> tuple[int, ...]:
        """The shape of a value that `node` reads or writes.

        Raises:
            BenchmarkError: it is not known in full, so that nothing can be counted by it.
        """
        tensor = self.tensors.get(name)
        found = tensor.shape if tensor is not None else None
        if found is None or any(size is None for size in found):
            raise BenchmarkError(
                f"the work of the graph {self.path} cannot be counted",
                expected=f"a known shape of {name}, at {node.op_type} {node.name}".rstrip(),
                found="no shape" if found is None else f"{list(found)}",
                do="report this, with the model that the bundle was made from",
            )
        return tuple(size for size in found if size is not None)


def shaped_graph(path: Path, clicks: int) -> ShapedGraph:
    """Read a graph, without weights that lie beside it, and work out all shapes.

    Args:
        path: of the ONNX file.
        clicks: in one call; a graph without clicks does not mind.

    Raises:
        BundleError: it is no ONNX graph.
        BenchmarkError: clicks below 1.
        ModuleNotFoundError: onnx is not installed (the extra `export`).
    """
    import onnx
    from google.protobuf.message import DecodeError

    if clicks < 1:
        raise BenchmarkError(
            "a graph can be counted with clicks alone",
            expected="1 click or more",
            found=str(clicks),
            do="count an encoder with 1 as well; it does not see clicks",
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError) as error:
        raise BundleError(
            f"{path} is no ONNX graph, or a truncated one",
            expected="a file that onnx can read",
            found=f"{type(error).__name__}: {error}",
            do="export the bundle again",
        ) from error
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        _fill_in(value, clicks)
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    tensors = {
        value.name: Tensor(_sizes(value), _bits(value.type.tensor_type.elem_type))
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    for weight in inferred.initializer:
        tensors[weight.name] = Tensor(tuple(weight.dims), _bits(weight.data_type))
    return ShapedGraph(path, inferred, tensors)


def value_of(text: str, clicks: int) -> int | None:
    """A size that an exporter wrote as an expression of the clicks; None: it has other names.

    >>> value_of("9*clicks", 8)
    72
    """
    try:
        return _evaluate(ast.parse(text, mode="eval").body, clicks)
    except (SyntaxError, ZeroDivisionError):
        return None


def _evaluate(node: ast.expr, clicks: int) -> int | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.Name):
        return clicks if node.id == CLICKS else None
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _evaluate(node.left, clicks), _evaluate(node.right, clicks)
        if left is not None and right is not None:
            return _OPERATORS[type(node.op)](left, right)
    return None


def _fill_in(value: Any, clicks: int) -> None:
    """Put numbers in place of expressions, in the graph itself."""
    for size in value.type.tensor_type.shape.dim:
        known = value_of(size.dim_param, clicks) if size.dim_param else None
        if known is not None:
            size.dim_value = known


def _sizes(value: Any) -> tuple[int | None, ...] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)


def _bits(kind: int) -> int:
    """Bits of one element of a type of ONNX; four-bit types are packed in pairs."""
    import onnx

    if kind == onnx.TensorProto.UNDEFINED:
        return 0
    if onnx.TensorProto.DataType.Name(kind).endswith(("INT4", "FLOAT4E2M1")):
        return 4
    return 8 * int(onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize)
