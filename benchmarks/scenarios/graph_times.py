"""The times of the graphs by themselves, out of the measurements of a run."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.record.lines import CacheState, MeasurementLine, Scenario, Series, Unknown
from benchmarks.record.percentiles import percentile_ms, too_few
from benchmarks.record.series import unpack
from benchmarks.roofline.lines import MeasuredGraph
from edge.bundle import ENCODER, LOCALIZER

STREAMS = (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM)


def measured_graphs(lines: Iterable[MeasurementLine]) -> list[MeasuredGraph]:
    """The localizer at each number of clicks that a stream ran warm, and the encoder."""
    found: dict[tuple[str, int], MeasuredGraph] = {}
    for line in lines:
        if line.scenario in STREAMS and line.state is CacheState.WARM:
            # By events where there are any: the host's time of a launch has waiting in it.
            own = line.gpu if isinstance(line.gpu, Series) else _stage(line, "engine")
            _put(found, LOCALIZER, line.clicks, own)
        elif line.scenario is Scenario.OFFLINE:
            _put(found, ENCODER, 0, _stage(line, "encode"))
    return list(found.values())


def _put(
    found: dict[tuple[str, int], MeasuredGraph], graph: str, clicks: int, own: Series | None
) -> None:
    if own is not None and own.count:
        median_ms = percentile_ms(unpack(own), 50.0)
        told = Unknown(f"{own.count} runs: {too_few(50.0)}") if median_ms is None else median_ms
        found[graph, clicks] = MeasuredGraph(graph, clicks, told)


def _stage(line: MeasurementLine, name: str) -> Series | None:
    times = {stage.name: stage.times for stage in line.stages}.get(name)
    return times if isinstance(times, Series) else None
