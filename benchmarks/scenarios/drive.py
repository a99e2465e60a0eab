"""Sends queries one after another until the rules say that it is enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.record.lines import COMPLETE
from benchmarks.scenarios.recorder import Recorder, Row
from benchmarks.scenarios.rules import Rules
from edge.errors import ExecutorError

INTERRUPTED, DEVICE_LOST = "interrupted", "device lost"
Step = Callable[[int], Row]  # does the query of that number, and says what it took


class StopFlag(Protocol):
    """The part of a `GracefulStop` that is needed here."""

    requested: bool


@dataclass(frozen=True, slots=True)
class Driven:
    """How a measurement went."""

    ended: str  # COMPLETE, INTERRUPTED, or DEVICE_LOST with the reason
    warmup_queries: int
    duration_s: float  # without the warm-up
    error: ExecutorError | None = None  # what the device was lost by


def drive(
    step: Step,
    rules: Rules,
    recorder: Recorder,
    stop: StopFlag,
    *,
    begin: Callable[[], None] = lambda: None,
) -> Driven:
    """Warm up, then measure; the next query follows when the last one is done.

    What was recorded stays, whatever ends it. The warm-up sends the queries that the measurement
    begins with, so that number n is the same query in every run.

    Args:
        step: does one query.
        rules: when it is enough.
        recorder: takes the rows.
        stop: asks for an end after the query at work.
        begin: called between warm-up and measurement.
    """
    warmed = 0
    start_ns = time.perf_counter_ns()
    try:
        while not rules.warm(warmed, 1e-9 * (time.perf_counter_ns() - start_ns)):
            if stop.requested:
                return Driven(INTERRUPTED, warmed, 0.0)
            step(warmed)
            warmed += 1
        begin()
        start_ns = time.perf_counter_ns()
        while not stop.requested:
            recorder.add(step(recorder.count))
            if rules.enough(recorder.count, 1e-9 * (time.perf_counter_ns() - start_ns)):
                return Driven(COMPLETE, warmed, _since_s(start_ns))
        return Driven(INTERRUPTED, warmed, _since_s(start_ns))
    except ExecutorError as error:
        return Driven(lost(error), warmed, _since_s(start_ns), error)


def lost(error: ExecutorError) -> str:
    """What the record says of a device that failed amid a run."""
    return f"{DEVICE_LOST}: {error.what}; {error.found}"


def harness_us(step: Step, queries: int = 400) -> float:
    """Median cost of everything around a query, microseconds.

    Args:
        step: the step of a scenario whose parts do nothing.
        queries: how many.
    """
    entered_ns: list[int] = []

    def counted(index: int) -> Row:
        entered_ns.append(time.perf_counter_ns())
        return step(index)

    class Never:
        requested = False

    rules = Rules(queries, 0.0, 60.0, warmup_queries=20, warmup_s=0.0)
    drive(counted, rules, Recorder(queries), Never())
    gaps = np.diff(entered_ns)
    return float(np.median(gaps[20:])) / 1e3


def _since_s(start_ns: int) -> float:
    return 1e-9 * (time.perf_counter_ns() - start_ns)
