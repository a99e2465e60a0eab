"""Which measurements are done."""

from __future__ import annotations

import pytest

from benchmarks.record.lines import CacheState, Scenario
from benchmarks.scenarios.plan import MULTI_STREAM_CLICKS, Planned, plan
from edge.errors import UsageError

COLD, WARM, MIXED = CacheState.COLD, CacheState.WARM, CacheState.MIXED


def test_without_a_choice_all_but_soak_in_every_state():
    planned = plan((), (), 8)
    assert len(planned) == len(set(planned)) == 3 + 15 + 3 + 1
    assert {p.clicks for p in planned if p.scenario is Scenario.SINGLE_STREAM} == {1}
    multi = [p for p in planned if p.scenario is Scenario.MULTI_STREAM]
    assert {(p.state, p.clicks) for p in multi} == {
        (state, n) for state in (COLD, WARM, MIXED) for n in MULTI_STREAM_CLICKS
    }
    assert [p for p in planned if p.scenario is Scenario.OFFLINE] == [
        Planned(Scenario.OFFLINE, COLD, 0)
    ]
    assert {p.clicks for p in planned if p.scenario is Scenario.PERIODIC} == {8}
    assert Scenario.SOAK not in {p.scenario for p in planned}


@pytest.mark.parametrize(
    ("clicks", "counts"),
    [(8, [1, 2, 4, 8, 16]), (5, [1, 2, 4, 5, 8, 16]), (40, [1, 2, 4, 8, 16, 40])],
)
def test_the_clicks_that_were_asked_for_are_among_those_of_multi_stream(clicks, counts):
    """Each once, and in order, as tables show them."""
    planned = plan((Scenario.MULTI_STREAM,), (WARM, COLD), clicks)
    for state in (WARM, COLD):
        assert [each.clicks for each in planned if each.state is state] == counts


def test_a_soak_is_warm_unless_another_state_is_asked_for():
    assert plan((Scenario.SOAK,), (), 4) == (Planned(Scenario.SOAK, WARM, 4),)
    assert plan((Scenario.SOAK,), (COLD,), 4) == (Planned(Scenario.SOAK, COLD, 4),)


def test_named_twice_is_measured_once():
    twice = (Scenario.SINGLE_STREAM,) * 2
    assert plan(twice, (WARM, WARM), 8) == (Planned(Scenario.SINGLE_STREAM, WARM, 1),)


def test_nothing_to_measure_is_an_error():
    with pytest.raises(UsageError, match="nothing to measure") as caught:
        plan((Scenario.OFFLINE,), (WARM,), 8)
    assert caught.value.found == "--scenario offline --state warm"


@pytest.mark.parametrize(
    ("planned", "words"),
    [
        (Planned(Scenario.SINGLE_STREAM, WARM, 1), "single-stream, warm, 1 click"),
        (Planned(Scenario.PERIODIC, MIXED, 8), "periodic, mixed, 8 clicks"),
        (Planned(Scenario.OFFLINE, COLD, 0), "offline, cold"),
    ],
)
def test_words(planned, words):
    assert planned.words == words
