"""ONNX Runtime on the CPU: the default executor, on every machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import LOCALIZER, Bundle
from edge.errors import ExecutorError
from edge.executors.base import Executor, TensorSpec, check_tensors
from edge.executors.begun_run import BegunRun
from edge.executors.host_threads import ALONE, HostThreads
from edge.executors.int8_features import FloatFeatures, merged
from edge.executors.run_clock import RunClock
from edge.feature_quantization import dequantized
from edge.machine import dot_flag
from edge.types import Array

PROVIDER = "CPUExecutionProvider"
SPINNING = "session.intra_op.allow_spinning"
AFFINITIES = "session.intra_op_thread_affinities"  # one group for each thread, counted from 1
# Between two operators a thread that waits in circles is the quickest. After the last one it would
# go on for 50 ms and more, on a core that another graph needs: on two cores three graphs of a
# localizer, each with threads of its own, took 95 ms for a frame where they take 50.
STOP_SPINNING = "session.force_spinning_stop"
# On x86-64 without VNNI its products of uint8 with int8 saturate in int16 unless it is told to be
# exact: a bundle would answer differently on two machines. With VNNI they are exact as they are,
# and being told so would take 2.1 to 2.5 times as long
# (`benchmarks/records/int8/speed.json`).
EXACT_PRODUCTS = "session.x64quantprecision"
OLD_PARTS = (
    "the localizer of {} runs whole, which is slower: its parts are of an older version of tilefix "
    "(export or calibrate it again)"
)
SETTLED_S = 0.005  # for a thread to leave what it was called with
# A graph that is quantised for TensorRT shall be computed as TensorRT does, in float between its
# Q/DQ: fused, ONNX Runtime 1.32 gets float16 graphs with Q/DQ wrong.
UNFUSED = "session.disable_quant_qdq"
_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxRuntimeExecutor:
    """One ONNX graph in one session, made once, on the CPU provider and no other.

    On the CPU a bound tensor is simply held: ONNX Runtime reads C-contiguous numpy memory where it
    lies, memory-mapped or not, so a run copies no feature. A bound tensor that is not C-contiguous
    is copied once, when it is bound; a feature in int8 is multiplied then, and not again while it
    is one of the last few.
    """

    name = "onnxruntime"
    click_limit: int | None = None
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        graph: Path,
        precision: str,
        threads: int = 2,
        host: HostThreads = ALONE,
    ) -> None:
        """Open a graph; with `host.apart` it has `threads` of them beside the one that asks."""
        try:
            import onnxruntime
            from onnxruntime.capi import onnxruntime_pybind11_state as state
        except ImportError as error:
            raise ExecutorError(
                "the executor onnxruntime is not available",
                expected="the library onnxruntime",
                found=str(error),
                do="pip install onnxruntime",
            ) from error
        self.precision = precision
        self.clock = RunClock()
        self._graph = graph
        # Its exceptions share no base class of their own; ValueError is its Python half's.
        self._failures: tuple[type[Exception], ...] = (
            ValueError,
            *(k for k in vars(state).values() if isinstance(k, type) and issubclass(k, Exception)),
        )
        options = onnxruntime.SessionOptions()
        workers = threads if host.apart else threads - 1  # the thread that asks is one of them
        options.intra_op_num_threads = workers + 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors are raised; warnings about folding help nobody here
        stopped = (STOP_SPINNING, "1") if host.spinning else (SPINNING, "0")
        options.add_session_config_entry(*stopped)
        if host.cores and workers:
            own = [str(host.cores[k % len(host.cores)] + 1) for k in range(workers)]
            options.add_session_config_entry(AFFINITIES, ";".join(own))
        for key in int8_settings(precision, dot_flag()):
            options.add_session_config_entry(key, "1")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(graph), options, providers=[PROVIDER]
            )
        except self._failures as error:
            raise ExecutorError(
                f"ONNX Runtime {onnxruntime.__version__} refuses the graph {graph}",
                expected="an ONNX graph that this version can run",
                found=str(error),
                do="export the bundle again, or install a newer onnxruntime",
            ) from error
        if self._session.get_providers() != [PROVIDER]:
            raise ExecutorError(
                "ONNX Runtime chose another provider than it was told",
                expected=PROVIDER,
                found=", ".join(self._session.get_providers()),
                do="install the plain package onnxruntime, and report this",
            )
        self.inputs = tuple(map(_spec, self._session.get_inputs()))
        self.outputs = tuple(map(_spec, self._session.get_outputs()))
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._floats = FloatFeatures()
        self._bound: dict[str, Array] = {}  # as the graph takes it
        self._running: list[BegunRun] = []

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        kind: str,
        precision: str,
        threads: int,
        host: HostThreads = ALONE,
    ) -> Executor:
        """Load the graph `kind` of a bundle, cut in parts where it is (see `open_executor`)."""
        if kind == LOCALIZER and bundle.in_parts(precision):
            from edge.executors.localizer_parts import LocalizerInParts

            return LocalizerInParts.open(bundle, kind, precision, threads, host)
        whole = cls(bundle.graph(kind, precision), precision, threads, replace(host, apart=False))
        if kind == LOCALIZER and bundle.in_old_parts(precision):
            whole.notes = (OLD_PARTS.format(bundle.manifest.name),)
        return whole

    def bind(self, tensors: Mapping[str, Array]) -> None:
        """Hold these inputs for all following runs (see `Executor.bind`)."""
        check_tensors(self.name, self.inputs, tensors, complete=False)
        self._bound = self._floats.of(tensors)

    def run(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Run once with the bound tensors and `inputs` (see `Executor.run`)."""
        feed, names = self._checked(inputs, outputs)
        start_ns = time.perf_counter_ns()
        try:
            results: list[Array] = self._session.run(names, feed)
        except self._failures as error:
            raise self._failed(names, error) from error
        self.clock.add_host(time.perf_counter_ns() - start_ns)
        return dict(zip(names, results, strict=True))

    def begin(self, inputs: Mapping[str, Array], outputs: Sequence[str] | None = None) -> BegunRun:
        """Begin a run and return at once, where the graph's threads are apart; see `end`.

        Raises:
            ExecutorError, ClickError: see `Executor.run`.
        """
        feed, names = self._checked(inputs, outputs)
        try:
            begun = BegunRun(self._session, names, feed)
        except self._failures as error:
            raise self._failed(names, error) from error
        self._running = [each for each in self._running if not each.ended] + [begun]
        return begun

    def end(self, begun: BegunRun) -> dict[str, Array]:
        """The answers of a run that was begun; only the time of waiting for it counts.

        Raises:
            ExecutorError: ONNX Runtime failed.
        """
        start_ns = time.perf_counter_ns()
        try:
            return begun.answers()
        except RuntimeError as error:
            raise self._failed(begun.names, error) from error
        finally:
            self.clock.add_host(time.perf_counter_ns() - start_ns)

    def __del__(self) -> None:
        """Let runs that were begun end before the session goes.

        Up to 1.27 at least, ONNX Runtime waits for its threads with the interpreter in its hand,
        which they need to hand over answers: for good. So they get it, and a moment to be done.
        """
        for begun in getattr(self, "_running", ()):
            if not begun.ended:
                begun.wait()
                time.sleep(SETTLED_S)

    def _checked(
        self, inputs: Mapping[str, Array], outputs: Sequence[str] | None
    ) -> tuple[dict[str, Array], list[str]]:
        """What the session is fed, and the names of what it is asked for."""
        feed = merged(self._bound, inputs)
        check_tensors(self.name, self.inputs, feed, complete=True)
        feed = dequantized(feed)  # what was given for this run alone, whose owner may change it
        return feed, [spec.name for spec in self.outputs] if outputs is None else list(outputs)

    def _failed(self, names: Sequence[str], error: Exception) -> ExecutorError:
        return ExecutorError(
            f"ONNX Runtime failed in the graph {self._graph}",
            expected=f"outputs {', '.join(names)}",
            found=str(error),
            do="check that the bundle was exported by this version of tilefix",
        )


def int8_settings(precision: str, vnni: str | None) -> tuple[str, ...]:
    """What a session is told of a graph of that precision; `vnni`: see `edge.machine.dot_flag`."""
    if precision == "int8+fp16":
        return (UNFUSED,)
    return (EXACT_PRODUCTS,) if precision == "int8+fp32" and vnni is None else ()


def _spec(node: Any) -> TensorSpec:
    if node.type not in _DTYPES:
        raise ExecutorError(
            f"the graph has a tensor {node.name!r} of a type that tilefix does not use",
            expected=f"one of: {', '.join(_DTYPES)}",
            found=str(node.type),
            do="export the bundle again with this version of tilefix",
        )
    return TensorSpec(node.name, np.dtype(_DTYPES[node.type]), tuple(node.shape))
