"""Which measurements a run consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.record.lines import CacheState, Scenario, Settings
from benchmarks.scenarios.rules import Rules, rules_for
from edge.errors import UsageError

MULTI_STREAM_CLICKS = (1, 2, 4, 8, 16)
DEFAULT = (Scenario.SINGLE_STREAM, Scenario.MULTI_STREAM, Scenario.PERIODIC, Scenario.OFFLINE)
STATES = (CacheState.WARM, CacheState.MIXED, CacheState.COLD)  # what flies comes first
# Where a state has a meaning: tiles are encoded because they never were, and a soak is of what
# flies unless another state is asked for.
MEANINGFUL: dict[Scenario, tuple[CacheState, ...]] = {
    Scenario.SINGLE_STREAM: STATES,
    Scenario.MULTI_STREAM: STATES,
    Scenario.PERIODIC: STATES,
    Scenario.OFFLINE: (CacheState.COLD,),
    Scenario.SOAK: STATES,
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One measurement to do."""

    scenario: Scenario
    state: CacheState
    clicks: int  # in each frame; 0 for offline

    @property
    def words(self) -> str:
        """For people."""
        unit = "click" if self.clicks == 1 else "clicks"
        tail = f", {self.clicks} {unit}" if self.clicks else ""
        return f"{self.scenario.value}, {self.state.value}{tail}"

    def rules(self, settings: Settings) -> Rules:
        """When it ends, by the settings of its run."""
        return rules_for(
            self.scenario,
            self.state,
            quick=settings.quick,
            minutes=settings.minutes,
            soak_minutes=settings.soak_minutes,
        )


def plan(
    scenarios: Sequence[Scenario], states: Sequence[CacheState], clicks: int
) -> tuple[Planned, ...]:
    """The measurements that were asked for.

    Args:
        scenarios: none: all but soak.
        states: none: all that have a meaning, of soak the warm one.
        clicks: in a frame of periodic and soak; of multi-stream one of the numbers, in its place.

    Raises:
        UsageError: nothing is left, such as `offline` with `warm`.
    """
    found: list[Planned] = []
    for scenario in scenarios or DEFAULT:
        counts = {
            Scenario.SINGLE_STREAM: (1,),
            Scenario.MULTI_STREAM: tuple(sorted({*MULTI_STREAM_CLICKS, clicks})),
            Scenario.OFFLINE: (0,),
        }.get(scenario, (clicks,))
        usual = (CacheState.WARM,) if scenario is Scenario.SOAK else MEANINGFUL[scenario]
        wanted = [state for state in MEANINGFUL[scenario] if state in (states or usual)]
        found += [Planned(scenario, state, count) for state in wanted for count in counts]
    if not found:
        raise UsageError(
            "there is nothing to measure",
            expected="a state that the scenario has: offline encodes what was never encoded, cold",
            found=f"--scenario {' '.join(s.value for s in scenarios)} "
            f"--state {' '.join(s.value for s in states)}",
            do="leave --state out, or add another --scenario",
        )
    return tuple(dict.fromkeys(found))
