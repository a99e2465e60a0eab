"""How long every layer of two engines takes on this device, by TensorRT's own profiler.

The engines run by turns, so that both see the same clocks and temperature, and each layer counts by
the median of its runs. A profiler is told of layers by their names; what they do is in the engine
inspector's table, by the same names. A name that is in no table is counted apart: nobody can say
what its time was for.

The profiler puts events between the layers, which takes time of its own. So these are no latencies
of a flight: differences between two engines under the same profiler are what they are good for.
"""

from __future__ import annotations

import statistics
import traceback
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import msgspec

from edge.devices.base import DeviceBackend
from edge.errors import ExecutorError
from edge.executors.click_buckets import NO_CLICKS
from edge.executors.engine_choice import ChosenEngine
from edge.executors.loaded_engine import LoadedEngine
from edge.executors.trt_runtime import TensorRt
from export.engines.layer_table import PROFILE, Layer, layers_of_profile

WARM_UP_RUNS, RUNS = 20, 100  # of each engine


class LayerTime(msgspec.Struct, frozen=True):
    """A layer and its median time."""

    layer: Layer
    ms: float


class EngineTimes(msgspec.Struct, frozen=True):
    """One engine under the profiler."""

    layers: tuple[LayerTime, ...]  # those that the profiler told of
    unlisted_ms: float = 0.0  # of names that are in no table
    unlisted: tuple[str, ...] = ()  # these names

    @property
    def total_ms(self) -> float:
        """All layers one after the other."""
        return sum(each.ms for each in self.layers) + self.unlisted_ms


@dataclass(frozen=True, slots=True)
class _Subject:
    """An engine that is being timed."""

    loaded: LoadedEngine
    bucket: int
    profiler: Any  # kept here too: the library need not keep it alive
    told: list[tuple[str, float]]  # of the run in progress
    runs: list[dict[str, float]]  # name -> ms, one for each run that counts


def time_layers(
    trt: TensorRt,
    device: DeviceBackend,
    engines: Sequence[ChosenEngine],
    features: Collection[str],
    clicks: int,
    runs: int = RUNS,
) -> tuple[EngineTimes, ...]:
    """Time the layers of engines that do the same work, by turns.

    Args:
        trt: the library.
        device: where they run.
        engines: of one graph.
        features: names of the inputs that stay on the device.
        clicks: of a run, for engines that take clicks.
        runs: of each engine that count, after a warm-up.

    Raises:
        ExecutorError: a profiler that is missing or says nothing, a table that cannot be read, or a
            refusal of the library or the device; all is given back.
        ClickError: more clicks than an engine was built for.
    """
    if not hasattr(trt.module, "IProfiler"):
        raise _silent(trt, "a library without a profiler of layers")
    with ExitStack() as ending, device.current():
        try:
            subjects = []
            for chosen in engines:
                loaded = LoadedEngine(trt, chosen, device, features, graphs=False)
                ending.callback(loaded.close)
                subjects.append(_subject(trt, loaded, clicks))
            for turn in range(WARM_UP_RUNS + runs):
                for subject in subjects:
                    _run(trt, subject)
                    if turn >= WARM_UP_RUNS:
                        subject.runs.append(summed(subject.told))
            return tuple(medians(each.runs, _table(trt, each)) for each in subjects)
        except BaseException as error:
            # The frames that failed still hold a context, which must end before its engine.
            traceback.clear_frames(error.__traceback__)
            raise


def medians(runs: Sequence[Mapping[str, float]], table: Iterable[Layer]) -> EngineTimes:
    """The median of every layer over all runs.

    Args:
        runs: name of a layer -> milliseconds, for each run.
        table: of the engine.
    """
    layers = {_plain(each.name): each for each in table}
    names = dict.fromkeys(name for run in runs for name in run)
    found = {name: statistics.median(run.get(name, 0.0) for run in runs) for name in names}
    unlisted = tuple(name for name in found if _plain(name) not in layers)
    return EngineTimes(
        tuple(
            LayerTime(layers[_plain(name)], ms)
            for name, ms in found.items()
            if _plain(name) in layers
        ),
        sum(found[name] for name in unlisted),
        unlisted,
    )


def summed(told: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Milliseconds by name; a name that is told twice in a run is two parts of one layer."""
    found: dict[str, float] = {}
    for name, ms in told:
        found[name] = found.get(name, 0.0) + ms
    return found


def _subject(trt: TensorRt, loaded: LoadedEngine, clicks: int) -> _Subject:
    """Give the context of these clicks a profiler that speaks when it is asked to."""
    told: list[tuple[str, float]] = []

    class Watch(trt.module.IProfiler):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.module.IProfiler.__init__(self)  # pybind11 wants it by name

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            told.append((str(layer_name), float(ms)))

    buckets = loaded.contexts.buckets
    bucket = buckets.holding(clicks if buckets.largest else NO_CLICKS)
    context = loaded.contexts.context(bucket)
    context.enqueue_emits_profile = False  # else every run would wait within its call
    context.profiler = watch = Watch()
    return _Subject(loaded, bucket, watch, told, [])


def _run(trt: TensorRt, subject: _Subject) -> None:
    subject.told.clear()
    subject.loaded.enqueue(subject.bucket)
    subject.loaded.synchronise()  # before the report: the events have to lie behind us
    if not subject.loaded.contexts.context(subject.bucket).report_to_profiler():
        raise _silent(trt, trt.last_message("the report was refused without a reason"))
    if not subject.told:
        raise _silent(trt, "a report without a single layer")


def _table(trt: TensorRt, subject: _Subject) -> tuple[Layer, ...]:
    context = subject.loaded.contexts.context(subject.bucket)
    inspector = context.engine.create_engine_inspector()
    inspector.execution_context = context
    text = inspector.get_engine_information(trt.module.LayerInformationFormat.JSON)
    return layers_of_profile(str(text), int(context.active_optimization_profile))


def _plain(name: str) -> str:
    """A layer's name without its profile: table and profiler need not agree whether to say it."""
    return PROFILE.sub("", name).strip()


def _silent(trt: TensorRt, found: str) -> ExecutorError:
    return ExecutorError(
        f"{trt.name} {trt.version} does not say how long its layers take",
        expected="a profiler that is told of every layer after a run",
        found=found,
        do="report this with the version of TensorRT",
    )
