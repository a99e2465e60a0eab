"""Power and temperature beside a run, sampled in a thread.

The thread does not compute: at each tick it reads a few open files, which lets go of the
interpreter while the sensor answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from benchmarks.record.lines import Energy, Heat, Unknown
from benchmarks.sensors.nvml import NvmlGpu, open_nvml
from benchmarks.sensors.rails import Supply, find_supply
from benchmarks.sensors.temperatures import Zone, find_zones, read_zones
from benchmarks.sensors.throttling import find_throttling
from benchmarks.sensors.trace import MeanPower, Sample, mean_power

ROOT = Path("/")
RATE_HZ = 10.0
HEAT_EVERY = 10  # ticks: temperatures are slow
BESIDE_EVERY = 5  # ticks
LEAST_SAMPLES = 5  # of power in a measurement, to speak of its energy
RESOLUTION_W = 1e-3  # finer than the steps of any such rail: what lies within it is rounding
SETTLE_S = 0.5  # of the idle time, left out: what ran before still cools down


@dataclass(slots=True)
class _Heat:
    """What was seen since a measurement began."""

    start_deg_c: dict[str, float]
    counts: dict[str, float]
    max_deg_c: dict[str, float] = field(default_factory=dict)
    limits: set[str] = field(default_factory=set)
    says: bool = False  # whether anything here would tell of throttling


class Sampler:
    """Samples the machine's sensors from `with` to its end.

    with Sampler(idle_s=2) as sampler:      # looks at the idle machine first
        for measurement in plan:
            sampler.begin()
            ...                             # frames
            sampler.energy(frames, duration_s), sampler.heat()
    """

    def __init__(
        self,
        root: Path = ROOT,
        *,
        idle_s: float = 10.0,
        rate_hz: float = RATE_HZ,
        gpu: bool = False,
    ) -> None:
        """Find the sensors; nothing is sampled yet.

        Args:
            root: of the system.
            idle_s: how long to look at the idle machine, seconds; not at all without a sensor.
            rate_hz: samples a second.
            gpu: whether the run is on a GPU: NVML is asked for its power then, where the board
                has no sensor of its own.
        """
        nvml = open_nvml() if gpu else Unknown("the run is not on a GPU that NVML knows")
        self._gpu = nvml if isinstance(nvml, NvmlGpu) else None
        self._supply = _choose(find_supply(root), nvml)
        zones = find_zones(root)
        self._no_zones = zones.reason if isinstance(zones, Unknown) else ""
        self._zones: tuple[Zone, ...] = () if isinstance(zones, Unknown) else zones
        self._throttling = find_throttling(root, self._gpu)
        self._idle_s, self._period_s = idle_s, 1 / rate_hz
        self._idle: MeanPower | None = None
        self._samples: list[Sample] = []
        self._begun_s = 0.0
        self._heat = _Heat({}, {})
        self._beside: Callable[[], None] = _nothing
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sensors", daemon=True)

    @property
    def power_source(self) -> str | Unknown:
        """Name of the rails or the GPU whose power is sampled, or why there is none."""
        return self._supply if isinstance(self._supply, Unknown) else self._supply.name

    def __enter__(self) -> Sampler:
        """Start the thread, and wait until the idle power is known."""
        self._thread.start()
        self.begin()
        if not isinstance(self._supply, Unknown) and self._idle_s > 0:
            self._stop.wait(self._idle_s)
            with self._lock:
                seen = list(self._samples)
            start_s, end_s = self._begun_s, time.monotonic()
            if len(seen) >= LEAST_SAMPLES:
                settled_s = min(SETTLE_S, self._idle_s / 4)
                self._idle = mean_power(seen, start_s + settled_s, end_s)
            self.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the thread; what it sampled stays."""
        self._stop.set()
        self._thread.join()

    def begin(self, beside: Callable[[], None] | None = None) -> None:
        """A measurement starts now; what was sampled before is forgotten.

        Args:
            beside: called twice a second from the thread, until the next measurement: reads
                something else that takes no time.
        """
        heat = _Heat(self._temperatures(), self._throttling.counts())
        with self._lock:
            self._samples.clear()
            self._heat = heat
            self._begun_s = time.monotonic()
            self._beside = beside or _nothing
        self._look_at_heat()

    def energy(self, frames: int, duration_s: float) -> Energy | Unknown:
        """Energy of a frame since `begin`, idle subtracted.

        Args:
            frames: done since `begin`.
            duration_s: how long that took, seconds; the rest until now is not counted.

        Returns:
            Unknown where there is no sensor, too few samples, or no more power than when idle.
        """
        if isinstance(self._supply, Unknown):
            return self._supply
        if self._idle is None:
            return Unknown("the power of the idle machine was not measured")
        if frames < 1:
            return Unknown("no frame was done")
        with self._lock:
            samples, start_s = list(self._samples), self._begun_s
        count = sum(start_s < each.time_s < start_s + duration_s for each in samples)
        if count < LEAST_SAMPLES:
            return Unknown(
                f"{count} samples of {self._supply.name} in {duration_s:.1f} s; it takes "
                f"{LEAST_SAMPLES}"
            )
        mean = mean_power(samples, start_s, start_s + duration_s)
        if mean.watts - self._idle.watts < RESOLUTION_W:
            return Unknown(
                f"{self._supply.name}: {mean.watts:.2f} W on average, no more than the "
                f"{self._idle.watts:.2f} W when idle"
            )
        return Energy(
            rail=self._supply.name,
            idle_w=self._idle.watts,
            mean_w=mean.watts,
            joule_per_frame=(mean.watts - self._idle.watts) * duration_s / frames,
            samples=mean.samples,
            rate_hz=mean.samples / duration_s,
        )

    def heat(self) -> Heat | Unknown:
        """Temperatures and throttling since `begin`."""
        self._look_at_heat()
        counts = self._throttling.counts()
        with self._lock:
            heat = self._heat
            if not heat.max_deg_c:
                return Unknown(self._no_zones or "no thermal zone answers")
            hottest = max(heat.max_deg_c, key=heat.max_deg_c.__getitem__)
            start = heat.start_deg_c.get(hottest, heat.max_deg_c[hottest])
            throttled: bool | None = None
            if heat.says or heat.counts:
                rose = any(value > heat.counts.get(name, value) for name, value in counts.items())
                throttled = rose or bool(heat.limits)
            return Heat(hottest, start, heat.max_deg_c[hottest], throttled)

    def _run(self) -> None:
        tick, due_s = 0, time.monotonic()
        while not self._stop.is_set():
            self._look_at_power()
            if tick % HEAT_EVERY == HEAT_EVERY - 1:
                self._look_at_heat()
            if tick % BESIDE_EVERY == BESIDE_EVERY - 1:
                with self._lock:
                    beside = self._beside
                beside()
            tick += 1
            due_s = max(due_s + self._period_s, time.monotonic())  # no burst after a hold-up
            self._stop.wait(due_s - time.monotonic())

    def _look_at_power(self) -> None:
        if isinstance(self._supply, Unknown):
            return
        before_s = time.monotonic()
        watts = self._supply.watts()
        if watts is not None:
            with self._lock:
                self._samples.append(Sample((before_s + time.monotonic()) / 2, watts))

    def _look_at_heat(self) -> None:
        now, limits = self._temperatures(), self._throttling.limits()
        with self._lock:
            highest = self._heat.max_deg_c
            for name, value in now.items():
                highest[name] = max(value, highest.get(name, value))
            if limits is not None:
                self._heat.says = True
                self._heat.limits.update(limits)

    def _temperatures(self) -> dict[str, float]:
        found = read_zones(self._zones)
        gpu = self._gpu.deg_c() if self._gpu else None
        return found if gpu is None or self._gpu is None else {**found, self._gpu.name: gpu}


def _nothing() -> None:
    """Of the idle machine nothing else is read."""


def _choose(supply: Supply | Unknown, nvml: NvmlGpu | Unknown) -> Supply | NvmlGpu | Unknown:
    """The whole board before its GPU alone; with neither both reasons."""
    if isinstance(supply, Supply):
        return supply
    if isinstance(nvml, Unknown):
        return Unknown(f"{supply.reason}; {nvml.reason}")
    if nvml.watts() is None:
        return Unknown(f"{supply.reason}; {nvml.name} does not tell its power")
    return nvml
