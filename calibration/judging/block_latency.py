"""The time of an engine's layers by the blocks of the judge: what INT8 saves by each of them.

Whose work is a layer? That of the convolutions that it is made of, whatever else is fused into it:

* One convolution: the block of that one has all of its time; additions and activations in the same
  kernel come along.
* Convolutions of several blocks in one kernel: each block has the share that its
  multiply-accumulates are of all in that kernel; a convolution in no block takes its share out.
* No convolution, and nothing but QuantizeLinear and DequantizeLinear: the blocks that read what it
  makes, in equal shares. That INT8 needs such a kernel is a cost of these blocks.
* A product without a name that reads what a convolution reads: a 1x1 convolution that became one.
* All else is in no block: reformats, additions, normalisation, attention, and layers that are in no
  table. INT8 changes their time too, which no block can answer for, so it is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from calibration.quantization.blocks import Block
from calibration.quantization.convolutions import Convolution, GraphView, float32_name
from edge.errors import CalibrationError

if TYPE_CHECKING:
    from onnx import ModelProto

Layer = Any  # export.engines.layer_table.Layer; only functions import of that package
EngineTimes = Any  # export.engines.layer_times.EngineTimes
QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
MOST_UNLISTED = 0.1  # of an engine's time in layers that nobody can tell: beyond, it says nothing
PARTS = re.compile(r" \+ | \|\| ")  # of the name of a fused layer
NO_BLOCK = ""


@dataclass(frozen=True, slots=True)
class GraphBlocks:
    """Whose work the nodes of one exported graph are."""

    blocks: tuple[str, ...]  # of this graph
    owners: Mapping[str, tuple[str, int]]  # convolution -> its block or NO_BLOCK, its MACs
    quantisers: Mapping[str, tuple[str, ...]]  # QuantizeLinear and the like -> blocks they serve
    readers: Mapping[str, tuple[str, ...]]  # tensor as it lies in memory -> convolutions


@dataclass(frozen=True, slots=True)
class BlockTimes:
    """One engine's time."""

    by_block_ms: Mapping[str, float]  # all blocks of the graph
    elsewhere_ms: float  # of layers in no block

    @property
    def total_ms(self) -> float:
        """Of the whole engine."""
        return sum(self.by_block_ms.values()) + self.elsewhere_ms


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
    return GraphBlocks(
        blocks=tuple(block.name for block in blocks),
        owners=owners,
        quantisers={
            node_name(node): tuple(dict.fromkeys(_served(node.output[0], view, owners)))
            for node in model.graph.node
            if node.op_type in QUANTISERS
        },
        readers=readers,
    )


def block_times(times: EngineTimes, graph: GraphBlocks) -> BlockTimes:
    """Sum an engine's layers by block.

    Args:
        times: of the engine.
        graph: that it was built from.

    Raises:
        CalibrationError: too much of the time is in layers that nobody can tell, or a block is in
            no layer at all: a sum by block would be an invention.
    """
    if times.unlisted_ms > MOST_UNLISTED * times.total_ms:
        raise _untold(
            f"at most {MOST_UNLISTED:.0%} of the time in layers that are in no table",
            f"{times.unlisted_ms / times.total_ms:.0%}: {', '.join(times.unlisted[:3])}",
        )
    named = {node for each in times.layers for node in _nodes(each.layer)}
    spent = dict.fromkeys(graph.blocks, 0.0)
    elsewhere = times.unlisted_ms
    seen: set[str] = set()
    for each in times.layers:
        shares = shares_of(each.layer, graph, named)
        seen.update(shares)
        for block, share in shares.items():
            spent[block] += share * each.ms
        elsewhere += (1 - sum(shares.values())) * each.ms
    missing = [block for block in graph.blocks if block not in seen]
    if missing:
        raise _untold("at least one layer for each block", f"none for {', '.join(missing[:3])}")
    return BlockTimes(spent, elsewhere)


def shares_of(layer: Layer, graph: GraphBlocks, named: Iterable[str] = ()) -> dict[str, float]:
    """Block -> its share of a layer's time, by the rules in this module's text.

    Args:
        layer: of an engine.
        graph: that it was built from.
        named: nodes that some layer of the engine names.
    """
    from export.engines.layer_table import CONVOLUTIONS, PRODUCTS

    nodes = _nodes(layer)
    convolutions = [node for node in nodes if node in graph.owners]
    if not convolutions and not layer.nodes and layer.kind in (*CONVOLUTIONS, *PRODUCTS):
        read = layer.inputs[0].name if layer.inputs else ""
        convolutions = [node for node in graph.readers.get(read, ()) if node not in {*named}]
    if convolutions:
        return _by_macs([graph.owners[node] for node in convolutions])
    served = [graph.quantisers.get(node) for node in layer.nodes or PARTS.split(layer.name)]
    if None in served:
        return {}
    blocks = dict.fromkeys(block for each in served for block in each or ())
    return {block: 1 / len(blocks) for block in blocks}


def _by_macs(owned: Sequence[tuple[str, int]]) -> dict[str, float]:
    total = sum(macs for _, macs in owned)
    shares: dict[str, float] = {}
    for block, macs in owned:  # where no shape is known each convolution counts alike
        if block != NO_BLOCK:
            part = macs / total if total else 1 / len(owned)
            shares[block] = shares.get(block, 0.0) + part
    return shares


def _nodes(layer: Layer) -> tuple[str, ...]:
    """Nodes of the graph that a layer may do the work of: by its metadata, and by its name."""
    return tuple(dict.fromkeys((*layer.nodes, *PARTS.split(layer.name))))


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


def _untold(expected: str, found: str) -> CalibrationError:
    return CalibrationError(
        "the engine's layers cannot be told by the blocks of the model",
        expected=expected,
        found=found,
        do="report this with the version of TensorRT",
    )
