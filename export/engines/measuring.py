"""How fast an engine locates, and how far its boxes are from the graph in ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.executors.base import open_executor
from edge.localizer import NUMBERS
from export.verification.boxes import BoxAgreement, BoxTally
from export.verification.cases import Case
from export.verification.runs import Run, RunName, open_run

REFERENCE = RunName("onnxruntime", "fp32")
BOXES = (LOCALIZER, "box_xyxy_px")
WARM_UP_RUNS, RUNS = 20, 200  # of each case; of all together, at least one each
THREADS = 2


@dataclass(frozen=True, slots=True)
class Latency:
    """Of one frame with all its clicks in an encoded window, over all frames measured."""

    p50_ms: float
    p99_ms: float
    clicks: int  # of the frame that has most


class Measurer(Protocol):
    """Answers both questions for a precision whose engines are built."""

    inputs: str  # what it measures on: demo, random, or a folder

    def latency(self, precision: str) -> Latency:
        """Time the localizer on this device.

        Raises:
            TilefixError: the executor is not available, or the engine fails.
        """
        ...

    def agreement(self, precision: str) -> BoxAgreement:
        """Compare its boxes with those of the fp32 graphs in ONNX Runtime.

        Raises:
            TilefixError: as for `latency`.
        """
        ...


class DeviceMeasurer:
    """Measures with an executor on this machine.

    Args:
        bundle: with its engines built.
        cases: frames with clicks, and their windows; at least one.
        executor: "tensorrt" or "tensorrt-rtx", as the engines are.
        inputs: what the cases are: demo, random, or a folder.
    """

    def __init__(
        self, bundle: Bundle, cases: Sequence[Case], executor: str, inputs: str = "demo"
    ) -> None:
        self.inputs = inputs
        self._bundle = bundle
        self._executor = executor
        self._cases = cases
        self._expected: list[np.ndarray] | None = None

    def latency(self, precision: str) -> Latency:
        """See `Measurer.latency`; the wall clock around runs as they fly, copies included.

        Every case counts alike, and no answer is fetched that a flight does not ask for.
        """
        encoder = open_executor(self._executor, self._bundle, ENCODER, precision, THREADS)
        localizer = open_executor(self._executor, self._bundle, LOCALIZER, precision, THREADS)
        known = {spec.name for spec in localizer.inputs}
        runs = -(-RUNS // len(self._cases))
        took_ms: list[float] = []
        window = ""
        for case in self._cases:
            if case.window_name != window:
                features = encoder.run({"image": case.window})
                localizer.bind({k: v.copy() for k, v in features.items() if k in known})
                window = case.window_name
            inputs = {
                "frame": case.frame,
                "frame_affine": case.frame_affine,
                "click_xy_px": case.click_xy_px,
                "prior_xy_px": case.prior.xy_px,
                "prior_inv_var": case.prior.inv_var,
            }
            inputs = {name: value for name, value in inputs.items() if name in known}
            for index in range(WARM_UP_RUNS + runs):
                start_ns = time.perf_counter_ns()
                localizer.run(inputs, NUMBERS)
                if index >= WARM_UP_RUNS:
                    took_ms.append((time.perf_counter_ns() - start_ns) / 1e6)
        p50_ms, p99_ms = np.percentile(took_ms, (50, 99))
        clicks = max(len(case.click_xy_px) for case in self._cases)
        return Latency(float(p50_ms), float(p99_ms), clicks)

    def agreement(self, precision: str) -> BoxAgreement:
        """See `Measurer.agreement`."""
        return self.tally(precision).agreement()

    def tally(self, precision: str, executor: str = "") -> BoxTally:
        """Boxes of both, click by click.

        Args:
            precision: of the graphs.
            executor: another one than that of the engines.

        Raises:
            TilefixError: as for `latency`.
        """
        if self._expected is None:
            self._expected = self._boxes(open_run(REFERENCE, self._bundle, THREADS))
        name = RunName(executor or self._executor, precision)
        found = self._boxes(open_run(name, self._bundle, THREADS))
        tally = BoxTally(self._bundle.manifest.head.stride_px)
        for case, ours, theirs in zip(self._cases, self._expected, found, strict=True):
            tally.add(ours, theirs, case.prior.inv_var == 0)
        return tally

    def _boxes(self, run: Run) -> list[np.ndarray]:
        return [np.asarray(run.answer(case)[BOXES]).copy() for case in self._cases]
