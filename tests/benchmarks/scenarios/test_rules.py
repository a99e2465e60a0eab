"""How long is measured."""

from __future__ import annotations

import pytest

from benchmarks.record.lines import CacheState, Scenario
from benchmarks.scenarios.plan import plan
from benchmarks.scenarios.rules import FULL, LOCKING_S, QUICK_WARM, Rules, rules_for


@pytest.mark.parametrize(
    ("queries", "elapsed_s", "enough"),
    [
        (1023, 61, False),  # time enough, queries too few
        (1024, 59, False),  # queries enough, time too short
        (1024, 60, True),
        (5000, 60, True),
        (7, 119, False),
        (7, 120, True),  # whichever ends first
        (0, 500, False),  # one query at least, however long it takes
    ],
)
def test_the_full_rules_are_those_that_are_stated(queries, elapsed_s, enough):
    assert FULL.enough(queries, elapsed_s) is enough


def test_the_warm_up_takes_both_a_number_and_a_time_but_not_for_ever():
    rules = Rules(warmup_queries=10, warmup_s=2.0, longest_warmup_s=8.0)
    assert not rules.warm(10, 1.9)
    assert not rules.warm(9, 2.0)
    assert rules.warm(10, 2.0)
    assert rules.warm(3, 8.0)
    assert not rules.warm(0, 9.0)


@pytest.mark.parametrize(
    ("rate_hz", "frames"),
    [
        (30.0, 1800),  # 60 s hold more than 1024 frames
        (10.0, 1024),  # 102.4 s
        (2.0, 240),  # 120 s are the longest
    ],
)
def test_an_open_loop_obeys_the_same_rules(rate_hz, frames):
    warmup, wanted = FULL.frames(rate_hz)
    assert wanted == frames
    assert warmup == round(LOCKING_S * rate_hz)


def test_a_quick_run_sees_enough_of_what_is_warm_for_a_p90():
    def rules(state, **changes):
        how = {"quick": True, "minutes": None, "soak_minutes": 10.0, **changes}
        return rules_for(Scenario.MULTI_STREAM, state, **how)

    assert rules(CacheState.WARM) is QUICK_WARM
    assert QUICK_WARM.least_queries >= 100
    _, frames = QUICK_WARM.frames(30.0)
    assert frames >= 100, "of a camera too"
    assert rules(CacheState.COLD).most_s < rules(CacheState.MIXED).most_s < QUICK_WARM.most_s
    assert rules(CacheState.COLD, quick=False) is FULL


def test_minutes_take_the_place_of_the_rules_but_not_in_a_soak():
    how = {"quick": False, "minutes": 2.0, "soak_minutes": 5.0}
    fixed = rules_for(Scenario.PERIODIC, CacheState.WARM, **how)
    assert fixed.frames(30.0)[1] == 3600
    assert not fixed.enough(100_000, 119.9)
    assert fixed.enough(1, 120.0)
    assert rules_for(Scenario.SOAK, CacheState.WARM, **how).most_s == 300.0


@pytest.mark.parametrize(("minutes", "warmup_s"), [(0.1, 3), (2.0, 12), (10.0, 60), (60.0, 60)])
def test_an_open_loop_of_minutes_warms_up_for_a_tenth_of_them(minutes, warmup_s):
    how = {"quick": False, "minutes": minutes, "soak_minutes": 5.0}
    fixed = rules_for(Scenario.PERIODIC, CacheState.WARM, **how)
    assert fixed.frames(30.0) == (30 * warmup_s, round(1800 * minutes))
    assert fixed.warm(32, 2.0), "other scenarios warm up as long as before"


def test_the_longest_quick_run_stays_below_three_minutes():
    """By its own limits, without what is encoded and scored before, which takes up to 40 s of work.

    No scenario and no state is left out of it.
    """
    planned, longest_s = plan([], [], 8), 0.0
    kinds = {(each.scenario, each.state) for each in planned}
    assert len(planned) == 22 and len(kinds) == 10
    for each in planned:
        how = {"quick": True, "minutes": None, "soak_minutes": 10.0}
        rules = rules_for(each.scenario, each.state, **how)
        if each.scenario is Scenario.PERIODIC:
            longest_s += sum(rules.frames(30.0)) / 30.0
        else:
            longest_s += rules.most_s + rules.longest_warmup_s
    assert longest_s < 80
