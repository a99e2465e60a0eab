"""Power and temperature beside a run, sampled in a thread."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from benchmarks.record.lines import Energy, Heat, Unknown

ROOT = Path("/")
RATE_HZ = 10.0


class Sampler:
    """Samples the machine's sensors from `with` to its end.

    with Sampler(idle_s=2) as sampler:      # measures the idle power first
        for measurement in plan:
            sampler.begin()
            ...                             # frames
            sampler.energy(frames, duration_s), sampler.heat()
    """

    def __init__(
        self, root: Path = ROOT, *, idle_s: float = 10.0, rate_hz: float = RATE_HZ
    ) -> None:
        """Find the sensors below `root`; nothing is read yet.

        Args:
            root: of the system; NVML is asked only where it is "/".
            idle_s: how long to look at the idle machine, seconds.
            rate_hz: samples a second.
        """
        raise NotImplementedError

    def __enter__(self) -> Sampler:
        """Start the thread and wait until the idle power is known."""
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    def begin(self) -> None:
        """A measurement starts now; what was sampled before is forgotten."""
        raise NotImplementedError

    def energy(self, frames: int, duration_s: float) -> Energy | Unknown:
        """Energy of a frame since `begin`, idle subtracted.

        Args:
            frames: done since `begin`.
            duration_s: how long that took, seconds; the rest until now is not counted.
        """
        raise NotImplementedError

    def heat(self) -> Heat | Unknown:
        """Temperatures and throttling since `begin`."""
        raise NotImplementedError
