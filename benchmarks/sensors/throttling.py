"""Whether the machine held itself back: counters that rose, and what limits it now.

A Jetson counts overcurrent and undervoltage events (soctherm_oc: oc<N>_event_cnt) and lowers clocks
through cooling devices; Intel's processors count thermal events of the package; NVML says why a GPU
runs slower than asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.record.lines import Unknown
from benchmarks.sensors.nvml import NvmlGpu
from benchmarks.sensors.sensor_file import SensorFile, open_sensor
from edge.checkups.finding import read_text

COUNTERS = (
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count",
)
COOLERS = "sys/class/thermal/cooling_device*"
SLOWING = ("throttle", "cpufreq", "devfreq", "processor")  # in a type; a fan slows nothing


@dataclass(frozen=True, slots=True)
class Throttling:
    """All that tells of throttling here."""

    counters: tuple[tuple[str, SensorFile], ...]  # of events since the start of the machine
    coolers: tuple[tuple[str, SensorFile], ...]  # 0: not in use
    gpu: NvmlGpu | None

    def counts(self) -> dict[str, float]:
        """The counters that answer now, by name."""
        values = ((name, file.read()) for name, file in self.counters)
        return {name: value for name, value in values if value is not None}

    def limits(self) -> tuple[str, ...] | None:
        """What slows the machine down now; None: nothing here would say so."""
        slowdowns = self.gpu.slowdowns() if self.gpu else None
        states = [(name, file.read()) for name, file in self.coolers]
        if slowdowns is None and all(state is None for _, state in states):
            return None
        return (*(name for name, state in states if state), *(slowdowns or ()))

    def text(self) -> str | Unknown:
        """Counters and limits for people, as they are now."""
        counts, limits = self.counts(), self.limits()
        if not counts and limits is None:
            return Unknown("no counter of throttling, no cooling device that would say so")
        parts = [f"{name} {value:.0f}" for name, value in counts.items()]
        events = f"events since boot: {', '.join(parts)}" if parts else ""
        now = "" if limits is None else f"now: {', '.join(limits) or 'none'}"
        return "; ".join(filter(None, (events, now)))


def find_throttling(root: Path, gpu: NvmlGpu | None) -> Throttling:
    """What tells of throttling below `root`, and of a GPU that NVML knows."""
    counters = [
        (_counter_name(path), path) for each in COUNTERS for path in sorted(root.glob(each))
    ]
    coolers = [
        (kind, folder / "cur_state")
        for folder in sorted(root.glob(COOLERS))
        if any(word in (kind := (read_text(folder / "type") or "").lower()) for word in SLOWING)
    ]
    return Throttling(_opened(counters), _opened(coolers), gpu)


def _opened(places: list[tuple[str, Path]]) -> tuple[tuple[str, SensorFile], ...]:
    found = []
    for name, path in places:
        try:
            file = open_sensor(path)
        except PermissionError:
            continue
        if file is not None:
            found.append((name, file))
    return tuple(found)


def _counter_name(path: Path) -> str:
    """ "oc3" of a Jetson, "package" of a PC."""
    return path.name.partition("_")[0]
