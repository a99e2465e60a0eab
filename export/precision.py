"""What of a float16 graph stays float32, and why: the policy, as data.

TensorRT builds strongly typed: a layer runs in the type that the file gives it. So the types are
decided here, once, and `typed_graph` writes them. Rules are tried in order, the first that fits
decides. A node that follows runs in float16 where all that it reads is float16, and in float32 as
soon as one float32 value joins; constants join nothing and take its type.

Inside TileAttention nothing is converted: query, v and u are float16, all the rest float32, and it
sums in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import onnx

from edge.errors import ExecutorError
from export.graph_signature import PRIOR
from export.graph_types import HEAVY
from export.node_places import Place

GEOMETRY_INPUTS = ("frame_affine", "click_xy_px", *PRIOR)


class Kept(str, Enum):
    """The type that a node runs in."""

    HALF = "float16"
    SINGLE = "float32"
    FOLLOW = "follows its inputs"
    AS_IS = "as exported"


@dataclass(frozen=True, slots=True)
class Rule:
    """Nodes, their type, and the reason."""

    name: str
    ops: tuple[str, ...]
    kept: Kept
    reason: str
    place: Place = Place.ANYWHERE


POLICY = (
    Rule(
        "tile attention",
        ("TileAttention",),
        Kept.AS_IS,
        "its operands' types are its contract: v and u go in as they are stored, without a cast",
    ),
    Rule(
        "cross attention",
        ("CrossAttention",),
        Kept.HALF,
        "tokens in float16 as every product; softmax and sums are float32 inside the kernel",
    ),
    Rule(
        "click and prior geometry",
        HEAVY,
        Kept.SINGLE,
        "pixels of a frame reach thousands, where float16 counts in whole pixels or worse; squared "
        "distances, as DetGeo's click map has them, pass its largest number of 65504",
        Place.GEOMETRY,
    ),
    Rule(
        "cosine before min-max",
        ("MatMul",),
        Kept.SINGLE,
        "min-max divides by the range of a map, often 0.1: float16's step of 0.0005 would be seen",
        Place.BEFORE_EXTREMES,
    ),
    Rule(
        "products with weights or of attention",
        HEAVY,
        Kept.HALF,
        "nearly all of the work; tensor cores multiply float16 and sum in float32",
    ),
    Rule(
        "squares",
        ("Mul",),
        Kept.SINGLE,
        "a value above 255 squared is no float16, and one below 0.0002 squared is zero",
        Place.SQUARE,
    ),
    Rule(
        "sums and norms",
        (
            "ReduceSum",
            "ReduceMean",
            "ReduceL2",
            "ReduceProd",
            "GlobalAveragePool",
            "AveragePool",
            "Pow",
            "Sqrt",
            "Reciprocal",
        ),
        Kept.SINGLE,
        "L2 normalisation, GRN's statistics and spatial means: thousands of addends",
    ),
    Rule(
        "group norm",
        ("InstanceNormalization", "GroupNormalization"),
        Kept.SINGLE,
        "statistics over a whole map; the operator cannot state another type for them",
    ),
    Rule(
        "extremes",
        ("ReduceMax", "ReduceMin", "ArgMax", "TopK"),
        Kept.SINGLE,
        "peaks, min-max and the winning cell: what is computed from them stays exact",
    ),
    Rule(
        "layer norm",
        ("LayerNormalization",),
        Kept.FOLLOW,
        "its attribute stash_type keeps the statistics in float32, without casts around it",
    ),
    Rule(
        "softmax",
        ("Softmax",),
        Kept.FOLLOW,
        "runtimes sum it in float32 inside: ONNX Runtime by a cast of its own, which a test holds, "
        "TensorRT by its documents; casts in the file could keep attention from being fused",
    ),
    Rule(
        "sigmoids",
        ("Sigmoid",),
        Kept.SINGLE,
        "the place of a box within its cell, and gates; a layer of its own it is not",
    ),
    Rule(
        "exponentials",
        ("Exp", "Log", "Sin", "Cos"),
        Kept.SINGLE,
        "box sides and Gaussians of clicks: exp(11.1) is the last that float16 holds",
    ),
    Rule(
        "movement",
        (
            "Concat",
            "Expand",
            "Flatten",
            "Gather",
            "GatherElements",
            "GatherND",
            "Identity",
            "Pad",
            "Reshape",
            "Resize",
            "ScatterND",
            "Shape",
            "Slice",
            "SpaceToDepth",
            "DepthToSpace",
            "Split",
            "Squeeze",
            "Tile",
            "Transpose",
            "Unsqueeze",
            "Where",
        ),
        Kept.FOLLOW,
        "values pass unchanged",
    ),
    Rule(
        "pointwise",
        (
            "Abs",
            "Add",
            "BatchNormalization",
            "Clip",
            "Div",
            "Equal",
            "Erf",
            "Floor",
            "Gelu",
            "Greater",
            "GreaterOrEqual",
            "LeakyRelu",
            "Less",
            "LessOrEqual",
            "Max",
            "MaxPool",
            "Min",
            "Mod",
            "Mul",
            "Neg",
            "Relu",
            "Sign",
            "Sub",
            "Tanh",
        ),
        Kept.FOLLOW,
        "residual sums, activations and gates of features are float16; the scaling of images from "
        "0..255, masks of clicks and the decoding of boxes begin in float32 and so stay in it",
    ),
)


def rule_of(node: onnx.NodeProto, places: frozenset[Place]) -> Rule:
    """The first rule that fits a node.

    Args:
        node: of the exported float32 graph.
        places: where it is.

    Raises:
        ExecutorError: an operator that no rule names.
    """
    for rule in POLICY:
        if node.op_type in rule.ops and rule.place in places:
            return rule
    raise ExecutorError(
        f"no rule says which type {node.op_type} runs in",
        expected="an operator that export.precision.POLICY names",
        found=f"{node.op_type} ({node.name})",
        do="add it to the policy with its reason, or change the model",
    )
