"""One call after another: what is kept, what is marked, what is done again."""

from __future__ import annotations

import pytest

from benchmarks.record.lines import (
    AccuracyLine,
    CacheState,
    FlownAccuracy,
    MeasurementLine,
    RooflineLine,
    RunLine,
    Scenario,
    Unknown,
)
from benchmarks.record.runs import read_runs
from benchmarks.scenarios import accuracy, session
from benchmarks.scenarios.plan import Planned
from edge.assembly import PriorChoice
from edge.errors import BenchmarkError, ExecutorError
from edge.localizer import Localizer

SINGLE = Planned(Scenario.SINGLE_STREAM, CacheState.WARM, 1)
COLD = Planned(Scenario.MULTI_STREAM, CacheState.COLD, 2)
OFFLINE = Planned(Scenario.OFFLINE, CacheState.COLD, 0)
PERIODIC = Planned(Scenario.PERIODIC, CacheState.WARM, 2)
pytestmark = pytest.mark.usefixtures("few_queries")


def test_every_scenario_leaves_a_line(call, sampler):
    done = call(SINGLE, COLD, PERIODIC, OFFLINE)
    assert not done.interrupted and done.skipped == 0
    (run,) = read_runs(call.path)
    assert run.measurements == done.measurements
    by_key = run.by_key()
    for planned in (SINGLE, COLD, OFFLINE):
        line = by_key[planned.scenario, planned.state, planned.clicks]
        assert (line.ended, line.latency.count, line.warmup_queries) == ("complete", 4, 1)
        assert line.duration_s > 0 and line.punctuality is None and line.harness_us > 0
    periodic = by_key[PERIODIC.scenario, PERIODIC.state, 2]
    assert periodic.punctuality is not None and periodic.punctuality.scheduled == 4
    assert periodic.punctuality.beside == (), "the tiny bundle has no alignment"
    assert periodic.punctuality.frames is not None
    own = periodic.accuracy
    assert isinstance(own, FlownAccuracy) and own.frames == 4
    assert own.answered == periodic.punctuality.age.count
    assert {line.accuracy for line in run.measurements if line is not periodic} == {None}
    assert sampler.begun == 4
    assert call.told == [
        "[1/4] single-stream, warm, 1 click",
        "[2/4] multi-stream, cold, 2 clicks",
        "[3/4] periodic, warm, 2 clicks",
        "[4/4] offline, cold",
    ]


def test_the_run_line_says_what_was_run_and_how(call, settings, choice, bundle):
    call(SINGLE)
    (run,) = call.lines(RunLine)
    assert run.settings == settings and run.command == "tilefix bench"
    assert (run.bundle.executor, run.bundle.threads) == ("onnxruntime", 1)
    assert dict(run.bundle.files)["graphs/fp32/localizer.onnx"]
    assert run.started_utc.endswith("+00:00")


def test_a_second_call_does_what_is_left(call):
    first = call(SINGLE, accuracy=True)
    second = call(SINGLE, COLD, accuracy=True)
    assert second.run.run_id == first.run.run_id
    assert second.skipped == 1 and [m.scenario for m in second.measurements] == [COLD.scenario]
    assert any("goes on with run" in line for line in call.told)
    (run,) = read_runs(call.path)
    assert len(run.calls) == 2 and len(run.measurements) == 2
    assert len(call.lines(AccuracyLine)) == 1, "scored once"
    before = call.path.read_bytes()
    assert call(SINGLE, COLD).skipped == 2
    assert call.path.read_bytes() == before, "a call that adds nothing leaves no line"


def test_what_a_stop_left_unscored_is_scored_by_the_next_call(call, stop, monkeypatch):
    """Stopped after the first of two priors: the second call scores with the other one alone."""
    passes, flown = [], accuracy._evaluated
    monkeypatch.setattr(accuracy, "priors_of", lambda bundle: ("none", "alignment"))
    monkeypatch.setattr(session, "priors_of", lambda bundle: ("none", "alignment"))

    def scored(flight, bundle, executor, prior, asked):
        passes.append(prior.value)
        judged = flown(flight, bundle, executor, PriorChoice.NONE, asked)
        stop.requested = passes == ["none", "alignment"]  # amid the second one
        return judged

    monkeypatch.setattr(accuracy, "_evaluated", scored)
    call(accuracy=True)
    assert [line.prior for line in call.lines(AccuracyLine)] == ["none"]
    stop.requested = False
    call(accuracy=True)
    assert passes == ["none", "alignment", "alignment"], "what was scored is not scored again"
    assert [line.prior for line in call.lines(AccuracyLine)] == ["none", "alignment"]
    call(accuracy=True)
    assert len(passes) == 3


