"""The ONNX function body of CrossAttention: what runs where no plugin is registered.

ONNX Runtime inlines it. So does TensorRT, which then sees the pattern of its own fused attention.
From TensorRT 10.7 on a registered plugin comes first; before, functions are stripped.
"""

from __future__ import annotations

import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper

from export.plugin import function_bodies
from export.plugin.cross_attention_op import NODE
from export.plugin.function_bodies import BodyRule

OPSET = 18
DOMAIN, NAME = NODE.split("::")
INPUTS = ("query", "key", "value", "query_position", "key_position")
OUTPUT = "attended"
ATTRIBUTES = ("heads", "scale", "positions", "plugin_version", "plugin_namespace")


def cross_attention_body(positions: bool) -> FunctionProto:
    """`tilefix::CrossAttention` in standard operators; softmax in float32, all else as stored.

    Args:
        positions: with the last two inputs, as the attribute of that name says. ONNX Runtime wants
            a body to take what its node gives.
    """
    nodes: list[NodeProto] = []

    def f(op: str, *inputs: str, **attributes: object) -> str:
        name = f"{op.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def setting(name: str, kind: AttributeProto.AttributeType, key: str) -> str:
        node = helper.make_node("Constant", [], [f"setting_{name}"])
        node.attribute.append(AttributeProto(name=key, ref_attr_name=name, type=kind))
        nodes.append(node)
        return f"setting_{name}"

    heads = setting("heads", AttributeProto.INT, "value_int")
    scale = setting("scale", AttributeProto.FLOAT, "value_float")
    same, rest, one = (f("Constant", value_ints=x) for x in ([0, 0], [-1], [1]))
    split = f("Concat", same, f("Reshape", heads, one), rest, axis=0)  # [0, 0, heads, -1]
    query, key, value = INPUTS[:3]
    if positions:
        query, key = f("Add", query, INPUTS[3]), f("Add", key, INPUTS[4])
    # The scale before the product, which would come nearer to float16's end than its factors.
    query = f("Mul", query, f("CastLike", scale, query))
    q = f("Transpose", f("Reshape", query, split), perm=[0, 2, 1, 3])  # [B, heads, L, D / heads]
    k = f("Transpose", f("Reshape", key, split), perm=[0, 2, 3, 1])
    v = f("Transpose", f("Reshape", value, split), perm=[0, 2, 1, 3])
    score = f("Cast", f("MatMul", q, k), to=TensorProto.FLOAT)
    weight = f("CastLike", f("Softmax", score, axis=3), value)
    tokens = f("Transpose", f("MatMul", weight, v), perm=[0, 2, 1, 3])
    joined = f("Concat", same, rest, axis=0)
    nodes.append(helper.make_node("Reshape", [tokens, joined], [OUTPUT]))
    return helper.make_function(
        DOMAIN,
        NAME,
        list(INPUTS if positions else INPUTS[:3]),
        [OUTPUT],
        nodes,
        [helper.make_opsetid("", OPSET)],
        attributes=list(ATTRIBUTES),
    )


RULE = BodyRule(
    node=NODE,
    ends=lambda node: len(node.input),
    counted="inputs",
    most=len(INPUTS),
    body=cross_attention_body,
    what="a graph has cross attentions with positions and without them",
    expected=f"all of them with {len(INPUTS)} inputs, or all with {len(INPUTS) - 2}",
    do="give those without positions rows of zeros, [1, D]",
)


def add_bodies(model: onnx.ModelProto) -> int:
    """Put the body beside the CrossAttention nodes, in place; returns how many these are.

    Raises:
        ExecutorError: nodes with positions and nodes without.
    """
    return function_bodies.add_bodies(model, RULE)
