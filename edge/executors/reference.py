"""The meaning of the localizer in plain numpy: what every other executor is compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from edge.bundle import LOCALIZER, Bundle
from edge.decoding import Head, decode
from edge.executors.base import Executor, TensorSpec
from edge.executors.host_threads import ALONE, HostThreads
from edge.executors.int8_features import merged
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.executors.run_clock import RunClock
from edge.feature_quantization import dequantized
from edge.types import Array


class ReferenceExecutor:
    """The localizer with fusion, head and decoding in numpy, for checking and not for flying.

    Not all of it is independent: the query vector comes from the bundle's own localizer graph, run
    in ONNX Runtime, since the backbone has no meaning beside its graph. For the same reason the
    reference encoder, opened with this executor, is the ONNX Runtime one.
    """

    name = "reference"
    click_limit: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(self, graph: OnnxRuntimeExecutor, head: Head) -> None:
        self._graph = graph
        self._head = head
        self._bound: dict[str, Array] = {}
        self.precision = graph.precision
        self.clock = RunClock()
        self.inputs: tuple[TensorSpec, ...] = graph.inputs
        self.outputs: tuple[TensorSpec, ...] = graph.outputs

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        kind: str,
        precision: str,
        threads: int,
        host: HostThreads = ALONE,
    ) -> Executor:
        """Load the graph and, for the localizer, its `head.npz` (see `open_executor`)."""
        whole = replace(host, apart=False)
        graph = OnnxRuntimeExecutor(bundle.graph(kind, precision), precision, threads, whole)
        if kind != LOCALIZER:
            return graph
        return cls(graph, Head.load(bundle.file(f"graphs/{precision}/head.npz")))

    def bind(self, tensors: Mapping[str, Array]) -> None:
        """Hold these inputs for all following runs (see `Executor.bind`)."""
        self._graph.bind(tensors)
        self._bound = dequantized(tensors)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run once with the bound tensors and `inputs` (see `Executor.run`)."""
        start_ns = time.perf_counter_ns()
        query = self._graph.run(inputs, ["query_vector"])["query_vector"]
        given = dequantized(merged(self._bound, inputs))
        wide = [given[name].astype(np.float64) for name in ("v", "u", *_PRIOR)]
        found = decode(self._head, query.astype(np.float64), *wide)
        results: dict[str, Array] = {
            name: value.astype(np.float32) for name, value in found.items()
        }
        results["query_vector"] = query
        self.clock.add_host(time.perf_counter_ns() - start_ns)
        names = [spec.name for spec in self.outputs] if outputs is None else outputs
        return {name: results[name] for name in names}


_PRIOR = ("prior_xy_px", "prior_inv_var")
