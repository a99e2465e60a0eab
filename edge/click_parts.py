"""A frame with more clicks than an executor takes at once is run in parts, one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edge.executors.base import CLICK_COUNT, Executor
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
    per_click = {spec.name for spec in executor.inputs if CLICK_COUNT in spec.shape}
    count = max((len(value) for name, value in inputs.items() if name in per_click), default=0)
    limit = executor.click_limit
    if limit is None or count <= limit:
        return executor.run(inputs, outputs)
    parts = [
        executor.run(
            {k: v[start : start + limit] if k in per_click else v for k, v in inputs.items()},
            outputs,
        )
        for start in range(0, count, limit)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}
