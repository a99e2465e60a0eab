"""One query: its stages, and that they are those of the frame path."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.record.lines import CacheState
from benchmarks.scenarios.cache_states import StatedCache
from benchmarks.scenarios.closed_loop import ClosedLoop, split
from benchmarks.scenarios.idle_parts import idle_loop
from benchmarks.scenarios.offline import OfflineLoop
from benchmarks.scenarios.queries import draw_queries
from benchmarks.scenarios.recorder import COLUMNS, STAGES
from edge.assembly import PriorChoice
from edge.executors.run_clock import RunClock
from edge.feature_cache import FeatureCache
from edge.types import Timings


def named(found):
    return dict(zip(COLUMNS, found, strict=True))


@pytest.fixture
def assembly(flight, tiny_bundle, choice):
    made = flight.assemble(tiny_bundle, choice, prior=PriorChoice.NONE)
    yield made
    made.close()


@pytest.fixture
def loop(flight, assembly):
    def make(state, clicks=2):
        queries = draw_queries(flight.shots, assembly.windows, clicks, 0)
        cache = FeatureCache(assembly.localizer, assembly.pictures)
        return ClosedLoop(queries, StatedCache(cache, state, 0.5), assembly.localizer)

    return make


def test_the_stages_of_a_cold_query_make_up_its_total(loop):
    found = named(loop(CacheState.COLD).step(0))
    ran = {name: found[name] for name in STAGES if found[name] >= 0}
    assert set(ran) == {"capture", "window", "encode", "preprocess", "engine", "postprocess"}
    assert all(value > 0 for value in ran.values())
    assert found["gpu"] == found["copy"] == -1, "ONNX Runtime copies nothing, and has no events"
    # What is left is the harness: reading clocks and counting; or another program, now and then.
    shares = []
    for index in range(10):
        each = named(loop(CacheState.COLD).step(index))
        shares.append(sum(each[name] for name in ran) / each["total"])
    assert max(shares) > 0.8 and all(share <= 1.001 for share in shares)


def test_a_warm_query_does_not_encode(loop):
    warm = loop(CacheState.WARM)
    warm.step(0)
    assert named(warm.step(0))["encode"] == -1


def test_each_query_is_located_as_the_localizer_locates(loop, assembly, flight, monkeypatch):
    asked = []
    localize = assembly.localizer.localize

    def watched(frame, clicks, feature):
        asked.append((frame, clicks))
        return localize(frame, clicks, feature)

    monkeypatch.setattr(assembly.localizer, "localize", watched)
    closed = loop(CacheState.WARM)
    for index in (0, 1, 2, 3):
        closed.step(index)
    frames = [frame for frame, _ in asked]
    rgb = [shot.image_bgr[:, :, ::-1] for shot in flight.shots]
    for frame, expected in zip(frames, [*rgb, rgb[0]], strict=True):
        np.testing.assert_array_equal(frame.image, expected)
        assert frame.image.flags.c_contiguous
    assert all(len(clicks) == 2 for _, clicks in asked)


def test_device_times_are_differences_of_this_query_alone(loop, assembly, monkeypatch):
    clock = RunClock(1000, 2000, 3000)  # of runs before
    localize = assembly.localizer.localize

    def on_device(frame, clicks, feature):
        clock.add_device(engine_ns=50, staging_ns=3, copies_ns=7, gpu_ns=41)
        return localize(frame, clicks, feature)

    monkeypatch.setattr(assembly.localizer, "clock", clock)
    monkeypatch.setattr(assembly.localizer, "localize", on_device)
    found = named(loop(CacheState.WARM).step(0))
    assert (found["engine"], found["copy"], found["gpu"]) == (43, 10, 41)


def test_what_is_neither_before_nor_in_the_engine_comes_after():
    timings = Timings(preprocess_ms=0.001)
    expected = {"preprocess": 1000, "copy": 20, "engine": 600, "postprocess": 380}
    assert split(timings, 2000, 600, 20) == expected
    assert split(timings, 2000, 600, None) == {**expected, "copy": -1, "postprocess": 400}
    assert split(timings, 1500, 600, None)["postprocess"] == 0, "clocks that round are no stage"


def test_the_idle_loop_runs_the_same_step(flight, assembly):
    query = draw_queries(flight.shots, assembly.windows, 1, 0)[0]
    idle = idle_loop(query)
    assert type(idle).step is ClosedLoop.step
    found = named(idle.step(0))
    assert (found["engine"], found["copy"], found["gpu"], found["encode"]) == (0, 0, 0, -1)


def test_offline_encodes_window_after_window(assembly, flight, monkeypatch):
    place = assembly.windows.choose(flight.shots[0].pose).places[0]
    places = (place, replace(place, left_px=place.left_px + 16))
    encoded, described = [], []
    encode = assembly.localizer.encode

    def watched(window):
        encoded.append(window.window_id)
        return encode(window)

    monkeypatch.setattr(assembly.localizer, "encode", watched)
    loop = OfflineLoop(places, assembly.pictures, assembly.localizer, described.append)
    rows = [named(loop.step(index)) for index in range(3)]
    assert encoded[0] == encoded[2] != encoded[1]
    assert [window.window_id for window in described] == encoded
    for found in rows:
        assert {name for name in STAGES if found[name] >= 0} == {"window", "encode", "align"}
    without = OfflineLoop(places, assembly.pictures, assembly.localizer, None)
    assert named(without.step(0))["align"] == -1
