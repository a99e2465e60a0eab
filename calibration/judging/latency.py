"""How much faster INT8 is in ONNX Runtime on this processor: a ratio, never a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from calibration.judging.priors import Progress
from calibration.quantization.qdq import Form
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.executors.base import Executor
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.types import Array

REPEATS = 9
CLICKS = 4


def latency_ratio(
    base: Bundle, candidate: Bundle, repeats: int = REPEATS, progress: Progress | None = None
) -> dict[str, float]:
    """Graph -> processor time of float32 / that of INT8, medians of interleaved runs on one thread.

    Args:
        base: with graphs in fp32.
        candidate: with graphs in ONNX Runtime's INT8 form.
        repeats: runs of each, after one that is not counted.
        progress: told of every graph.
    """
    precision = Form.ONNXRUNTIME.value
    ratios = {}
    for number, kind in enumerate((ENCODER, LOCALIZER)):
        pair = [
            OnnxRuntimeExecutor.open(base, kind, "fp32", threads=1),
            OnnxRuntimeExecutor.open(candidate, kind, precision, threads=1),
        ]
        inputs = noise_inputs(pair[0])  # one window for all runs, as for the frames of a flight
        runs = [partial(each.run, inputs) for each in pair]
        ratios[kind] = median_ratio(runs[0], runs[1], repeats)
        if progress:
            progress("latency", number + 1, 2)
    return ratios


def median_ratio(
    before: Callable[[], object],
    after: Callable[[], object],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Median time of one over that of the other, run by turns so that both see the same machine."""
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for run, times in zip((before, after), spent, strict=True):
            start = clock()
            run()
            if turn:  # the first one warms up
                times.append(clock() - start)
    return float(np.median(spent[0]) / np.median(spent[1]))


def noise_inputs(executor: Executor, clicks: int = CLICKS) -> Mapping[str, Array]:
    """Inputs of the right shapes; what is in them does not change the time."""
    draw = np.random.default_rng(0)
    made: dict[str, Array] = {}
    for spec in executor.inputs:
        shape = [size if isinstance(size, int) else clicks for size in spec.shape]
        if spec.dtype == np.uint8:
            made[spec.name] = draw.integers(0, 256, shape, np.uint8)
        else:
            made[spec.name] = draw.random(shape).astype(spec.dtype)
    return made