def test_a_roofline_that_a_call_left_out_is_made_by_the_next(call, monkeypatch):
    """What was measured since then, and what had too few runs for a median."""
    asked = []

    def made(run_id, bundle, precision, graphs, **how):
        asked.append({(each.graph, each.clicks): each.median_ms for each in graphs})
        return [
            RooflineLine(
                run_id,
                each.graph,
                name,
                each.clicks,
                *[1] * 2,
                *[1.0] * 3,
                each.median_ms if name == precision else Unknown("another"),
                1.0,
            )
            for name in dict.fromkeys((precision, *bundle.precisions))
            for each in graphs
        ]

    monkeypatch.setattr("benchmarks.roofline.lines.roofline_lines", made)
    call(SINGLE, roofline=True)
    assert list(asked[0]) == [("localizer", 1)] and isinstance(asked[0]["localizer", 1], Unknown)
    call(SINGLE, OFFLINE, roofline=True)
    assert list(asked[1]) == [("reference_encoder", 0)], "four runs are still too few of the first"
    call(SINGLE, OFFLINE, roofline=True)
    assert len(asked) == 2, "nothing is left"


def test_other_settings_are_another_run(call):
    first = call(SINGLE)
    second = call(SINGLE, hit_rate=0.25)
    assert second.run.run_id != first.run.run_id and second.skipped == 0


def test_what_was_interrupted_is_kept_marked_and_done_again(call, stop, monkeypatch):
    localize, calls = Localizer.localize, []

    def counted(self, *given):
        calls.append(1)
        stop.requested = len(calls) == 3  # the warm-up, and two queries
        return localize(self, *given)

    monkeypatch.setattr(Localizer, "localize", counted)
    done = call(SINGLE, COLD)
    assert done.interrupted
    (line,) = done.measurements
    assert (line.ended, line.latency.count) == ("interrupted", 2)
    stop.requested = False
    again = call(SINGLE, COLD)
    assert again.skipped == 0 and len(again.measurements) == 2
    (run,) = read_runs(call.path)
    assert {m.ended for m in run.measurements} == {"complete"}, "of two, the last one counts"


def test_a_device_that_is_lost_is_an_error_and_a_marked_line(call, monkeypatch):
    localize, calls = Localizer.localize, []

    def failing(self, *given):
        calls.append(1)
        if len(calls) > 3:
            raise ExecutorError("it is gone", expected="a device", found="status 46", do="reboot")
        return localize(self, *given)

    monkeypatch.setattr(Localizer, "localize", failing)
    with pytest.raises(BenchmarkError, match="amid single-stream, warm, 1 click") as caught:
        call(SINGLE, COLD)
    assert caught.value.found == "status 46, after 2 queries"
    assert caught.value.do.startswith("reboot; ") and "goes on" in caught.value.do
    assert isinstance(caught.value.__cause__, ExecutorError)
    (line,) = call.lines(MeasurementLine)
    assert (line.ended, line.latency.count) == ("device lost: it is gone; status 46", 2)
    monkeypatch.setattr(Localizer, "localize", localize)
    assert call(SINGLE).skipped == 0, "it is not taken for complete"


def test_the_line_of_a_later_call_comes_before_what_it_adds(call):
    call(SINGLE)
    call(SINGLE)
    call(SINGLE, COLD)
    kinds = [type(line) for line in call.lines(RunLine | MeasurementLine)]
    assert kinds == [RunLine, MeasurementLine] * 2


def test_a_stop_before_the_next_measurement_begins_none(call, stop):
    stop.requested = True
    done = call(SINGLE)
    assert done.interrupted and done.measurements == ()
    assert len(call.lines(RunLine)) == 1, "a new run is in the record from its beginning"


def test_nothing_is_scored_once_a_stop_is_asked_for(call, stop):
    stop.requested = True
    call(accuracy=True)
    assert call.lines(AccuracyLine) == []
