"""A finished measurement as a line of the record."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.record.lines import (
    CacheState,
    Energy,
    FlownAccuracy,
    Heat,
    MeasurementLine,
    Memory,
    ProcessorTime,
    Punctuality,
    Scenario,
    Unknown,
)
from benchmarks.record.series import pack
from benchmarks.record.stability import stability
from benchmarks.scenarios.drive import Driven
from benchmarks.scenarios.plan import Planned
from benchmarks.scenarios.recorder import ENCODE, GPU, TOTAL, Recorder
from edge.devices.base import DEFAULT_BACKEND, DeviceOptions
from edge.executors.base import ON_DEVICE

NO_COPY = "{} computes where its inputs lie: nothing is copied that could be told apart"
NO_EVENTS = "{} runs on the CPU: there are no CUDA events"
NO_MARKS = "pycuda sets no marks within a CUDA graph: --device-backend cuda-python does"
AT_HAND = "every window was at hand: nothing was encoded"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was seen beside a measurement."""

    memory: Memory | Unknown
    energy: Energy | Unknown
    heat: Heat | Unknown
    processor: ProcessorTime | Unknown
    harness_us: float


def device_for(executor: str, device: DeviceOptions | None) -> DeviceOptions | None:
    """The options of a device with events, where the executor has one and its backend can."""
    if executor not in ON_DEVICE:
        return device
    asked = device or DeviceOptions()
    timed = asked.backend == DEFAULT_BACKEND or not asked.graphs
    return DeviceOptions(asked.backend, asked.graphs, timed=timed)


def reasons_of(planned: Planned, executor: str) -> dict[str, str]:
    """Why a stage may be missing, by its name."""
    on_device = executor in ON_DEVICE
    found = {
        "copy": NO_MARKS if on_device else NO_COPY.format(executor),
        GPU: NO_MARKS if on_device else NO_EVENTS.format(executor),
    }
    if planned.scenario is Scenario.OFFLINE:
        whole = "encoding is one stage here"
        return {**found, "copy": whole, GPU: whole, "capture": "windows come from the map"}
    if planned.scenario is not Scenario.PERIODIC:
        found["align"] = "no alignment in this scenario: one window is searched"
    if planned.state is not CacheState.COLD:
        found[ENCODE] = AT_HAND
    return found


def measurement_line(
    run_id: str,
    planned: Planned,
    started_utc: str,
    driven: Driven,
    recorder: Recorder,
    around: Surroundings,
    executor: str,
    punctuality: Punctuality | None = None,
    accuracy: FlownAccuracy | Unknown | None = None,
) -> MeasurementLine:
    """The line of a measurement, complete or cut short."""
    reasons = reasons_of(planned, executor)
    total_ns = recorder.column(TOTAL)
    encoded = recorder.ran(ENCODE) if planned.state is CacheState.MIXED else None
    return MeasurementLine(
        run_id=run_id,
        scenario=planned.scenario,
        state=planned.state,
        clicks=planned.clicks,
        started_utc=started_utc,
        warmup_queries=driven.warmup_queries,
        duration_s=driven.duration_s,
        ended=driven.ended,
        latency=pack(total_ns),
        stages=recorder.stages(reasons),
        gpu=recorder.series(GPU, reasons[GPU]),
        stability=stability(total_ns, encoded),
        memory=around.memory,
        punctuality=punctuality,
        energy=around.energy,
        heat=around.heat,
        harness_us=around.harness_us,
        processor=around.processor,
        accuracy=accuracy,
    )
