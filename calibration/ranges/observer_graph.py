"""A graph that tells how far its tensors reach, made from an fp32 graph.

Of the graph only the ancestors of the wanted tensors are kept. For each wanted tensor small values
leave it: minimum, maximum and sum of all values (the sum only to find what is no number, which
minimum and maximum may pass over), and the sampled values of `calibration.ranges.sampling`. No
whole tensor leaves it, unless it is no larger than a sample, so memory is bounded by the graph.
Where the size of a tensor depends on the number of clicks, its places are computed in the graph,
by the same formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.ranges.graph_reading import (
    ancestors,
    check_wanted,
    loaded,
    names_read,
    tensor_infos,
    true_inputs,
    type_and_size,
)
from calibration.ranges.sampling import SAMPLE, drawn, places

if TYPE_CHECKING:
    import onnx

LOWEST, HIGHEST, TOTAL = "observed.lowest", "observed.highest", "observed.total"
_PREFIX = "observed."


@dataclass(frozen=True, slots=True)
class ObserverGraph:
    """The graph, what it takes, and what it answers."""

    model: bytes
    inputs: tuple[str, ...]  # those of the fp32 graph that the wanted tensors depend on
    tensors: tuple[str, ...]  # LOWEST, HIGHEST and TOTAL are float32 [len(tensors)] in this order
    samples: tuple[str, ...]  # outputs, float32 [up to 2^18], in the order of `tensors`


def needed_inputs(graph: Path, tensors: Sequence[str]) -> tuple[str, ...]:
    """The inputs of a graph that these tensors depend on, in the graph's order.

    Raises:
        CalibrationError, MissingLibraryError: see `observer_graph`.
    """
    model = loaded(graph)
    check_wanted(graph, model, tensors)
    used = {name for node in ancestors(model, tensors) for name in names_read(node)}
    return tuple(x.name for x in true_inputs(model) if x.name in used or x.name in tensors)


def observer_graph(graph: Path, tensors: Sequence[str], seed: int) -> ObserverGraph:
    """Make the observer of some tensors of a graph.

    Args:
        graph: an ONNX file whose activations are float32 or float16.
        tensors: names of activations in it, each once.
        seed: of the sample.

    Raises:
        CalibrationError: the graph has no such tensor, or one is a weight or holds no reals.
        MissingLibraryError: the library onnx is not installed.
    """
    model = loaded(graph)
    import onnx

    check_wanted(graph, model, tensors)
    infos = tensor_infos(model)
    drawing = _Drawing(seed)
    for name in tensors:
        drawing.observe(name, *type_and_size(graph, infos, name))
    last = drawing.finish()

    nodes = ancestors(model, tensors)
    used = {name for node in nodes for name in names_read(node)} | set(tensors)
    inputs = [x for x in true_inputs(model) if x.name in used]
    weights = [x for x in model.graph.initializer if x.name in used]
    sparse = [x for x in model.graph.sparse_initializer if x.values.name in used]
    made = onnx.ModelProto()
    made.ir_version = model.ir_version
    made.opset_import.extend(model.opset_import)
    made.functions.extend(model.functions)
    made.graph.name = "observer"
    made.graph.node.extend(_interleaved(nodes, drawing.nodes))
    made.graph.node.extend(last)
    made.graph.initializer.extend([*weights, *drawing.weights])
    made.graph.sparse_initializer.extend(sparse)
    made.graph.input.extend(inputs)
    samples = tuple(f"{_PREFIX}{index}.sample" for index in range(len(tensors)))
    kind = onnx.TensorProto.FLOAT
    for name in (LOWEST, HIGHEST, TOTAL, *samples):
        made.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, [None]))
    names = tuple(x.name for x in inputs)
    return ObserverGraph(made.SerializeToString(), names, tuple(tensors), samples)


class _Drawing:
    """The nodes that observe, and the constants that they share."""

    def __init__(self, seed: int) -> None:
        self.nodes: dict[str, list[onnx.NodeProto]] = {}  # tensor -> what observes it
        self.weights: list[onnx.TensorProto] = []
        self._current: list[onnx.NodeProto] = []
        self._known: set[str] = set()
        self._parts: dict[str, list[str]] = {LOWEST: [], HIGHEST: [], TOTAL: []}
        self._u = drawn(seed)
        self._count = 0

    def observe(self, tensor: str, half: bool, size: int | None) -> None:
        """Add the nodes of one tensor; `size` None: known only when it runs."""
        import onnx

        at = f"{_PREFIX}{self._count}"
        self._count += 1
        self._current = self.nodes.setdefault(tensor, [])
        whole = size is not None and size <= SAMPLE
        flat = f"{at}.sample" if whole else f"{at}.flat"
        source = tensor
        if half:
            source = self._node("Cast", [tensor], f"{at}.float", to=onnx.TensorProto.FLOAT)
        shape = self._constant("flat_shape", np.array([-1], np.int64))
        self._node("Reshape", [source, shape], flat)
        for total, op in ((LOWEST, "ReduceMin"), (HIGHEST, "ReduceMax"), (TOTAL, "ReduceSum")):
            name = f"{at}.{op}"
            self._parts[total].append(self._node(op, [flat], name, keepdims=1))
        if whole:
            return
        index = self._computed(flat, at) if size is None else self._constant_places(size)
        # Far quicker than Gather, which copies every single value by a call of its own.
        self._node("GatherElements", [flat, index], f"{at}.sample", axis=0)

    def finish(self) -> list[onnx.NodeProto]:
        """Put the bounds of all tensors together: three outputs instead of three each."""
        self._current = []
        for name, parts in self._parts.items():
            self._node("Concat", parts, name, axis=0)
        return self._current

    def _computed(self, flat: str, at: str) -> str:
        """`sampling.places` for a size that is known only when the graph runs."""
        count_limit = self._constant("count_limit", np.array(SAMPLE, np.int64))
        zero = self._constant("zero", np.array(0, np.int64))
        one = self._constant("one", np.array(1, np.int64))
        start, axis = self._constant("start", np.array([0], np.int64)), self._constant("axis", [1])
        u = self._constant("u", self._u)
        size = self._node("Size", [flat], f"{at}.size")
        count = self._node("Min", [size, count_limit], f"{at}.count")
        j = self._node("Range", [zero, count, one], f"{at}.j")
        end = self._node("Reshape", [count, axis], f"{at}.end")
        first = self._node("Slice", [u, start, end], f"{at}.u")
        within = self._node("Mod", [first, size], f"{at}.within")
        begin = self._node("Mul", [j, size], f"{at}.begin")
        place = self._node("Add", [begin, within], f"{at}.place")
        return self._node("Div", [place, count], f"{at}.index")

    def _constant_places(self, size: int) -> str:
        kind = np.int32 if size < 1 << 31 else np.int64
        return self._constant(f"places.{size}", places(size, self._u).astype(kind))

    def _constant(self, name: str, value: np.ndarray | list[int]) -> str:
        import onnx

        full = f"{_PREFIX}constant.{name}"
        if full not in self._known:
            self._known.add(full)
            array = np.asarray(value, np.int64) if isinstance(value, list) else value
            self.weights.append(onnx.numpy_helper.from_array(array, full))
        return full

    def _node(self, op: str, inputs: list[str], output: str, **settings: Any) -> str:
        import onnx

        self._current.append(onnx.helper.make_node(op, inputs, [output], **settings))
        return output


def _interleaved(
    nodes: Sequence[onnx.NodeProto], observing: dict[str, list[onnx.NodeProto]]
) -> Iterator[onnx.NodeProto]:
    """What observes a tensor right behind what makes it, so that the tensor can go at once."""
    made = {name for node in nodes for name in node.output}
    for tensor, observers in observing.items():
        if tensor not in made:  # an input
            yield from observers
    for node in nodes:
        yield node
        for name in node.output:
            yield from observing.get(name, ())
