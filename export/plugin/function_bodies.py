"""Puts the function body of a custom operator into a graph, once for all of its nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from onnx import FunctionProto, NodeProto

from edge.errors import ExecutorError


@dataclass(frozen=True, slots=True)
class BodyRule:
    """How the body of an operator depends on its nodes, of which there are two forms.

    ONNX Runtime wants a body to take and give exactly what its node does, so that the nodes of a
    graph must be of one form.
    """

    node: str  # "tilefix::TileAttention"
    ends: Callable[[NodeProto], int]  # inputs or outputs of a node, which tell its form
    counted: str  # "outputs"
    most: int  # of the larger form
    body: Callable[[bool], FunctionProto]  # whether it is the larger form
    what: str  # is wrong with a graph that has both forms
    expected: str
    do: str


def add_bodies(model: onnx.ModelProto, rule: BodyRule) -> int:
    """Put the body beside the nodes that need it, in place.

    Returns:
        The number of nodes of the operator.

    Raises:
        ExecutorError: nodes of both forms: one body cannot be both.
    """
    domain, name = rule.node.split("::")
    nodes = [n for n in model.graph.node if n.domain == domain and n.op_type == name]
    counts = {rule.ends(node) for node in nodes}
    if len(counts) > 1:
        found = ", ".join(f"{node.name}: {rule.ends(node)} {rule.counted}" for node in nodes)
        raise ExecutorError(rule.what, expected=rule.expected, found=found, do=rule.do)
    known = any(body.domain == domain and body.name == name for body in model.functions)
    if nodes and not known:
        model.functions.append(rule.body(counts == {rule.most}))
    return len(nodes)
