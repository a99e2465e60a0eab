"""Which convolutions run in INT8, and why the others do not: the policy, as data.

Only convolutions with constant weights are ever quantised: they are nearly all of the work of the
backbones. All else keeps the type that the float graph gives it, by the policy of `export`:
normalisation, similarity, min-max, softmax, LayerNorm and GRN, residual additions, heads, decode,
and products, of attention or of a map that is a `Linear` layer, as ConvNeXt's pointwise ones are in
AttenGeo's encoder. Models that are mostly such (AttenGeo, TROGeo) therefore stay mostly float16,
and a report says so by the share of multiply-accumulates that INT8 reaches.

Scales are symmetric: TensorRT refuses zero points. Activations have one scale per tensor, weights
one per output channel. A value that several layers read is quantised once, so that a residual's
two readers, and the parts of a concatenation, share one scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import onnx

from calibration.quantization.convolutions import Convolution, GraphView, convolutions, float32_name
from edge.types import Array

# What enters the localizer beside the frame: tensors of the window, and the prior.
FRAME_INPUTS = ("image", "frame", "frame_affine", "click_xy_px")
FEWEST_WEIGHTS = 64  # a map of one channel in a gate: nothing to win, much to lose


class Reason(str, Enum):
    """Why a convolution stays as it is."""

    HEAD = "after the two views meet: similarity, gates, heads and decode stay float16"
    SMALL = f"fewer than {FEWEST_WEIGHTS} weights: its time is not in the products"
    CONSTANT = "its weights are zero: nothing to quantise"


@dataclass(frozen=True, slots=True)
class Sorted:
    """The convolutions of a graph, sorted by the policy."""

    eligible: tuple[Convolution, ...]
    refused: tuple[tuple[Convolution, Reason], ...]
    other_macs: int = 0  # of all else that multiplies matrices, see `other_macs`

    @property
    def int8_share_of_macs(self) -> float:
        """Share of all multiply-accumulates that the eligible ones are; 1 where none are known."""
        eligible = sum(each.macs for each in self.eligible)
        total = eligible + sum(each.macs for each, _ in self.refused) + self.other_macs
        return eligible / total if total else 1.0


def sort_convolutions(model: onnx.ModelProto) -> Sorted:
    """Sort the convolutions of a float graph by the policy.

    Args:
        model: an exported graph, either of the two, float32 or float16.

    Raises:
        CalibrationError: the graph is quantised already.
    """
    view = GraphView(model)
    met = view.downstream_of(
        value.name for value in view.graph.input if value.name not in FRAME_INPUTS
    )
    met = {float32_name(name) for name in met}
    arrays = {float32_name(name): name for name in view.constants}
    eligible, refused = [], []
    for each in convolutions(model):
        reason = _reason(each, met, view.array(arrays[each.name]))
        if reason is None:
            eligible.append(each)
        else:
            refused.append((each, reason))
    return Sorted(tuple(eligible), tuple(refused), other_macs(model))


def tensors_to_observe(chosen: Sequence[Convolution]) -> tuple[str, ...]:
    """Float32 names of all values whose ranges the two forms need, each once."""
    names = [name for each in chosen for name in (each.source, each.output, each.result)]
    return tuple(dict.fromkeys(names))


def other_macs(model: onnx.ModelProto) -> int:
    """Multiply-accumulates of MatMul, Gemm and convolutions by weights that are made in the graph.

    Those whose shapes are not known count as none.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    sizes = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*inferred.value_info, *inferred.output, *inferred.input)
    } | {t.name: list(t.dims) for t in inferred.initializer}
    constants = {tensor.name for tensor in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1] not in constants:
            made, weights = sizes.get(node.output[0], []), sizes.get(node.input[1], [])
            if len(made) > 2 and weights:
                total += math.prod(max(1, n) for n in (made[0], *made[2:], *weights))
        if node.op_type not in ("MatMul", "Gemm"):
            continue
        made, read = sizes.get(node.output[0]), sizes.get(node.input[0])
        if made and read:
            inner = read[-1]
            if node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute):
                inner = read[0]
            count = 1
            for size in made:
                count *= max(1, size)
            total += count * max(1, inner)
    return total


def _reason(each: Convolution, met: set[str], weights: Array) -> Reason | None:
    if each.source in met:
        return Reason.HEAD
    if weights.size < FEWEST_WEIGHTS:
        return Reason.SMALL
    return None if weights.any() else Reason.CONSTANT
