"""Whose work the nodes of an exported graph are: a block's convolutions and what goes with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.quantization.blocks import Block
from calibration.quantization.convolutions import Convolution, GraphView, float32_name

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
FOLLOWERS = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "Mul", "HardSwish", "Add")
NO_BLOCK = ""


@dataclass(frozen=True, slots=True)
class GraphBlocks:
    """Whose work the nodes of one exported graph are."""

    blocks: tuple[str, ...]  # of this graph
    owners: Mapping[str, tuple[str, int]]  # convolution -> its block or NO_BLOCK, its MACs
    others: Mapping[str, tuple[str, ...]]  # node around convolutions -> blocks that it works for
    constant: frozenset[str]  # nodes on weights alone: done when the engine was built
    readers: Mapping[str, tuple[str, ...]]  # tensor as it lies in memory -> convolutions


def graph_blocks(
    model: ModelProto, blocks: Sequence[Block], known: Iterable[Convolution]
) -> GraphBlocks:
    """Find out whose work the nodes of a graph are.

    Args:
        model: a float graph, or one with Q/DQ around its convolutions, of the same names.
        blocks: of this graph alone: the other one may have weights of the same names.
        known: the graph's convolutions, in a block or not, with their multiply-accumulates.
    """
    from export.engines.graph_facts import node_name

    block_of = {name: block.name for block in blocks for name in block.convolutions}
    macs = {each.name: each.macs for each in known}
    view = GraphView(model)
    weights = {
        node_name(node): _weights(node.input[1], view)
        for node in model.graph.node
        if node.op_type == "Conv"
    }
    owners = {node: (block_of.get(w, NO_BLOCK), macs.get(w, 0)) for node, w in weights.items()}
    readers: dict[str, tuple[str, ...]] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            stored = _before_dequantising(node.input[0], view)
            readers[stored] = (*readers.get(stored, ()), node_name(node))
    others: dict[str, tuple[str, ...]] = {}
    for node in model.graph.node:
        if node.op_type in QUANTISERS:
            others[node_name(node)] = tuple(dict.fromkeys(_served(node.output[0], view, owners)))
        elif node.op_type in FOLLOWERS:
            others[node_name(node)] = tuple(dict.fromkeys(_followed(node, view, owners)))
    return GraphBlocks(
        blocks=tuple(block.name for block in blocks),
        owners=owners,
        others=others,
        constant=frozenset(
            node_name(node)
            for node in model.graph.node
            if node.op_type in QUANTISERS and node.input[0] in view.constants
        ),
        readers=readers,
    )


def _weights(name: str, view: GraphView) -> str:
    """The float32 name of a convolution's weights, which may be quantised."""
    maker = view.makers.get(name)
    if maker is not None and maker.op_type == "DequantizeLinear":
        name = maker.input[0].removesuffix(".quantized")
    return float32_name(name)


def _before_dequantising(name: str, view: GraphView) -> str:
    maker = view.makers.get(name)
    return maker.input[0] if maker is not None and maker.op_type == "DequantizeLinear" else name


def _served(name: str, view: GraphView, owners: Mapping[str, tuple[str, int]]) -> Iterable[str]:
    """The blocks of the convolutions that read a value, at once or dequantised."""
    from export.engines.graph_facts import node_name

    for reader in view.readers.get(name, []):
        if reader.op_type == "Conv":
            if (block := owners[node_name(reader)][0]) != NO_BLOCK:
                yield block
        elif reader.op_type == "DequantizeLinear":
            yield from _served(reader.output[0], view, owners)


def _followed(
    node: NodeProto, view: GraphView, owners: Mapping[str, tuple[str, int]], steps: int = 3
) -> Iterable[str]:
    """The blocks of the convolutions whose result a node takes up, at once or after another one.

    An addition is part of the branch that ends in it, not of the one that went past.
    """
    from export.engines.graph_facts import node_name

    makers = [view.makers[name] for name in node.input if name in view.makers]
    direct = [owners[node_name(maker)][0] for maker in makers if maker.op_type == "Conv"]
    yield from (block for block in direct if block != NO_BLOCK)
    if direct or not steps:
        return
    for maker in makers:
        past = node.op_type == "Add" and maker.op_type == "Add"
        if maker.op_type in FOLLOWERS and not past:
            yield from _followed(maker, view, owners, steps - 1)
