"""Named blocks of convolutions: what a sensitivity run tries and a mixed search leaves in float16.

A block is a module of the model: weights that share a path up to its last numbered part, such as
`backbone._blocks.3` or `reference_neck.blocks.1`. Where that makes too many (a Darknet numbers
every layer), neighbours are joined until few enough are left.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from calibration.quantization.convolutions import Convolution

MOST_BLOCKS = 32  # a sensitivity run takes one judgement each


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring convolutions of one graph that are quantised or left together."""

    name: str  # "reference_encoder/backbone._blocks.3"
    graph: str
    convolutions: tuple[str, ...]  # names of weights
    macs: int


def blocks_of(graph: str, chosen: Sequence[Convolution], most: int = MOST_BLOCKS) -> list[Block]:
    """Blocks in the order of the graph.

    Args:
        graph: "reference_encoder" or "localizer".
        chosen: the convolutions that the policy allows.
        most: blocks at the most.
    """
    groups: list[list[Convolution]] = []
    for each in chosen:
        if groups and module_of(groups[-1][0].name) == module_of(each.name):
            groups[-1].append(each)
        else:
            groups.append([each])
    while len(groups) > most:
        # the two neighbours that are cheapest together: work stays evenly spread
        costs = [_macs(a) + _macs(b) for a, b in itertools.pairwise(groups)]
        at = costs.index(min(costs))
        groups[at : at + 2] = [groups[at] + groups[at + 1]]
    names: dict[str, int] = {}
    blocks = []
    for group in groups:
        first, last = module_of(group[0].name), module_of(group[-1].name)
        name = first if first == last else f"{first}..{last}"
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:  # a module that is left and entered again
            name = f"{name}#{names[name]}"
        weights = tuple(each.name for each in group)
        blocks.append(Block(f"{graph}/{name}", graph, weights, _macs(group)))
    return blocks


def module_of(weight_name: str) -> str:
    """The block that a weight belongs to, by its path in the model.

    >>> module_of("model.backbone._blocks.3._project_conv.weight")
    'backbone._blocks.3'
    >>> module_of("model.reference_embedding.weight")
    'reference_embedding'
    """
    parts = weight_name.removeprefix("model.").split(".")[:-1]  # without ".weight"
    numbered = [index for index, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[: numbered[-1] + 1] if numbered else parts)


def _macs(group: Sequence[Convolution]) -> int:
    return sum(each.macs for each in group)
