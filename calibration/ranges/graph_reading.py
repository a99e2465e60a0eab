"""What an fp32 graph holds: which nodes a tensor depends on, its type and its size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import CalibrationError, MissingLibraryError

if TYPE_CHECKING:
    import onnx

LEAST_OPSET = 13
_SHAPE_VALUES = 64  # weights of more values are no shapes


def loaded(graph: Path) -> onnx.ModelProto:
    """Read a graph.

    Raises:
        MissingLibraryError: the library onnx is not installed.
        CalibrationError: a graph of an opset too old.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingLibraryError(
            "ranges cannot be found without the library onnx",
            expected="onnx, part of the extra 'export'",
            found=str(error),
            do="pip install 'tilefix[export]'",
        ) from error
    model = onnx.load(str(graph))
    version = max((x.version for x in model.opset_import if not x.domain), default=0)
    if version < LEAST_OPSET:
        raise CalibrationError(
            f"the graph {graph} is too old to be observed",
            expected=f"ONNX opset {LEAST_OPSET} or newer",
            found=f"opset {version}",
            do="export the bundle again with this version of tilefix",
        )
    return model


def check_wanted(graph: Path, model: onnx.ModelProto, tensors: Sequence[str]) -> None:
    """Make sure that these are activations of the graph, each named once.

    Raises:
        CalibrationError: they are not.
    """
    made = {name for node in model.graph.node for name in node.output if name}
    there = made | {x.name for x in true_inputs(model)}
    wrong = [name for name in tensors if name not in there]
    if not tensors or wrong or len(set(tensors)) != len(tensors):
        twice = sorted({name for name in tensors if tensors.count(name) > 1})
        found = f"{wrong[0]!r}" if wrong else f"{twice[0]!r} twice" if twice else "none"
        raise CalibrationError(
            f"the tensors to observe do not fit the graph {graph}",
            expected=f"names of activations, each once; the graph has {len(there)}",
            found=found + (", a weight" if _is_weight(model, wrong) else ""),
            do="take the names from the fp32 graph of the same bundle",
        )


def _is_weight(model: onnx.ModelProto, wrong: list[str]) -> bool:
    return bool(wrong) and wrong[0] in {x.name for x in model.graph.initializer}


def true_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no weights."""
    weights = {x.name for x in model.graph.initializer}
    return [x for x in model.graph.input if x.name not in weights]


def ancestors(model: onnx.ModelProto, tensors: Sequence[str]) -> list[onnx.NodeProto]:
    """The nodes that the tensors depend on, in the order of the graph, which is topological."""
    wanted, kept = set(tensors), []
    for node in reversed(model.graph.node):
        if not wanted.isdisjoint(node.output):
            kept.append(node)
            wanted.update(names_read(node))
    return kept[::-1]


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, and all that its subgraphs do (their own names among it: harmless)."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from names_read(inner)


def tensor_infos(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Types and shapes of all tensors, by a copy without the large weights: it is copied often."""
    import onnx

    light = onnx.ModelProto()
    light.ir_version = model.ir_version
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    light.graph.name = "shapes"
    for part in ("node", "input", "output", "value_info"):
        getattr(light.graph, part).extend(getattr(model.graph, part))
    for weight in model.graph.initializer:
        if math.prod(weight.dims) <= _SHAPE_VALUES:  # may be the shape of a Reshape
            light.graph.initializer.append(weight)
        else:
            info = onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            light.graph.input.append(info)
    graph = onnx.shape_inference.infer_shapes(light).graph
    return {x.name: x for x in (*graph.value_info, *graph.input, *graph.output)}


def type_and_size(
    graph: Path, infos: dict[str, onnx.ValueInfoProto], name: str
) -> tuple[bool, int | None]:
    """Whether a tensor is float16, and its number of values; None where that is dynamic.

    Raises:
        CalibrationError: it holds no real numbers, or nothing says what it holds.
    """
    import onnx

    kinds: dict[int, bool] = {onnx.TensorProto.FLOAT: False, onnx.TensorProto.FLOAT16: True}
    kind = infos[name].type.tensor_type if name in infos else None
    if kind is None or kind.elem_type not in kinds:
        number = kind.elem_type if kind else 0
        raise CalibrationError(
            f"the tensor {name} of {graph} cannot be quantised",
            expected="an activation of type float32 or float16",
            found=onnx.TensorProto.DataType.Name(number).lower(),
            do="take inputs and outputs of convolutions and matrix products",
        )
    shape = kind.shape.dim
    known = kind.HasField("shape") and all(x.HasField("dim_value") for x in shape)
    return kinds[kind.elem_type], math.prod(x.dim_value for x in shape) if known else None
