"""How much memory a run takes for itself, worked out before it begins.

An open loop keeps the answers of every frame that is scheduled, in memory that is taken before the
first one. Where that is more than there is, the run would end amid its measurements, or the machine
with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.record.lines import Scenario, Settings
from benchmarks.scenarios.plan import Planned
from benchmarks.scenarios.queries import LAPS
from edge.errors import UsageError
from edge.machine import available_memory_bytes

FRAME_BYTES = 400  # of the camera's schedule, the log, and the recorder while it doubles
ANSWER_BYTES = 184  # of a click of a frame: 40 in the log, the rest while the fixes are judged
DRAWN_BYTES = 200  # of a click of a picture, as it is drawn


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What one measurement takes beside the models."""

    planned: Planned
    frames: float  # scheduled, with those of the warm-up; infinite: more than can be counted
    size_bytes: float


def memory_need(planned: Planned, settings: Settings, shots: int) -> MemoryNeed:
    """Work out what a measurement takes.

    Args:
        planned: the measurement.
        settings: of the run.
        shots: pictures of the flight.
    """
    if planned.scenario is not Scenario.PERIODIC:  # rows of queries come one by one
        return MemoryNeed(planned, 0, float(LAPS) * shots * planned.clicks * DRAWN_BYTES)
    frames = _scheduled(planned, settings)
    size = frames * (FRAME_BYTES + ANSWER_BYTES * planned.clicks)
    return MemoryNeed(planned, frames, size + float(shots) * planned.clicks * DRAWN_BYTES)


def check_memory(
    planned: Sequence[Planned],
    settings: Settings,
    shots: int,
    available_bytes: int | None = None,
) -> None:
    """Refuse what would not fit into memory, before anything is measured.

    Args:
        planned: the measurements of the run, at least one.
        settings: of the run.
        shots: pictures of the flight.
        available_bytes: that can be taken; None: as the system says. Where it does not say,
            nothing can be refused.

    Raises:
        UsageError: more is needed than there is.
    """
    there = available_memory_bytes() if available_bytes is None else available_bytes
    needs = [memory_need(each, settings, shots) for each in planned]
    most = max(needs, key=lambda need: need.size_bytes)
    if there is None or most.size_bytes <= there:
        return
    raise UsageError(
        f"{most.planned.words}: what it has to keep does not fit into memory",
        expected=f"at most {_gb(there)}, which are available here",
        found=_found(most, settings, shots),
        do=_do(most, settings),
    )


def _scheduled(planned: Planned, settings: Settings) -> float:
    try:
        return float(sum(planned.rules(settings).frames(settings.rate_hz)))
    except OverflowError:
        return math.inf


def _found(most: MemoryNeed, settings: Settings, shots: int) -> str:
    count = most.planned.clicks
    clicks = f"{count:,} {'click' if count == 1 else 'clicks'} in each"
    if most.planned.scenario is not Scenario.PERIODIC:
        return f"{_gb(most.size_bytes)} for {LAPS * shots:,} queries with {clicks}"
    minutes = "" if settings.minutes is None else f", --minutes {settings.minutes:g}"
    return (
        f"{_gb(most.size_bytes)} for {_number(most.frames)} frames with {clicks} "
        f"(--rate-hz {settings.rate_hz:g}{minutes})"
    )


def _do(most: MemoryNeed, settings: Settings) -> str:
    if most.planned.scenario is not Scenario.PERIODIC:
        return "give fewer --clicks"
    shorter = "a smaller --rate-hz" if settings.minutes is None else "fewer --minutes"
    return f"give {shorter}, or fewer --clicks"


def _gb(size_bytes: float) -> str:
    return f"{_number(size_bytes / 1e9, 1)} GB"


def _number(value: float, digits: int = 0) -> str:
    """As people read it; beyond a quadrillion by its order of magnitude."""
    if math.isinf(value):
        return "more than 1e308"
    return f"{value:,.{digits}f}" if value < 1e15 else f"{value:.1e}"
