"""Does one measurement after another: what each needs, and the line that comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from benchmarks.record.lines import (
    FlownAccuracy,
    MeasurementLine,
    Memory,
    ProcessorTime,
    Punctuality,
    Scenario,
    Settings,
    Unknown,
)
from benchmarks.scenarios.cache_states import StatedCache
from benchmarks.scenarios.closed_loop import ClosedLoop
from benchmarks.scenarios.drive import Driven, drive, harness_us
from benchmarks.scenarios.flight_store import FlightStore
from benchmarks.scenarios.flights import Flight
from benchmarks.scenarios.idle_parts import idle_flight, idle_loop
from benchmarks.scenarios.measured import Surroundings, measurement_line
from benchmarks.scenarios.memory import MemoryWatch, give_back
from benchmarks.scenarios.offline import OfflineLoop
from benchmarks.scenarios.periodic import fly_periodic
from benchmarks.scenarios.plan import Planned
from benchmarks.scenarios.queries import draw_queries
from benchmarks.scenarios.recorder import Recorder
from benchmarks.scenarios.rules import Rules
from benchmarks.sensors.processor import ProcessorWatch
from benchmarks.sensors.sampler import Sampler
from edge.alignment import Aligner
from edge.assembly import ExecutorChoice, PriorChoice
from edge.bundle import ALIGNMENT_GRAPH, Bundle
from edge.errors import ExecutorError
from edge.feature_cache import CAPACITY, FeatureCache
from edge.graceful_stop import GracefulStop


@dataclass(frozen=True, slots=True)
class Finished:
    """A measurement, whole or cut short."""

    line: MeasurementLine
    error: ExecutorError | None  # what cut it short


class Measuring:
    """The parts that all measurements of a run share. Close it after use."""

    def __init__(
        self,
        run_id: str,
        flight: Flight,
        bundle: Bundle,
        executor: ExecutorChoice,
        settings: Settings,
        sampler: Sampler,
        stop: GracefulStop,
    ) -> None:
        """Open the bundle in its executor, over the map of the flight.

        Raises:
            ExecutorError, BundleError, MapError: see `edge.assembly.assemble`.
        """
        self._run_id = run_id
        self._flight = flight
        self._bundle = bundle
        self._executor = executor
        self._settings = settings
        self._sampler = sampler
        self._stop = stop
        self._assembly = flight.assemble(bundle, executor, prior=PriorChoice.NONE)
        self.localizer = self._assembly.localizer
        windows = self._assembly.windows
        chosen = [windows.choose(shot.pose).places for shot in flight.shots]
        self._places = tuple(dict.fromkeys(places[0] for places in chosen))
        self._all_places = tuple(dict.fromkeys(place for places in chosen for place in places))
        self.store = FlightStore(flight, bundle, executor, self._all_places)
        self._cache = FeatureCache(
            self.localizer, self._assembly.pictures, capacity=max(CAPACITY, len(self._places))
        )

    def close(self) -> None:
        """Let go of the map and the store."""
        self.store.close()
        self._assembly.close()

    def measure(self, planned: Planned) -> Finished:
        """Do one measurement.

        Raises:
            ExecutorError: before its first query; what fails later is in the answer.
        """
        settings = self._settings
        rules = planned.rules(settings)
        if planned.scenario is Scenario.PERIODIC:
            return self._periodic(planned, rules)
        if planned.scenario is Scenario.OFFLINE:
            return self._watched(planned, rules, self._offline().step)
        queries = draw_queries(
            self._flight.shots, self._assembly.windows, planned.clicks, settings.seed
        )
        cache = StatedCache(self._cache, planned.state, settings.hit_rate, settings.seed)
        cache.fill(self._places)
        loop = ClosedLoop(queries, cache, self.localizer)
        return self._watched(planned, rules, loop.step, cache.restart)

    def _offline(self) -> OfflineLoop:
        describe = None
        if ALIGNMENT_GRAPH in self._bundle.manifest.files:
            describe = Aligner.open(self._bundle, threads=self._executor.threads).describe
        pictures = self._assembly.pictures
        return OfflineLoop(self._all_places, pictures, self.localizer, describe)

    def _watched(
        self,
        planned: Planned,
        rules: Rules,
        step: Callable[[int], tuple[int, ...]],
        restart: Callable[[], None] = lambda: None,
    ) -> Finished:
        """Drive a closed loop, with an eye on memory and sensors."""
        recorder, watch = Recorder(), _Watch(self._sampler)

        def begin() -> None:
            restart()
            watch.begin()

        give_back()
        driven = drive(step, rules, recorder, self._stop, begin=begin)
        watch.end()
        return self._finish(planned, driven, recorder, watch)

    def _periodic(self, planned: Planned, rules: Rules) -> Finished:
        recorder, watch = Recorder(), _Watch(self._sampler)
        flown, accuracy = fly_periodic(
            self._flight,
            self._bundle,
            self._executor,
            self._settings,
            planned,
            rules,
            recorder,
            self._stop,
            places=self._all_places,
            stored=self.store,
            begin=watch.begin,
            end=watch.end,
        )
        late = flown.punctuality
        return self._finish(planned, flown.driven, recorder, watch, late, accuracy)

    def _finish(
        self,
        planned: Planned,
        driven: Driven,
        recorder: Recorder,
        watch: _Watch,
        punctuality: Punctuality | None = None,
        accuracy: FlownAccuracy | Unknown | None = None,
    ) -> Finished:
        query = draw_queries(self._flight.shots[:1], self._assembly.windows, 1, 0)[0]
        open_loop = planned.scenario is Scenario.PERIODIC
        idle = idle_flight(query, planned.clicks) if open_loop else idle_loop(query).step
        around = watch.around(recorder.count, driven.duration_s, harness_us(idle))
        line = measurement_line(
            self._run_id,
            planned,
            watch.started_utc,
            driven,
            recorder,
            around,
            self._executor.name,
            punctuality,
            accuracy,
        )
        return Finished(line, driven.error)


class _Watch:
    """Memory, processor and sensors over a measurement, from `begin` to `end`."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._memory, self._processor = MemoryWatch(), ProcessorWatch()
        self.started_utc = _now()
        unread = Unknown("the measurement did not come to its end")
        self._seen: tuple[Memory | Unknown, ProcessorTime | Unknown] = unread, unread

    def begin(self) -> None:
        """The warm-up is over."""
        self._memory = MemoryWatch()
        self._sampler.begin(self._memory.sample)
        self.started_utc = _now()
        # Of the whole process: by now this thread may stay on one core (`edge.cores`).
        self._processor = ProcessorWatch(cores=self._processor.cores)

    def end(self) -> None:
        """The last query is done."""
        self._seen = self._memory.read(), self._processor.read()

    def around(self, frames: int, duration_s: float, harness: float) -> Surroundings:
        """What was seen since."""
        memory, processor = self._seen
        return Surroundings(
            memory=memory,
            energy=self._sampler.energy(frames, duration_s),
            heat=self._sampler.heat(),
            processor=processor,
            harness_us=harness,
        )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
