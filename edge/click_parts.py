"""A frame with more clicks than an executor takes at once is run in parts, one after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edge.executors.base import Executor, TensorSpec
from edge.types import Array


def run_in_parts(
    executor: Executor, inputs: Mapping[str, Array], outputs: Sequence[str]
) -> dict[str, Array]:
    """Run an executor as often as its `click_limit` asks for, and join the answers.

    Args:
        executor: with the feature bound.
        inputs: of the localizer; those with one row for each click are cut.
        outputs: names of answers with one row for each click.

    Raises:
        ClickError, ExecutorError: see `Executor.run`.
    """
    limit = executor.click_limit
    per_click = per_click_names(executor.inputs)
    count = max((len(value) for name, value in inputs.items() if name in per_click), default=0)
    if limit is None or count <= limit:
        return executor.run(inputs, outputs)
    return _joined(
        executor.run(_rows_of(executor.inputs, inputs, slice(start, start + limit)), outputs)
        for start in range(0, count, limit)
    )


def per_click_names(specs: Sequence[TensorSpec]) -> set[str]:
    """Those with one row for each click, the one size of a localizer that its graph leaves open."""
    return {spec.name for spec in specs if any(isinstance(size, str) for size in spec.shape)}


def _rows_of(
    specs: Sequence[TensorSpec], inputs: Mapping[str, Array], rows: slice
) -> dict[str, Array]:
    """Some of the clicks: inputs with one row for each click are cut, the others stay."""
    per_click = per_click_names(specs)
    return {name: each[rows] if name in per_click else each for name, each in inputs.items()}


def _joined(parts: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """Answers for some clicks after those for others, as one."""
    listed = list(parts)
    return {name: np.concatenate([part[name] for part in listed]) for name in listed[0]}
