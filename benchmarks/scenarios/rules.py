"""How long is measured, and how long is warmed up before."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.record.lines import CacheState, Scenario

LOCKING_S = 3.0  # of an open loop: until the alignment beside it has found its place
# Of an open loop of given minutes, and for so long at most: most windows of a flight come by for
# the first time then, and memory for them is taken. Growth shall tell what leaks, not what fills.
FILLING_SHARE, LONGEST_FILLING_S = 0.1, 60.0


@dataclass(frozen=True, slots=True)
class Rules:
    """When a measurement may end: enough queries and enough time, or the longest time."""

    least_queries: int = 1024
    least_s: float = 60.0
    most_s: float = 120.0
    warmup_queries: int = 32  # at least so many, for at least so long; they are not counted
    warmup_s: float = 2.0
    longest_warmup_s: float = 10.0  # whatever the number
    filling_s: float = 0.0  # of an open loop, at least

    def enough(self, queries: int, elapsed_s: float) -> bool:
        """Whether to end."""
        done = queries >= self.least_queries and elapsed_s >= self.least_s
        return queries > 0 and (done or elapsed_s >= self.most_s)

    def warm(self, queries: int, elapsed_s: float) -> bool:
        """Whether the warm-up is over."""
        done = queries >= self.warmup_queries and elapsed_s >= self.warmup_s
        return queries > 0 and (done or elapsed_s >= self.longest_warmup_s)

    def frames(self, rate_hz: float) -> tuple[int, int]:
        """Of an open loop: frames of the warm-up, and frames that are measured."""
        wanted_s = min(max(self.least_s, self.least_queries / rate_hz), self.most_s)
        warmup = max(1, round(max(self.warmup_s, LOCKING_S, self.filling_s) * rate_hz))
        return warmup, max(1, round(wanted_s * rate_hz))


FULL = Rules()
# All of a quick run together in under 3 minutes on two cores, and in 150 s of their work. What is
# warm takes longer, for it is what flies: 100 queries of it tell a p90 and whether it drifts. What
# is cold takes a window's encoding each time, which more queries would tell nothing new of.
QUICK_WARM = Rules(110, 1.5, 4.0, warmup_queries=4, warmup_s=0.3, longest_warmup_s=0.8)
QUICK_MIXED = Rules(24, 1.2, 2.0, warmup_queries=2, warmup_s=0.2, longest_warmup_s=0.6)
QUICK_COLD = Rules(10, 1.2, 1.5, warmup_queries=1, warmup_s=0.1, longest_warmup_s=0.5)


def rules_for(
    scenario: Scenario,
    state: CacheState,
    *,
    quick: bool,
    minutes: float | None,
    soak_minutes: float,
) -> Rules:
    """The rules of one measurement.

    Args:
        scenario: soak takes `soak_minutes`.
        state: of the cache.
        quick: the short rules.
        minutes: of every measurement but soak, in place of the rules; None: by the rules.
        soak_minutes: of soak.
    """
    fixed = soak_minutes if scenario is Scenario.SOAK else minutes
    if fixed is not None:
        warmup = QUICK_WARM if quick else FULL
        return Rules(
            least_queries=1,
            least_s=60 * fixed,
            most_s=60 * fixed,
            warmup_queries=warmup.warmup_queries,
            warmup_s=warmup.warmup_s,
            longest_warmup_s=warmup.longest_warmup_s,
            filling_s=min(FILLING_SHARE * 60 * fixed, LONGEST_FILLING_S),
        )
    if not quick:
        return FULL
    by_state = {
        CacheState.WARM: QUICK_WARM,
        CacheState.MIXED: QUICK_MIXED,
        CacheState.COLD: QUICK_COLD,
    }
    return by_state[state]
