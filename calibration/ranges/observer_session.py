"""Runs an observer graph in ONNX Runtime, on the provider that was asked for and on no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.ranges.observer_graph import HIGHEST, LOWEST, TOTAL, ObserverGraph
from edge.errors import CalibrationError, ExecutorError, UsageError
from edge.executors.onnxruntime import STOP_SPINNING
from edge.types import Array, Float32

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of one image, in the order of the observer's tensors."""

    lowest: Float32  # [T]
    highest: Float32  # [T]
    samples: tuple[Float32, ...]  # T of [n]


class ObserverSession:
    """One observer in one session."""

    def __init__(self, observer: ObserverGraph, threads: int, provider: str) -> None:
        """Load it.

        Raises:
            UsageError: no such provider.
            ExecutorError: onnxruntime lacks it, or refuses the graph.
        """
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        wanted = _provider(provider, onnxruntime.get_available_providers())
        # As in edge.executors.onnxruntime: its exceptions share no base class of their own.
        self._failures: tuple[type[Exception], ...] = (
            ValueError,
            *(k for k in vars(state).values() if isinstance(k, type) and issubclass(k, Exception)),
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry(STOP_SPINNING, "1")
        # In the graph's own order what observes a tensor runs before the tensor's successors. The
        # default order leaves that for the end, with every activation held: five times the memory.
        options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        self._observer = observer
        try:
            self._session: Any = onnxruntime.InferenceSession(
                observer.model, options, providers=[wanted]
            )
        except self._failures as error:
            raise self._failed("refuses", error) from error
        if self._session.get_providers()[0] != wanted:
            raise ExecutorError(
                "ONNX Runtime chose another provider than it was told",
                expected=wanted,
                found=", ".join(self._session.get_providers()),
                do="check the driver and libraries of CUDA, or use the provider cpu",
            )

    def run(self, image: str, inputs: Mapping[str, Array]) -> Observed:
        """Observe one image.

        Args:
            image: its name, for errors.
            inputs: at least what the observer takes.

        Raises:
            CalibrationError: an input is missing, or a tensor holds what is no number.
            ExecutorError: ONNX Runtime failed.
        """
        missing = [name for name in self._observer.inputs if name not in inputs]
        if missing:
            raise CalibrationError(
                f"the image {image} comes without all that the graph takes",
                expected=", ".join(self._observer.inputs),
                found=", ".join(inputs) or "nothing",
                do="feed what `needed_inputs` names",
            )
        feed = {name: inputs[name] for name in self._observer.inputs}
        names = [LOWEST, HIGHEST, TOTAL, *self._observer.samples]
        try:
            lowest, highest, total, *samples = self._session.run(names, feed)
        except self._failures as error:
            raise self._failed(f"failed with the image {image} in", error) from error
        # A sum of finite values may overflow to infinity; to NaN only where the values are odd.
        odd = ~(np.isfinite(lowest) & np.isfinite(highest)) | np.isnan(total)
        if odd.any():
            index = int(np.flatnonzero(odd)[0])
            raise CalibrationError(
                f"the activation {self._observer.tensors[index]} is not finite",
                expected="numbers in every tensor for every image",
                found=f"NaN or infinity with {image}, in {int(odd.sum())} of {len(odd)} tensors",
                do="look at that image; if all images do so, the checkpoint itself is broken",
            )
        return Observed(lowest, highest, tuple(samples))

    def _failed(self, did: str, error: Exception) -> ExecutorError:
        import onnxruntime

        return ExecutorError(
            f"ONNX Runtime {onnxruntime.__version__} {did} the graph that observes ranges",
            expected=f"inputs {', '.join(self._observer.inputs)} as the fp32 graph takes them",
            found=str(error),
            do="check that bundle and selection belong together, and export the bundle again",
        )


def runtime(provider: str) -> str:
    """Library, version and provider: a part of the identity of histograms."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__} {provider}"


def _provider(name: str, available: list[str]) -> str:
    if name not in PROVIDERS:
        raise UsageError(
            f"there is no provider {name!r}",
            expected=f"one of: {', '.join(PROVIDERS)}",
            found=repr(name),
            do="choose one of these",
        )
    if PROVIDERS[name] not in available:
        raise ExecutorError(
            f"the provider {name} of ONNX Runtime is not available",
            expected=PROVIDERS[name],
            found=", ".join(available),
            do="pip install onnxruntime-gpu, or find the ranges on the CPU",
        )
    return PROVIDERS[name]
