"""One way to run a bundle: an executor in a precision. All take the same inputs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.errors import UsageError
from edge.executors.base import EXECUTORS, ON_DEVICE, Executor, open_executor
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.precisions import INT8, graph_precision
from edge.types import Array
from export.engines.toolkit import FULL, INSTALL, RTX
from export.verification.cases import Case
from export.verification.tapped import TAP

TORCH = "torch"
NUMPY = "reference"
ORT = OnnxRuntimeExecutor.name
WHOLE = "onnxruntime-whole"  # where that flies a localizer in parts: the graph they were cut of
REBUILT = "lite"  # the model that `export.bundle_weights` takes out of a bundle
# executor -> its library and what brings it, for those that are no part of the runtime
MODULES = {
    TORCH: ("torch", "pip install torch, or the extra 'train' of tilefix"),
    "tensorrt": (FULL, f"on a Jetson {INSTALL[FULL]}"),
    "tensorrt-rtx": (RTX, INSTALL[RTX]),
}
HEAD = "head.npz"
FP32_ONLY = {
    TORCH: "torch runs the bundle's weights in float32",
    NUMPY: "numpy takes the float32 head",
}
Answer = dict[tuple[str, str], Array]  # (graph, tensor) -> value


@dataclass(frozen=True, slots=True)
class RunName:
    """Executor and precision, as "onnxruntime/fp16"."""

    executor: str
    precision: str

    def __str__(self) -> str:
        return f"{self.executor}/{self.precision}"

    @staticmethod
    def parse(text: str) -> RunName:
        """Read "onnxruntime/fp32"; "int8" is the form that the executor wants.

        Raises:
            UsageError: an unknown executor, or no precision.
        """
        executor, slash, precision = text.strip().partition("/")
        executor = executor.replace("_", "-")
        if executor not in known_executors() or not slash or not precision:
            raise UsageError(
                f"{text!r} does not name a run",
                expected=f"EXECUTOR/PRECISION, executor one of {', '.join(known_executors())}",
                found=repr(text),
                do="write for example onnxruntime/fp32",
            )
        form_of = ORT if executor == WHOLE else executor
        return RunName(executor, graph_precision(precision, form_of))


class Run(Protocol):
    """A bundle, opened one way."""

    def answer(self, case: Case) -> Answer:
        """All outputs of both graphs, taps among them, for one input.

        Raises:
            TilefixError: the graph refuses it, or fails.
        """
        ...


def known_executors() -> tuple[str, ...]:
    """All that can be named with --executors."""
    return (*EXECUTORS, WHOLE, TORCH)


def whole_runs(names: Iterable[RunName], bundle: Bundle) -> tuple[RunName, ...]:
    """Beside runs that fly in parts, those of the whole graph, of which engines are made."""
    return tuple(
        RunName(WHOLE, name.precision)
        for name in names
        if name.executor == ORT and bundle.in_parts(name.precision)
    )


def absence(
    name: RunName,
    bundle: Bundle,
    has_module: Callable[[str], bool] | None = None,
    has_device: Callable[[], bool] | None = None,
    checkpoint: Path | None = None,
) -> str:
    """Why this run cannot be had here at all; empty where it can.

    A run that could be had and fails is no absence, but a failure. An engine that was not built is
    one too: the executor's error says how to build it.
    """
    there = has_module or (lambda module: importlib.util.find_spec(module) is not None)
    module, how = MODULES.get(name.executor, ("", ""))
    if module and not there(module):
        return f"no {module} in this Python ({how})"
    if name.executor in ON_DEVICE and not (has_device or _has_gpu)():
        return "no CUDA device: run it on a machine with a GPU and its driver"
    if name.executor == TORCH and checkpoint is None and bundle.manifest.model != REBUILT:
        return f"{bundle.manifest.model} is not rebuilt from its bundle: give --checkpoint FILE"
    if name.executor in FP32_ONLY and name.precision != "fp32":
        return FP32_ONLY[name.executor]
    form = graph_precision(INT8, name.executor)
    if name.executor in ON_DEVICE and name.precision.startswith(INT8) and name.precision != form:
        return f"engines in INT8 are made of the graphs in {form}"
    if name.precision not in bundle.precisions:
        return f"the bundle has no {name.precision} graphs, only {', '.join(bundle.precisions)}"
    if name.executor == WHOLE and not bundle.in_parts(name.precision):
        return (
            f"there are no parts of the localizer in {name.precision}"
            f" (with --taps there never are): {ORT} runs it whole already"
        )
    if name.executor == NUMPY and f"graphs/{name.precision}/{HEAD}" not in bundle.manifest.files:
        return f"numpy takes the weights of a head of lite, {HEAD}, and the bundle has none"
    return ""


def open_run(name: RunName, bundle: Bundle, threads: int, checkpoint: Path | None = None) -> Run:
    """Open a run.

    Args:
        name: of the run.
        bundle: with the graphs, and engines where the executor takes these.
        threads: of the executor.
        checkpoint: whose weights torch runs, in place of the bundle's own.

    Raises:
        ExecutorError: its library is missing, or it refuses the graph or engine.
        BundleError: the bundle has no such graph, or no weights that torch could take.
    """
    if name.executor == TORCH:
        from export.verification.torch_run import TorchRun

        return TorchRun(bundle, checkpoint, threads)
    return ExecutorRun(name, bundle, threads)


def _has_gpu() -> bool:
    from export.engines.device import local_gpu

    return local_gpu() is not None


class ExecutorRun:
    """Both graphs in one executor, the localizer fed with what its own encoder makes."""

    def __init__(self, name: RunName, bundle: Bundle, threads: int) -> None:
        self._encoder = _opened(name, bundle, ENCODER, threads)
        self._localizer = _opened(name, bundle, LOCALIZER, threads)
        # numpy has no interior of the graph to hand out
        self._asked = [
            spec.name
            for spec in self._localizer.outputs
            if name.executor != NUMPY or not spec.name.startswith(TAP)
        ]
        self._window = ""
        self._encoded: dict[str, Array] = {}

    def answer(self, case: Case) -> Answer:
        """See `Run.answer`; a window equal to the last one is not encoded again."""
        if case.window_name != self._window or not self._encoded:
            # Copies: an executor may hand out its own memory, and use it again in the next run.
            answer = self._encoder.run({"image": case.window})
            self._encoded = {key: value.copy() for key, value in answer.items()}
            self._window = case.window_name
            taken = {spec.name for spec in self._localizer.inputs}
            self._localizer.bind({k: v for k, v in self._encoded.items() if k in taken})
        inputs: dict[str, Array] = {
            "frame": case.frame,
            "frame_affine": case.frame_affine,
            "click_xy_px": case.click_xy_px,
            "prior_xy_px": case.prior.xy_px,
            "prior_inv_var": case.prior.inv_var,
        }
        known = {spec.name for spec in self._localizer.inputs}
        found = self._localizer.run({k: v for k, v in inputs.items() if k in known}, self._asked)
        answer: Answer = {(ENCODER, key): value for key, value in self._encoded.items()}
        return answer | {(LOCALIZER, key): value for key, value in found.items()}


def _opened(name: RunName, bundle: Bundle, kind: str, threads: int) -> Executor:
    if name.executor == WHOLE:
        return OnnxRuntimeExecutor(bundle.graph(kind, name.precision), name.precision, threads)
    return open_executor(name.executor, bundle, kind, name.precision, threads)
