"""The ONNX function body of TileAttention: what runs where no plugin is registered.

ONNX Runtime inlines it. TensorRT from 10.7 on prefers a registered plugin and, without one, inlines
it silently; before 10.7 the body wins, so functions are stripped there.
"""

from __future__ import annotations

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper

from edge.decoding import LEAK, PEAK_RADIUS_CELLS, RANGE_FLOOR
from export.plugin import function_bodies
from export.plugin.function_bodies import BodyRule
from export.plugin.tile_attention import LENGTH_FLOOR, OUTPUTS
from export.plugin.tile_attention_op import NODE

OPSET = 18
DOMAIN, NAME = NODE.split("::")
INPUTS = (
    "query",
    "v",
    "u",
    "channels",
    "confidence",
    "boxes",
    "anchors",
    "prior_xy_px",
    "prior_inv_var",
)
FLOATS = (
    "gate_offset",
    "gate_slope",
    "stride_px",
    "log_size_limit",
    "click_var",
    "centre_var",
    "floor_var_px2",
)
OTHERS = ("min_max", "attention", "plugin_version", "plugin_namespace")


class _Body:
    """Nodes in order; every method adds one and answers with its output's name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []

    def __call__(self, op: str, *inputs: str, **attributes: object) -> str:
        return self.many(op, 1, *inputs, **attributes)[0]

    def many(self, op: str, count: int, *inputs: str, **attributes: object) -> list[str]:
        names = [f"{op.lower()}_{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names

    def number(self, value: float) -> str:
        return self("Constant", value_float=value)

    def integers(self, *values: int) -> str:
        return self("Constant", value_ints=values)

    def setting(self, name: str, kind: AttributeProto.AttributeType, key: str) -> str:
        node = helper.make_node("Constant", [], [f"setting_{name}"])
        node.attribute.append(AttributeProto(name=key, ref_attr_name=name, type=kind))
        self.nodes.append(node)
        return f"setting_{name}"

    def answer(self, name: str, value: str) -> None:
        self.nodes.append(helper.make_node("Identity", [value], [name]))


def tile_attention_body(attention: bool) -> FunctionProto:
    """`tilefix::TileAttention` in standard operators, in float32 whatever the inputs' type.

    Args:
        attention: with the last output, as the attribute of that name says. ONNX Runtime wants a
            body to have exactly the outputs that its node has.
    """
    f = _Body()
    s = {name: f.setting(name, AttributeProto.FLOAT, "value_float") for name in FLOATS}
    min_max = f("Cast", f.setting("min_max", AttributeProto.INT, "value_int"), to=TensorProto.BOOL)
    one, half, first, last = f.number(1.0), f.number(0.5), f.integers(1), f.integers(0, -1)
    query, v, u = (f("Cast", name, to=TensorProto.FLOAT) for name in INPUTS[:3])
    width = f("Shape", "v", start=2, end=3)
    inv_var = f("Unsqueeze", "prior_inv_var", first)  # [N, 1]

    # similarity and gate, [N, cells]
    length = f("Max", f("ReduceL2", query, first), f.number(LENGTH_FLOOR))
    similarity = f("MatMul", f("Div", query, length), f("Reshape", v, last))
    low, high = f("ReduceMin", similarity, first), f("ReduceMax", similarity, first)
    spread = f("Sub", high, low)
    divisor = f("Where", f("Greater", spread, f.number(RANGE_FLOOR)), spread, one)
    stretched = f("Div", f("Sub", similarity, low), divisor)
    unit = f("Where", min_max, stretched, similarity)
    gate = f("Add", f("Mul", unit, s["gate_slope"]), s["gate_offset"])

    # hidden layer [N, C, cells] and confidence [N, A, cells]
    scale, shift, bias = f.many("Split", 3, "channels", axis=1, num_outputs=3)  # [C, 1]
    x = f("Add", f("Mul", f("Reshape", u, last), scale), shift)  # [C, cells]
    mixed = f("Add", f("Mul", f("Unsqueeze", gate, first), x), bias)
    hidden = f("LeakyRelu", mixed, alpha=LEAK)
    c, tau, b_box, sides = f.many("Split", 4, "anchors", f.integers(1, 1, 4, 2), axis=1)
    cells = f("Shape", similarity, start=1, end=2)
    index = f(
        "Range",
        f("Constant", value_int=0),
        f("Squeeze", cells),
        f("Constant", value_int=1),
    )
    row, column = f("Div", index, width), f("Mod", index, width)  # [cells] int64
    prior_x, prior_y = f.many("Split", 2, "prior_xy_px", axis=1, num_outputs=2)  # [N, 1]
    squares = []
    for place, prior in ((column, prior_x), (row, prior_y)):
        centre = f("Add", f("Cast", place, to=TensorProto.FLOAT), half)
        apart = f("Sub", f("Mul", centre, s["stride_px"]), prior)
        squares.append(f("Mul", apart, apart))  # [N, cells]
    cell_var = f("Div", f("Mul", s["stride_px"], s["stride_px"]), f.number(12.0))
    cell_inv_var = f("Div", inv_var, f("Add", one, f("Mul", inv_var, cell_var)))
    log_prior = f("Mul", f("Mul", cell_inv_var, f.number(-0.5)), f("Add", *squares))
    logit = f("Add", f("MatMul", "confidence", hidden), c)
    logit = f("Add", logit, f("Mul", tau, f("Unsqueeze", similarity, first)))
    logit = f("Reshape", f("Add", logit, f("Unsqueeze", log_prior, first)), last)  # [N, A cells]

    # the winner, and its box
    best = f("ArgMax", logit, axis=1)  # [N, 1] int64
    anchor, cell = f("Div", best, cells), f("Mod", best, cells)
    flat_anchor, flat_cell = f("Squeeze", anchor, first), f("Squeeze", cell, first)
    gate_at = f("GatherElements", gate, cell, axis=1)  # [N, 1]
    x_at = f("Transpose", f("Gather", x, flat_cell, axis=1), perm=[1, 0])  # [N, C]
    bias_row = f("Transpose", bias, perm=[1, 0])
    hidden_at = f("LeakyRelu", f("Add", f("Mul", gate_at, x_at), bias_row), alpha=LEAK)
    product = f(
        "MatMul", f("Gather", "boxes", flat_anchor), f("Unsqueeze", hidden_at, f.integers(2))
    )
    t = f("Add", f("Squeeze", product, f.integers(2)), f("Gather", b_box, flat_anchor))
    t_centre, t_size = f.many("Split", 2, t, axis=1, num_outputs=2)  # [N, 2]
    corner = f("Concat", f("Mod", cell, width), f("Div", cell, width), axis=1)
    centre = f("Add", f("Sigmoid", t_centre), f("Cast", corner, to=TensorProto.FLOAT))
    centre = f("Mul", centre, s["stride_px"])
    limit = s["log_size_limit"]
    size = f("Exp", f("Clip", t_size, f("Neg", limit), limit))
    size = f("Mul", size, f("Gather", sides, flat_anchor))
    area = f("ReduceProd", size, first)  # [N, 1]
    own = f("Add", f("Mul", s["centre_var"], area), s["floor_var_px2"])
    own = f("Mul", inv_var, own)
    click = f("Mul", f("Mul", inv_var, s["click_var"]), area)
    trust = f("Div", own, f("Add", f("Add", one, click), own))
    centre = f("Add", centre, f("Mul", trust, f("Sub", "prior_xy_px", centre)))
    reach = f("Mul", size, half)

    # second peak: outside the first one's neighbourhood
    top = f("ArgMax", similarity, axis=1)  # [N, 1]
    far_row = f("Abs", f("Sub", row, f("Div", top, width)))
    far_column = f("Abs", f("Sub", column, f("Mod", top, width)))
    radius = f("Constant", value_int=PEAK_RADIUS_CELLS)
    outside = f("Greater", f("Max", far_row, far_column), radius)
    elsewhere = f("Where", outside, similarity, f.number(-1.0))

    grid = f("Concat", f("Shape", "query", start=0, end=1), f("Shape", "v", start=1), axis=0)
    answers = (
        f("Concat", f("Sub", centre, reach), f("Add", centre, reach), axis=1),
        f("Squeeze", f("GatherElements", logit, best, axis=1), first),
        f("Squeeze", high, first),
        f("ReduceMax", elsewhere, first, keepdims=0),
        f("Squeeze", f("GatherElements", similarity, cell, axis=1), first),
        f("Reshape", unit, grid),
    )
    outputs = OUTPUTS if attention else OUTPUTS[:-1]
    for name, value in zip(outputs, answers, strict=False):
        f.answer(name, value)
    return helper.make_function(
        DOMAIN,
        NAME,
        list(INPUTS),
        list(outputs),
        f.nodes,
        [helper.make_opsetid("", OPSET)],
        attributes=[*FLOATS, *OTHERS],
    )


RULE = BodyRule(
    node=NODE,
    ends=lambda node: len(node.output),
    counted="outputs",
    most=len(OUTPUTS),
    body=tile_attention_body,
    what="a graph has tile attentions with the map and without it",
    expected="all of them with attention=1, or all with attention=0",
    do="construct every TileAttention of a graph with the same `attention`",
)


def add_bodies(model: onnx.ModelProto) -> int:
    """Put the body beside the TileAttention nodes, in place; returns how many these are.

    Raises:
        ExecutorError: nodes with the attention map and nodes without it.
    """
    return function_bodies.add_bodies(model, RULE)
