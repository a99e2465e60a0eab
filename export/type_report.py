"""Which types the heavy operators of a graph run in, counted from its file.

TensorRT runs them as the file says, so this is known before an engine is built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto

from edge.errors import ExecutorError
from export.graph_types import HEAVY, HEAVY_SHARE, element_types
from export.plugin.tile_attention_onnx import DOMAIN

NAMES = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}


@dataclass(frozen=True, slots=True)
class TypeReport:
    """Counts of one graph."""

    path: Path
    heavy: Mapping[tuple[str, str], int]  # (operator, type) -> nodes
    casts: Mapping[tuple[str, str], int]  # (from, to) between floats -> nodes
    custom_nodes: int

    @property
    def half_share(self) -> float:
        """Share of heavy operators in float16; 1 where there are none."""
        half = sum(count for (_, kind), count in self.heavy.items() if kind == "float16")
        return half / max(1, sum(self.heavy.values())) if self.heavy else 1.0

    def check(self) -> None:
        """Hold the graph to the policy.

        Raises:
            ExecutorError: fewer heavy operators in float16 than `HEAVY_SHARE`.
        """
        if self.half_share < HEAVY_SHARE:
            raise ExecutorError(
                f"the graph {self.path} is not the float16 graph that it shall be",
                expected=f"{HEAVY_SHARE:.0%} of {', '.join(HEAVY)} in float16",
                found=f"{self.half_share:.0%}: {self}",
                do="export it again with --precision fp16, or see export.precision.POLICY",
            )

    def __str__(self) -> str:
        heavy = ", ".join(f"{n} {op} {kind}" for (op, kind), n in sorted(self.heavy.items()))
        casts = ", ".join(f"{n} from {a} to {b}" for (a, b), n in sorted(self.casts.items()))
        custom = f"{self.custom_nodes} custom"
        return "; ".join(part for part in (heavy, custom, f"casts: {casts or 'none'}") if part)


def report_types(path: Path) -> TypeReport:
    """Count the operators of a file by type."""
    model = onnx.load(path)
    types = element_types(model)
    heavy: Counter[tuple[str, str]] = Counter()
    casts: Counter[tuple[str, str]] = Counter()
    for node in model.graph.node:
        if node.op_type in HEAVY:
            heavy[node.op_type, _name(types, node.input[0])] += 1
        elif node.op_type == "Cast":
            turn = types.get(node.input[0]), types.get(node.output[0])
            if set(turn) <= NAMES.keys():
                casts[NAMES[turn[0]], NAMES[turn[1]]] += 1
    custom = sum(node.domain == DOMAIN for node in model.graph.node)
    return TypeReport(path, heavy, casts, custom)


def _name(types: dict[str, int], value: str) -> str:
    kind = types.get(value, TensorProto.UNDEFINED)
    return NAMES.get(kind, TensorProto.DataType.Name(kind).lower())
