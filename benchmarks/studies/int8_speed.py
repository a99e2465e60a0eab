"""How much faster `lite` is in ONNX Runtime with its graphs in INT8, on this processor.

    python -m benchmarks.studies.int8_speed INT8_BUNDLE

INT8_BUNDLE comes from `tilefix calibrate`; how many pictures it was calibrated with does not change
the time. Both precisions and, where the processor has VNNI, INT8 told to be exact as well (what a
processor without VNNI needs, see `edge.executors.onnxruntime`) run in turns; medians are kept. The
localizer has looked into its window before, as into that of a flight's last frame.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.acceptance_record import machine, write_record
from benchmarks.studies.own_command import own_command
from calibration.judging.environment import processor
from calibration.judging.latency import noise_inputs
from calibration.quantization.qdq import Form
from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.executors import onnxruntime as executors
from edge.executors.base import Executor
from edge.executors.onnxruntime import OnnxRuntimeExecutor
from edge.machine import dot_flag
from edge.types import Array

RECORD = Path(__file__).parent.parent / "records" / "int8" / "speed.json"
CASES = ((ENCODER, 0), (LOCALIZER, 1), (LOCALIZER, 8))  # clicks; an encoder knows none
FLOAT, INT8, EXACT = "fp32", "int8", "int8, told to be exact"


def main() -> None:
    """Measure, print and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--out", type=Path, default=RECORD)
    given = parser.parse_args()
    bundle = Bundle.open(given.bundle)
    rows = []
    for threads in (1, 2):
        for kind, clicks in CASES:
            rows.append(measure(bundle, kind, clicks, threads, given.rounds))
            print(rows[-1])
    record: dict[str, Any] = {
        "schema": "tilefix-int8-speed/1",
        "command": own_command("benchmarks.studies.int8_speed"),
        "environment": machine() | {"processor": processor(), "vnni": dot_flag()},
        "rounds": given.rounds,
        "graphs": rows,
    }
    write_record(record, given.out.parent, given.out.name)


def measure(bundle: Bundle, kind: str, clicks: int, threads: int, rounds: int) -> dict[str, Any]:
    """Median milliseconds of each way, and whether INT8 answers the same when told to be exact."""
    opened: dict[str, Executor] = {
        FLOAT: OnnxRuntimeExecutor.open(bundle, kind, "fp32", threads),
        INT8: OnnxRuntimeExecutor.open(bundle, kind, Form.ONNXRUNTIME.value, threads),
    }
    if dot_flag() is not None:  # no user has a reason to ask for what takes longer
        with patch.object(executors, "dot_flag", lambda: None):
            opened[EXACT] = OnnxRuntimeExecutor.open(bundle, kind, Form.ONNXRUNTIME.value, threads)
    inputs = noise_inputs(opened[FLOAT], clicks)
    answers = {name: each.run(inputs) for name, each in opened.items()}
    ways = {name: lambda each=each: each.run(inputs) for name, each in opened.items()}
    median = medians_ms(ways, rounds)
    return {
        "graph": kind,
        "clicks": clicks,
        "threads": threads,
        "median_ms": median,
        "int8_times_as_fast": median[FLOAT] / median[INT8],
        "exact_is_equal": equal(answers[INT8], answers[EXACT]) if EXACT in answers else None,
    }


def medians_ms(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Of the wall clock, in turns; the first round warms up."""
    times_s: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, run in ways.items():
            start_s = time.perf_counter()
            run()
            times_s[name].append(time.perf_counter() - start_s)
    return {name: 1e3 * float(np.median(times[1:])) for name, times in times_s.items()}


def equal(first: Mapping[str, Array], second: Mapping[str, Array]) -> bool:
    """Whether two answers are the same, bit for bit."""
    return all(np.array_equal(first[name], second[name]) for name in first)


if __name__ == "__main__":
    main()
