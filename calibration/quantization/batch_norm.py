"""Batch norm that was left behind a convolution: a graph with it is refused.

An export folds it: in eval mode it scales and shifts channels, which the convolution's own weights
and bias can do. Unfolded it would stay float between two INT8 convolutions, unseen: an operation
more for every map, and ranges of values that the folded layer never makes. A batch norm behind
anything else (a sum, a concatenation) is a normalisation like others, and stays float by policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from calibration.quantization.convolutions import GraphView
from edge.errors import CalibrationError

FOLD = (
    "export it with `tilefix export`, which folds batch norm, or fold it in the float graphs, e.g. "
    "by ONNX Runtime: SessionOptions with graph_optimization_level ORT_ENABLE_BASIC and "
    "optimized_model_filepath"
)


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A convolution and the batch norm behind it."""

    weights: str  # name of the convolution's
    norm: str  # "BatchNormalization bn1", or the nodes that stand for one


def unfolded_norms(model: onnx.ModelProto) -> tuple[Unfolded, ...]:
    """Every batch norm that the convolution before it could hold, in the order of the graph.

    Found as `BatchNormalization`, or as a scale and a shift by constants of one number for each
    channel. A shift alone is no batch norm: models add constants of their own.

    Args:
        model: a float graph; only names and shapes of its weights are read.
    """
    view = GraphView(model)
    found = []
    for node in view.graph.node:
        if node.op_type != "Conv" or node.input[1] not in view.constants:
            continue
        channels = view.constants[node.input[1]].dims[0]
        for reader in view.readers.get(node.output[0], []):
            if reader.op_type == "BatchNormalization" and reader.input[0] == node.output[0]:
                found.append(Unfolded(node.input[1], f"{reader.op_type} {reader.name}".strip()))
            elif _by_channel(view, reader, ("Mul", "Div"), channels):
                shifts = view.readers.get(reader.output[0], [])
                if any(_by_channel(view, each, ("Add", "Sub"), channels) for each in shifts):
                    words = f"{reader.op_type} and a shift, by constants of {channels} channels"
                    found.append(Unfolded(node.input[1], words))
    return tuple(found)


def check_folded(model: onnx.ModelProto, graph: str) -> None:
    """Refuse a graph with a batch norm that was not folded.

    Args:
        model: a float graph.
        graph: its name, for people.

    Raises:
        CalibrationError: there is one; the first are named.
    """
    found = unfolded_norms(model)
    if found:
        shown = "; ".join(f"{each.norm} behind {each.weights}" for each in found[:3])
        raise CalibrationError(
            f"{graph} has batch norm that was not folded into its convolutions",
            expected="convolutions that scale and shift their channels themselves",
            found=f"{len(found)}: {shown}",
            do=FOLD,
        )


def _by_channel(
    view: GraphView, node: onnx.NodeProto, kinds: tuple[str, ...], channels: int
) -> bool:
    """Whether it is one of these operations with a constant [.., channels, 1, 1]."""
    if node.op_type not in kinds:
        return False
    constants = [view.constants[name].dims for name in node.input if name in view.constants]
    return channels > 1 and any(
        len(dims) >= 3 and dims[-3] == channels and not any(size > 1 for size in dims[-2:])
        for dims in constants
    )
