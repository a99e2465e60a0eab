"""The time of an engine's layers by the blocks of the judge: what INT8 saves by each of them.

Whose work is a layer?

* It convolves: the block of its convolution has all of its time, additions and activations in the
  same kernel come along. Convolutions of several blocks share it as their multiply-accumulates are;
  one in no block takes its share out. A product without a name that reads what a convolution reads
  is a 1x1 convolution that became one, if no other kernel convolves for it.
* It does not, but does the work of nodes around convolutions: in INT8 sums are scaled, activated
  and quantised for the next convolution in kernels of their own. Its nodes count alike: those of a
  convolution, and of the activation or addition right after it, for its block; QuantizeLinear and
  DequantizeLinear for the blocks that read what they make; any other node for none.
* All else is in no block: reformats, normalisation, attention, layers that are in no table. INT8
  changes their time too, which no block can answer for, so it is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibration.judging.graph_blocks import NO_BLOCK, GraphBlocks
from edge.errors import CalibrationError

Layer = Any  # export.engines.layer_table.Layer; only functions import of that package
EngineTimes = Any  # export.engines.layer_times.EngineTimes
MOST_UNLISTED = 0.1  # of an engine's time in layers that nobody can tell: beyond, it says nothing
PARTS = re.compile(r" \+ | \|\| ")  # of the name of a fused layer


@dataclass(frozen=True, slots=True)
class BlockTimes:
    """One engine's time."""

    by_block_ms: Mapping[str, float]  # all blocks of the graph
    elsewhere_ms: float  # of layers in no block

    @property
    def total_ms(self) -> float:
        """Of the whole engine."""
        return sum(self.by_block_ms.values()) + self.elsewhere_ms


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
    done = convolved((each.layer for each in times.layers), graph)
    spent = dict.fromkeys(graph.blocks, 0.0)
    elsewhere = times.unlisted_ms
    seen: set[str] = set()
    for each in times.layers:
        shares = shares_of(each.layer, graph, done)
        seen.update(shares)
        for block, share in shares.items():
            spent[block] += share * each.ms
        elsewhere += (1 - sum(shares.values())) * each.ms
    missing = [block for block in graph.blocks if block not in seen]
    if missing:
        raise _untold("at least one layer for each block", f"none for {', '.join(missing[:3])}")
    return BlockTimes(spent, elsewhere)


def convolved(layers: Iterable[Layer], graph: GraphBlocks) -> frozenset[str]:
    """The convolutions of a graph that layers of its engine do by their names, and do nothing else.

    Kernels that scale around a convolution name it as well, and do not count.
    """
    heavy = {node for each in layers if _heavy(each) for node in _nodes(each)}
    return frozenset(heavy & {*graph.owners})


def shares_of(layer: Layer, graph: GraphBlocks, done: Collection[str]) -> dict[str, float]:
    """Block -> its share of a layer's time, by the rules in this module's text.

    Args:
        layer: of an engine.
        graph: that it was built from.
        done: what is `convolved` by the engine's layers.
    """
    convolutions = [node for node in _nodes(layer) if node in graph.owners]
    if _heavy(layer):
        if not convolutions and not layer.nodes and layer.inputs:
            read = graph.readers.get(layer.inputs[0].name, ())
            convolutions = [node for node in read if node not in done]
    else:  # it convolves all the same where nothing else does: a region that was not taken apart
        convolutions = [node for node in convolutions if node not in done]
    if convolutions:
        return _by_macs([graph.owners[node] for node in convolutions])
    return {} if _heavy(layer) else _by_nodes(layer, graph)


def _by_nodes(layer: Layer, graph: GraphBlocks) -> dict[str, float]:
    nodes = [n for n in layer.nodes or PARTS.split(layer.name) if n not in graph.constant]
    shares: dict[str, float] = {}
    for node in nodes:
        owner = graph.owners.get(node, (NO_BLOCK, 0))[0]
        blocks = (owner,) if owner != NO_BLOCK else graph.others.get(node, ())
        for block in blocks:
            shares[block] = shares.get(block, 0.0) + 1 / (len(nodes) * len(blocks))
    return shares


def _by_macs(owned: Sequence[tuple[str, int]]) -> dict[str, float]:
    total = sum(macs for _, macs in owned)
    shares: dict[str, float] = {}
    for block, macs in owned:  # where no shape is known each convolution counts alike
        if block != NO_BLOCK:
            part = macs / total if total else 1 / len(owned)
            shares[block] = shares.get(block, 0.0) + part
    return shares


def _heavy(layer: Layer) -> bool:
    from export.engines.layer_table import CONVOLUTIONS, PRODUCTS

    return layer.kind in (*CONVOLUTIONS, *PRODUCTS)


def _nodes(layer: Layer) -> tuple[str, ...]:
    """Nodes of the graph that a layer may do the work of: by its metadata, and by its name."""
    return tuple(dict.fromkeys((*layer.nodes, *PARTS.split(layer.name))))


def _untold(expected: str, found: str) -> CalibrationError:
    return CalibrationError(
        "the engine's layers cannot be told by the blocks of the model",
        expected=expected,
        found=found,
        do="report this with the version of TensorRT",
    )
