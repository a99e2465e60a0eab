"""The bodies of both custom operators, put into graphs by one rule."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from edge.errors import ExecutorError
from export.plugin import cross_attention_onnx, tile_attention_onnx

CROSS, TILE = cross_attention_onnx, tile_attention_onnx


def cross(inputs: int) -> onnx.NodeProto:
    name = f"cross_{inputs}"
    return helper.make_node(CROSS.NAME, CROSS.INPUTS[:inputs], [name], name=name, domain="tilefix")


def tile(outputs: int) -> onnx.NodeProto:
    names = [f"{name}_{outputs}" for name in TILE.OUTPUTS[:outputs]]
    node = f"tile_{outputs}"
    return helper.make_node(TILE.NAME, TILE.INPUTS, names, name=node, domain="tilefix")


def model(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "some", [], []))


def test_each_operator_takes_its_own_nodes():
    both = model(cross(5), tile(6), tile(6), helper.make_node(TILE.NAME, [], ["x"], domain="else"))
    assert (TILE.add_bodies(both), CROSS.add_bodies(both)) == (2, 1)
    assert [body.name for body in both.functions] == [TILE.NAME, CROSS.NAME]
    assert [len(body.input) for body in both.functions] == [len(TILE.INPUTS), 5]


@pytest.mark.parametrize(
    ("operator", "node", "ends"),
    [(CROSS, cross(3), (3, 1)), (CROSS, cross(5), (5, 1)), (TILE, tile(5), (9, 5))],
)
def test_the_body_takes_and_gives_what_its_nodes_do(operator, node, ends):
    made = model(node)
    assert operator.add_bodies(made) == 1
    (body,) = made.functions
    assert (len(body.input), len(body.output)) == ends


def test_a_graph_without_the_operator_gets_nothing():
    plain = model(helper.make_node("Relu", ["x"], ["y"]))
    assert (CROSS.add_bodies(plain), TILE.add_bodies(plain)) == (0, 0) and not plain.functions


def test_both_forms_in_a_graph_are_refused():
    with pytest.raises(ExecutorError) as error:
        CROSS.add_bodies(model(cross(3), cross(5)))
    assert error.value.what == "a graph has cross attentions with positions and without them"
    assert error.value.expected == "all of them with 5 inputs, or all with 3"
    assert error.value.found == "cross_3: 3 inputs, cross_5: 5 inputs"
    with pytest.raises(ExecutorError) as error:
        TILE.add_bodies(model(tile(5), tile(6)))
    assert error.value.what == "a graph has tile attentions with the map and without it"
    assert error.value.found == "tile_5: 5 outputs, tile_6: 6 outputs"
    assert error.value.do.endswith("with the same `attention`")
