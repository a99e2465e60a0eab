"""Where a node stands in its graph, as far as the policy of precision asks."""

from __future__ import annotations

from enum import Enum

import onnx

EXTREMES = ("ReduceMin", "ReduceMax")
VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten")


class Place(str, Enum):
    """A property of a node's surroundings; a node can have several."""

    ANYWHERE = "anywhere"
    GEOMETRY = "computed from clicks, affine and priors alone"
    SQUARE = "a value times itself"
    BEFORE_EXTREMES = "its minimum or maximum is taken"


class NodePlaces:
    """The places of all nodes of a graph, which is topologically sorted.

    Args:
        graph: with constants as initialisers.
        geometry_inputs: graph inputs that hold pixels.
    """

    def __init__(self, graph: onnx.GraphProto, geometry_inputs: tuple[str, ...]) -> None:
        self.constants = {tensor.name for tensor in graph.initializer}
        self._geometry = set(geometry_inputs)
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._consumers.setdefault(name, []).append(node)
            variable = [n for n in node.input if n and n not in self.constants]
            if not variable:
                self.constants.update(node.output)
            elif all(n in self._geometry for n in variable):
                self._geometry.update(node.output)

    def of(self, node: onnx.NodeProto) -> frozenset[Place]:
        """All places of a node."""
        places = {Place.ANYWHERE}
        if all(name in self._geometry for name in node.output):
            places.add(Place.GEOMETRY)
        if len(node.input) == 2 and node.input[0] == node.input[1]:
            places.add(Place.SQUARE)
        if self._meets_extremes(node):
            places.add(Place.BEFORE_EXTREMES)
        return frozenset(places)

    def _meets_extremes(self, node: onnx.NodeProto) -> bool:
        readers = [r for name in node.output for r in self._consumers.get(name, [])]
        return any(
            r.op_type in EXTREMES or (r.op_type in VIEWS and self._meets_extremes(r))
            for r in readers
        )
