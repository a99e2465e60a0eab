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
FOLD_BEFORE_CAST = (
    f"{FOLD}; nothing is folded across a Cast, so do it in float32, before types are changed"
)
FOLD_SHARED = (
    "change the model: folding would change what the other reader gets, so no tool does it: give "
    "the batch norm a copy of the convolution, with weights of its own, and export again with "
    "`tilefix export`"
)
_PASSES = ("Cast", "Identity")  # numbers go through unchanged


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A convolution and the batch norm behind it."""

    weights: str  # name of the convolution's
    norm: str  # "BatchNormalization bn1", or the nodes that stand for one
    cast: bool = False  # whether types change between the two
    other_reader: str = ""  # of what the convolution makes, unscaled; "": there is none

    def __str__(self) -> str:
        """For people."""
        words = f"{self.norm} behind {self.weights}"
        if self.cast:
            words += " and a Cast"
        return f"{words}, which {self.other_reader} reads too" if self.other_reader else words

    @property
    def advice(self) -> str:
        """What helps."""
        if self.other_reader:
            return FOLD_SHARED
        return FOLD_BEFORE_CAST if self.cast else FOLD


def unfolded_norms(model: onnx.ModelProto) -> tuple[Unfolded, ...]:
    """Every batch norm that the convolution before it could hold, in the order of the graph.

    Found as `BatchNormalization`, or as a scale and a shift by constants of one number for each
    channel, also where types change before it. A shift alone is no batch norm: models add constants
    of their own.

    Args:
        model: a float graph; only names and shapes of its weights are read.
    """
    view = GraphView(model)
    found = []
    for node in view.graph.node:
        if node.op_type != "Conv" or node.input[1] not in view.constants:
            continue
        channels = view.constants[node.input[1]].dims[0]
        reached, cast = _passed_on(view, node.output[0])
        readers = [reader for name in reached for reader in view.readers.get(name, [])]
        ends = [each for each in readers if each.op_type not in _PASSES]
        told = [f"{each.op_type} {each.name}".strip() for each in ends]
        told += [f"the output {name}" for name in reached if name in view.outputs]
        for at, reader in enumerate(ends):
            norm = ""
            if reader.op_type == "BatchNormalization" and reader.input[0] in reached:
                norm = told[at]
            elif _by_channel(view, reader, ("Mul", "Div"), channels):
                shifts = view.readers.get(reader.output[0], [])
                if any(_by_channel(view, each, ("Add", "Sub"), channels) for each in shifts):
                    norm = f"{reader.op_type} and a shift, by constants of {channels} channels"
            if norm:
                others = [*told[:at], *told[at + 1 :]]
                found.append(Unfolded(node.input[1], norm, cast, others[0] if others else ""))
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
        shown = "; ".join(map(str, found[:3]))
        raise CalibrationError(
            f"{graph} has batch norm that was not folded into its convolutions",
            expected="convolutions that scale and shift their channels themselves",
            found=f"{len(found)}: {shown}",
            do="; ".join(dict.fromkeys(each.advice for each in found)),
        )


def _passed_on(view: GraphView, name: str) -> tuple[list[str], bool]:
    """This value and what casts and copies make of it; whether there is a cast among them."""
    reached, cast = [name], False
    for value in reached:  # grows meanwhile
        for reader in view.readers.get(value, []):
            if reader.op_type in _PASSES:
                reached.append(reader.output[0])
                cast = cast or reader.op_type == "Cast"
    return reached, cast


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
