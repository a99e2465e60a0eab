"""Where the time of a run went: statistics of each stage over its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from edge.types import Timings

STAGES: dict[str, str] = {
    "window_ms": "read window or stored feature",
    "encode_ms": "encode window (new ones)",
    "align_ms": "align frame",
    "preprocess_ms": "letterbox frame, check clicks",
    "localize_ms": "locate all clicks",
    "total_ms": "whole frame",
}


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of the frame path."""

    name: str  # of the field in Timings
    words: str
    count: int  # frames in which it ran
    median_ms: float
    p95_ms: float
    max_ms: float


def stage_times(timings: Sequence[Timings]) -> list[StageTime]:
    """Statistics of every stage that ran, in the order of the path."""
    found = []
    for field in fields(Timings):
        values = [value for each in timings if (value := getattr(each, field.name)) is not None]
        if values:
            median, p95 = np.percentile(values, [50, 95]).tolist()
            words = STAGES[field.name]
            found.append(StageTime(field.name, words, len(values), median, p95, max(values)))
    return found
