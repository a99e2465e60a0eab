"""Layers of engines timed by hand, for what blocks save on a device that is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.engine_manifest import read_engine
from edge.errors import ExecutorError
from export.engines.layer_table import layers_of_profile
from export.engines.layer_times import EngineTimes, LayerTime


class HandMade:
    """A timer that says of each layer of an engine what a function says of its name and type."""

    def __init__(self, told: Callable[[str, str], float]) -> None:
        self.told = told
        self.jobs: list[Any] = []

    def __call__(self, job, folder) -> tuple[EngineTimes, ...]:
        self.jobs.append(job)
        return tuple(self.times(Path(each)) for each in job.engines)

    def times(self, engine: Path) -> EngineTimes:
        precision = read_engine(engine).key.precision
        rows = json.loads((engine / "engine.plan").read_bytes())["layers"]
        layers = layers_of_profile(json.dumps({"Layers": rows}), 0)
        return EngineTimes(tuple(LayerTime(x, self.told(x.nodes[0], precision)) for x in layers))


def by_number(node: str, precision: str) -> float:
    """Convolution n of a graph takes n ms, in INT8 half of it, or a quarter more from 7 on."""
    if node.startswith("node_conv_"):
        number = float(node.removeprefix("node_conv_"))
        return number * (1.0 if precision == "fp16" else 0.5 if number < 7 else 1.25)
    return 0.125 if node.startswith(("QuantizeLinear", "node_cast")) else 0.0


def failing(job, folder):
    """A timer on a device that is gone."""
    raise ExecutorError("the device is gone", expected="it", found="status 700", do="restart")
