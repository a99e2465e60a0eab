"""A float32 graph with the types of the precision policy: fewest casts, every one at a border.

Values keep their names, taps among them; a value that is read in both types has one cast. Casts of
the exported graph that have become idle are dropped.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edge.errors import ExecutorError
from export.graph_types import element_types
from export.node_places import NodePlaces
from export.precision import GEOMETRY_INPUTS, Kept, rule_of
from export.taps import PREFIX

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT
FLOATS = (HALF, SINGLE)
SUFFIX = {HALF: "_float16", SINGLE: "_float32"}
LARGEST = 65504.0
MOVES = ("Transpose", "Split", "Reshape", "Squeeze", "Unsqueeze", "Slice", "Identity")
# Float inputs that an operator wants in float32, whatever its data is.
ALWAYS_SINGLE = {"Resize": (1, 2)}


def to_float16(model: onnx.ModelProto) -> None:
    """Give every float value of a float32 graph its type by the policy, in place.

    Args:
        model: sorted, without subgraphs and functions; inputs and outputs keep their types.

    Raises:
        ExecutorError: an operator without a rule, or a constant that float16 cannot hold.
    """
    _fold_constants(model.graph)
    _TypedGraph(model).write()


class _TypedGraph:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.exported = element_types(model)
        self.places = NodePlaces(self.graph, GEOMETRY_INPUTS)
        self.initialisers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.given = {value.name for value in self.graph.input}
        self.wanted = {value.name: value.type.tensor_type.elem_type for value in self.graph.output}
        self.types = {n: self.exported[n] for n in (*self.given, *self.initialisers)}
        self.alias: dict[str, str] = {}  # an idle cast's output -> what it reads
        self.versions: dict[tuple[str, int], str] = {}
        self.nodes: list[NodeProto] = []
        self.made: list[TensorProto] = []

    def write(self) -> None:
        for node in list(self.graph.node):
            if not self._idle_cast(node):
                self._typed(node)
        self._outputs()
        read = {name for node in self.nodes for name in node.input}
        kept = [t for t in (*self.graph.initializer, *self.made) if t.name in read]
        alive = {name for node in self.nodes for name in node.output}
        stated = [v for v in self.graph.value_info if v.name in alive]
        for value in stated:
            value.type.tensor_type.elem_type = self.types[value.name]
        for old, new in (
            (self.graph.node, self.nodes),
            (self.graph.initializer, kept),
            (self.graph.value_info, stated),
        ):
            del old[:]
            old.extend(new)

    def _idle_cast(self, node: NodeProto) -> bool:
        """Drop a cast between floats that the types have made needless."""
        if node.op_type != "Cast":
            return False
        source, target = self._read(node.input[0]), node.output[0]
        to, found = self.exported[target], self.types.get(source)
        # A cast to float32 only widens what stays float16 here; one to float16 rounds.
        if to not in FLOATS or found not in FLOATS or (to == HALF and found == SINGLE):
            return False
        if target in self.wanted:
            if found != to or source in self.given or source in self.wanted:
                return False
            self._rename(source, target)
        else:
            self.alias[target] = source
        return True

    def _typed(self, node: NodeProto) -> None:
        kept = Kept.AS_IS if node.op_type == "Cast" else self._kept(node)
        wanted = HALF if kept is Kept.HALF else SINGLE
        always_single = ALWAYS_SINGLE.get(node.op_type, ())
        for index, name in enumerate(node.input):
            if self.exported.get(name) not in FLOATS:
                continue
            node.input[index] = source = self._read(name)
            if kept is not Kept.AS_IS:
                single = index in always_single
                node.input[index] = self._version(source, SINGLE if single else wanted)
            elif node.op_type != "Cast":
                node.input[index] = self._version(source, self.exported[name])
        for name in node.output:
            exported = self.exported.get(name, TensorProto.UNDEFINED)
            decided = exported in FLOATS and kept is not Kept.AS_IS
            self.types[name] = wanted if decided else exported
        self.nodes.append(node)

    def _kept(self, node: NodeProto) -> Kept:
        """HALF, SINGLE or AS_IS; a node without floats, or computed once at loading, is SINGLE."""
        floats = any(self.exported.get(n) in FLOATS for n in (*node.input, *node.output))
        if not floats or all(n in self.places.constants for n in node.output):
            return Kept.SINGLE
        kept = rule_of(node, self.places.of(node)).kept
        if kept is not Kept.FOLLOW:
            return kept
        exempt = ALWAYS_SINGLE.get(node.op_type, ())
        joined = [
            self.types[self._read(n)]
            for i, n in enumerate(node.input)
            if self.exported.get(n) in FLOATS and n not in self.places.constants and i not in exempt
        ]
        return Kept.HALF if joined and all(t == HALF for t in joined) else Kept.SINGLE

    def _rename(self, old: str, new: str) -> None:
        for node in self.nodes:
            for names in (node.input, node.output):
                for index, each in enumerate(names):
                    if each == old:
                        names[index] = new
        self.types[new] = self.types[old]
        self.alias[old] = new

    def _read(self, name: str) -> str:
        return self.alias.get(name, name)

    def _version(self, name: str, wanted: int) -> str:
        """The value in the wanted type: itself, a converted constant, or one cast."""
        if self.types[name] == wanted:
            return name
        key = name, wanted
        if key not in self.versions:
            made = name + SUFFIX[wanted]
            if made.startswith(PREFIX):  # the cast of a tap is no tap
                made = "of_" + made
            self.versions[key] = made
            self.types[made] = wanted
            if name in self.initialisers:
                self.made.append(_converted(self.initialisers[name], wanted, made))
            else:
                self.nodes.append(
                    helper.make_node("Cast", [name], [made], name=f"cast_{made}", to=wanted)
                )
        return self.versions[key]

    def _outputs(self) -> None:
        """Graph outputs keep their declared types and names."""
        for name, wanted in self.wanted.items():
            if self.types[name] == wanted:
                continue
            inner = name + SUFFIX[self.types[name]]
            self._rename(name, inner)
            self.types[name] = wanted
            self.nodes.append(
                helper.make_node("Cast", [inner], [name], name=f"cast_{name}", to=wanted)
            )


def _converted(tensor: TensorProto, wanted: int, name: str) -> TensorProto:
    array = numpy_helper.to_array(tensor)
    finite = np.abs(array[np.isfinite(array)])
    if wanted == HALF and finite.size and finite.max() > LARGEST:
        raise ExecutorError(
            f"the constant {tensor.name} does not fit float16",
            expected=f"magnitudes of at most {LARGEST:.0f}",
            found=f"{finite.max():g}",
            do="keep its node in float32: add a rule to export.precision.POLICY",
        )
    typed = array.astype(helper.tensor_dtype_to_np_dtype(wanted))
    if typed.size == 1 and array.any() and not typed.any():  # of many weights some may vanish
        raise ExecutorError(
            f"the constant {tensor.name} becomes 0 in float16",
            expected="a number that float16 holds: a divisor's floor of 0 protects from nothing",
            found=f"{array.item():g}",
            do="keep its node in float32: add a rule to export.precision.POLICY",
        )
    return numpy_helper.from_array(typed, name)


def _fold_constants(graph: onnx.GraphProto) -> None:
    """Make initialisers of constants, and of those that are only moved: weights turned or split."""
    values = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type == "Constant":
            made = ReferenceEvaluator(node).run(None, {})
        elif node.op_type in MOVES and all(name in values for name in node.input if name):
            given = {name: numpy_helper.to_array(values[name]) for name in node.input if name}
            made = ReferenceEvaluator(node).run(None, given)
        else:
            kept.append(node)
            continue
        for name, array in zip(node.output, made, strict=True):
            values[name] = numpy_helper.from_array(np.array(array, order="C"), name)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(values.values())
