"""Memory is worked out before anything starts, and what does not fit is refused."""

from __future__ import annotations

import math
import tracemalloc
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from benchmarks.record.lines import CacheState, Scenario
from benchmarks.scenarios import flown_accuracy as judging
from benchmarks.scenarios import memory_need as need_module
from benchmarks.scenarios.flight_log import FlightLog
from benchmarks.scenarios.memory_need import check_memory, memory_need
from benchmarks.scenarios.open_loop import punctuality
from benchmarks.scenarios.plan import Planned
from benchmarks.scenarios.queries import LAPS, draw_clicks
from benchmarks.scenarios.recorder import Recorder, row
from edge.errors import UsageError

GB = 10**9
SINGLE = Planned(Scenario.SINGLE_STREAM, CacheState.WARM, 1)
PERIODIC = Planned(Scenario.PERIODIC, CacheState.WARM, 8)
SOAK = Planned(Scenario.SOAK, CacheState.WARM, 1000)


@pytest.fixture
def asked(settings):
    """`asked(minutes=...)`: settings of a whole run at 30 Hz."""
    return lambda **changes: msgspec.structs.replace(
        settings, **{"quick": False, "rate_hz": 30.0, **changes}
    )


def test_frames_times_clicks_times_bytes(asked):
    need = memory_need(PERIODIC, asked(minutes=10.0), 24)
    assert need.frames == 30 * (600 + 60), "ten minutes, and one to warm up"
    drawn = 24 * 8 * need_module.DRAWN_BYTES
    one = need_module.FRAME_BYTES + 8 * need_module.ANSWER_BYTES
    assert need.size_bytes == need.frames * one + drawn
    assert memory_need(PERIODIC, asked(minutes=20.0), 24).size_bytes > 1.8 * need.size_bytes
    more = msgspec.structs.replace(asked(minutes=10.0), rate_hz=300.0)
    assert memory_need(PERIODIC, more, 24).frames == 10 * need.frames


def test_closed_loops_keep_their_clicks_alone(asked):
    need = memory_need(SOAK, asked(minutes=1e9), 24)
    assert need.frames == 0
    assert need.size_bytes == LAPS * 24 * 1000 * need_module.DRAWN_BYTES


@pytest.mark.parametrize("clicks", [1, 8, 32])
def test_what_is_worked_out_is_what_a_flight_takes(monkeypatch, asked, clicks):
    """Its log, its times and its judgement, at their largest."""
    frames = 70_000  # soon after the recorder has doubled
    units, boxes = np.zeros((100, clicks), np.int64), np.array([[0.0, 0.0, 9.0, 9.0]])
    monkeypatch.setattr(judging, "_labels", lambda *given: (units, boxes))
    times = row(5_000_000, start_delay_ns=3, engine=5)
    tracemalloc.start()
    try:
        given_ns = np.zeros(frames, np.int64)  # as the camera keeps them
        log, recorder = FlightLog([n % 100 for n in range(frames)], clicks), Recorder()
        for _ in range(frames):
            recorder.add(times)
        log.answered[:] = True
        late = punctuality(recorder, 30.0, frames, (), log)
        judging.flown_accuracy(SimpleNamespace(punctuality=late, log=log), None, (), None)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(given_ns) == frames
    one = need_module.FRAME_BYTES + clicks * need_module.ANSWER_BYTES
    assert 0.6 * frames * one < taken <= frames * one


def test_what_is_worked_out_is_what_drawn_clicks_take(flight):
    tracemalloc.start()
    try:
        drawn = draw_clicks(flight.shots[0], 10_000, np.random.default_rng(0))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.6 < taken / (len(drawn) * need_module.DRAWN_BYTES) <= 1.2


def test_what_fits_is_not_refused(asked):
    need = memory_need(PERIODIC, asked(minutes=10.0), 24).size_bytes
    check_memory([SINGLE, PERIODIC], asked(minutes=10.0), 24, math.ceil(need))
    check_memory([SINGLE], asked(minutes=1e300), 24, 10**6)


def test_a_flight_of_too_many_frames_is_refused_with_what_it_would_take(asked):
    with pytest.raises(UsageError) as caught:
        check_memory([SINGLE, PERIODIC], asked(minutes=1e6), 24, 8 * GB)
    assert str(caught.value) == (
        "periodic, warm, 8 clicks: what it has to keep does not fit into memory\n"
        "  expected: at most 8.0 GB, which are available here\n"
        "  found:    3,369.6 GB for 1,800,001,800 frames with 8 clicks in each "
        "(--rate-hz 30, --minutes 1e+06)\n"
        "  do:       give fewer --minutes, or fewer --clicks"
    )
    assert caught.value.exit_code == 2


def test_a_rate_by_itself_is_refused_without_talk_of_minutes(asked):
    with pytest.raises(UsageError, match="does not fit into memory") as caught:
        check_memory([PERIODIC], asked(rate_hz=1e9), 24, 8 * GB)
    assert caught.value.found.endswith("frames with 8 clicks in each (--rate-hz 1e+09)")
    assert caught.value.do == "give a smaller --rate-hz, or fewer --clicks"


def test_more_frames_than_can_be_counted_are_refused(asked):
    with pytest.raises(UsageError) as caught:
        check_memory([PERIODIC], asked(minutes=1e308), 24, 8 * GB)
    assert caught.value.found.startswith("more than 1e308 GB for more than 1e308 frames")
    with pytest.raises(UsageError, match="does not fit") as caught:
        check_memory([PERIODIC], asked(minutes=1e290), 24, 8 * GB)
    assert "for 1.8e+293 frames" in caught.value.found


def test_more_clicks_than_memory_are_refused_in_a_closed_loop_too(asked):
    many = Planned(Scenario.MULTI_STREAM, CacheState.COLD, 10**8)
    with pytest.raises(UsageError, match="multi-stream, cold, 100000000 clicks") as caught:
        check_memory([SINGLE, many], asked(), 24, 8 * GB)
    assert caught.value.found == "3,840.0 GB for 192 queries with 100,000,000 clicks in each"
    assert caught.value.do == "give fewer --clicks"


def test_the_system_is_asked_what_there_is(asked, monkeypatch):
    monkeypatch.setattr(need_module, "available_memory_bytes", lambda: 1000)
    with pytest.raises(UsageError, match="does not fit"):
        check_memory([PERIODIC], asked(), 24)
    monkeypatch.setattr(need_module, "available_memory_bytes", lambda: None)
    check_memory([PERIODIC], asked(), 24)
