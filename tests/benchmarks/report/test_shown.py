"""Labels, the headline, what answers are worth, doubts and reasons of what is not known."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from made_bench_record import device_run, processor_run, written
from made_record import accuracy_line, measurement_line, run_line

from benchmarks.record.lines import (
    CacheState,
    Heat,
    Memory,
    ProcessorTime,
    Scenario,
    Stability,
    Unknown,
)
from benchmarks.record.runs import Run
from benchmarks.report.doubts import Doubt, doubts_of, marks_of
from benchmarks.report.headline import verdict_of
from benchmarks.report.numbers import missed_share, ms
from benchmarks.report.shown import labels, read_shown, shown_runs
from benchmarks.report.unknowns import unknowns_of
from edge.errors import BenchmarkError

TOOK = "other programs and guests took 6% of the cores"


def shown(*measurements, accuracy=(), rooflines=(), **changes):
    run = Run((run_line(**changes),), tuple(accuracy), measurements, tuple(rooflines), ())
    return shown_runs([run])[0]


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "bench.jsonl"
    return read_shown([written(path, processor_run()).parent])[0]


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.2134, "0.21"), (9.994, "9.99"), (21.44, "21.4"), (99.94, "99.9"), (1930.4, "1,930")],
)
def test_milliseconds_have_three_digits(value, wanted):
    assert ms(value) == wanted


def test_one_missed_frame_is_never_rounded_to_none():
    assert missed_share(0, 18_000) == "0 %"
    assert missed_share(1, 18_000) == "0.0056 %"
    assert missed_share(18, 18_000) == "0.1 %" and missed_share(1800, 18_000) == "10 %"
    assert missed_share(0, 0) == "-"


# --- labels --------------------------------------------------------------------------------------


def run_of(run_id="0" * 16, **changes) -> Run:
    return Run((run_line(run_id, **changes),), (), (), (), ())


def test_labels_name_what_differs_and_leave_out_what_does_not():
    assert labels([run_of()]) == ["lite · fp32"]
    assert labels([run_of(), run_of("1" * 16, precision="fp16")]) == ["lite · fp32", "lite · fp16"]
    found = labels([run_of(), run_of("1" * 16, threads=4)])
    assert found == ["lite · fp32 · 2 threads", "lite · fp32 · 4 threads"]
    unnamed = {"board": Unknown("no"), "cpu": Unknown("no")}
    found = labels([run_of(**unnamed), run_of("1" * 16, board=Unknown("no"), cpu="Xeon")])
    assert found == ["lite · fp32 · a machine without a name", "lite · fp32 · Xeon"]


def test_labels_are_never_the_same_twice():
    runs = [run_of(), run_of("1" * 16), run_of("2" * 16, precision="fp16")]
    assert len(set(labels(runs))) == 3


def test_a_run_of_two_files_is_shown_once(tmp_path):
    first = written(tmp_path / "a.jsonl", device_run())
    second = written(tmp_path / "b.jsonl", device_run(), device_run("c" * 16))
    assert [each.run.line.run_id for each in read_shown([first, second])] == ["b" * 16, "c" * 16]


def test_a_missing_record_is_refused(tmp_path):
    with pytest.raises(BenchmarkError):
        read_shown([tmp_path / "none.jsonl"])


# --- headline ------------------------------------------------------------------------------------


def test_the_headline_is_nearest_to_a_flight(processor):
    best = processor.headline
    assert best.words == "periodic, warm, 8 clicks"
    without = dataclasses.replace(
        processor,
        measured=tuple(e for e in processor.measured if e.line.scenario is not Scenario.PERIODIC),
    )
    assert without.headline.words == "multi-stream, warm, 8 clicks"
    assert without.headline.summary.count == 1100
    assert without.open_loop is None and processor.open_loop is best


def test_too_few_queries_for_a_median_are_no_headline():
    few = measurement_line((1,) * 9, scenario=Scenario.PERIODIC)
    found = shown(few, measurement_line())
    assert found.headline.words == "multi-stream, warm, 8 clicks"
    assert found.open_loop.words == "periodic, warm, 8 clicks"
    assert shown(few).headline.words == "periodic, warm, 8 clicks", "rather than nothing"


def test_accuracy_is_that_of_what_the_scenario_does(processor):
    live = processor.open_loop.line
    assert processor.worth(live) is live.accuracy and live.accuracy.acc25 == pytest.approx(0.81)
    plain, old = measurement_line(), measurement_line(scenario=Scenario.PERIODIC)
    assert processor.worth(plain).prior == "none"
    assert shown().worth(plain) is None
    aligned = shown(old, accuracy=[accuracy_line()])
    assert aligned.worth(plain) is None, "another prior is another accuracy"
    assert aligned.worth(old) is None, "and an unhurried pass is no flight"
    words = "periodic, warm, 8 clicks: its own fixes were not scored"
    assert Doubt(words, True) in doubts_of(aligned)
    why = msgspec.structs.replace(old, accuracy=Unknown("interrupted"))
    assert Doubt(f"{words}: interrupted", True) in doubts_of(shown(why))


def test_verdicts():
    assert verdict_of(shown()).kind == "bad"
    assert verdict_of(shown(measurement_line())).words.startswith("3.00 ms at the median")
    few = verdict_of(shown(measurement_line((1,) * 5)))
    assert few.words == "n < 10, multi-stream, warm, 8 clicks"


def test_a_held_rate_is_good_and_a_missed_one_is_not(tmp_path):
    (device,) = read_shown([written(tmp_path / "a.jsonl", device_run())])
    assert verdict_of(device).kind == "good" and "30 Hz held, 0 %" in verdict_of(device).words
    late = device.headline.line.punctuality
    line = msgspec.structs.replace(
        device.headline.line, punctuality=msgspec.structs.replace(late, missed=13)
    )
    worse = shown(line, accuracy=device.run.accuracy)
    assert verdict_of(worse).kind == "bad"
    assert "30 Hz not held, 0.11 % of the frames missed" in verdict_of(worse).words
    doubtful = shown(device.headline.line)
    assert verdict_of(doubtful).kind == "warn", "held, but nothing is known of the answers"


# --- doubts --------------------------------------------------------------------------------------


def test_grave_doubts_come_first_and_say_what_was_seen(processor):
    found = doubts_of(processor)
    grave = [doubt.words for doubt in found if doubt.grave]
    assert [doubt.grave for doubt in found] == [True] * len(grave) + [False] * (
        len(found) - len(grave)
    )
    text = "\n".join(grave)
    assert "soak, warm, 8 clicks: unstable; the first tenth" in text and "+2" in text
    assert "throttled, at up to 97 °C in cpu-thermal" in text
    assert "periodic, cold, 8 clicks: interrupted, after 7 queries" in text


def test_marks_of_a_row():
    lost = measurement_line(ended="device lost: cudaErrorIllegalAddress")
    hot = measurement_line(heat=Heat("tj", 50.0, 99.0, True))
    unsure = measurement_line(heat=Heat("tj", 50.0, 99.0, None))
    found = [marks_of(each) for each in shown(lost, hot, unsure).measured]
    few = "stability unknown"
    assert found == [f"DEVICE LOST, {few}", f"THROTTLED, {few}", few]
    assert marks_of(shown(measurement_line((3_000_000,) * 100)).measured[0]) == ""


def test_what_may_have_drifted_is_as_grave_as_what_did():
    doubtful = Stability(3.0, 3.3, False, of="hits", more_ms=(-0.1, 0.6))
    line = measurement_line((3_000_000,) * 100, stability=doubtful)
    found = shown(line, accuracy=[accuracy_line()])
    assert marks_of(found.measured[0]) == "CANNOT TELL IF STABLE" and found.measured[0].unstable
    words = (
        f"{found.measured[0].words}: cannot tell if stable; the first tenth of the hits took "
        "3.00 ms, the last 3.30 ms (medians): +10%, which may be chance"
    )
    assert doubts_of(found) == (Doubt(words, True),)


@pytest.mark.parametrize(("others_s", "marked"), [(0.8, ""), (1.2, "DISTURBED")])
def test_others_at_work_are_a_doubt_above_a_twentieth_of_the_cores(others_s, marked):
    spent = ProcessorTime(wall_s=10.0, cores=2, own_s=15.0, others_s=others_s, stolen_s=0.1)
    found = shown(measurement_line((3_000_000,) * 100, processor=spent), accuracy=[accuracy_line()])
    assert marks_of(found.measured[0]) == marked
    words = [doubt.words for doubt in doubts_of(found)]
    assert words == ([f"{found.measured[0].words}: {TOOK}"] if marked else [])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quick": True}, "a quick run"),
        ({"load_average": 3.0}, "the machine was busy: load 3.0 on 6 cores"),
        ({"commit": "e" * 40 + "+12345678"}, "changes that are in no commit"),
    ],
)
def test_doubts_of_the_whole_run(changes, said):
    accuracy = [accuracy_line()]
    clean = [doubt.words for doubt in doubts_of(shown(accuracy=accuracy))]
    assert clean == []
    assert any(said in doubt.words for doubt in doubts_of(shown(accuracy=accuracy, **changes)))


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        ((0.1, 3.0, 2.5), "3.0"),  # the first call found a quiet machine
        ((2.5, 0.1), "2.5"),
        ((Unknown("no /proc/loadavg"), 4.0), "4.0"),
        ((0.1, 1.7), None),
        ((Unknown("no /proc/loadavg"),) * 2, None),
    ],
)
def test_the_busiest_of_all_calls_counts(loads, said):
    calls = tuple(run_line(load_average=load) for load in loads)
    (found,) = shown_runs([Run(calls, (accuracy_line(),), (), (), ())])
    words = [doubt.words for doubt in doubts_of(found) if "busy" in doubt.words]
    assert words == ([f"the machine was busy: load {said} on 6 cores"] if said else [])


def test_growing_memory_and_a_dear_harness_are_doubts():
    line = measurement_line(memory=Memory(100, 103, 110), harness_us=21.0)
    words = " ".join(doubt.words for doubt in doubts_of(shown(line, accuracy=[accuracy_line()])))
    assert "memory grew by 3.0%" in words and "21 µs a query" in words
    line = measurement_line(memory=Memory(100, 102, 110), harness_us=19.0)
    assert not doubts_of(shown(line, accuracy=[accuracy_line()]))
    tenths = Memory(100, 100, 110, samples_bytes=(100,) * 20, first_bytes=100, last_bytes=104)
    line = measurement_line(memory=tenths)
    (doubt,) = doubts_of(shown(line, accuracy=[accuracy_line()]))
    assert doubt.words.endswith("memory grew by 4.0%"), "tenths, not two readings"


def test_what_is_faster_than_its_bound_tells_of_a_busy_machine(processor):
    (roof, *_) = processor.run.rooflines
    above = msgspec.structs.replace(roof, fraction=1.2)
    found = doubts_of(shown(accuracy=[accuracy_line()], rooflines=[above]))
    assert "encoder reached 120% of its bound" in found[0].words


# --- unknowns ------------------------------------------------------------------------------------


def test_every_reason_is_said_once(processor):
    found = unknowns_of(processor)
    reasons = [why for _, why in found]
    assert len(reasons) == len(set(reasons))
    by_reason = {why: what for what, why in found}
    assert by_reason["no NVIDIA driver: /proc/driver/nvidia is not there"] == "GPU, driver"
    assert by_reason["no power rail: there is no INA3221 or INA238 under /sys/class/hwmon"] == (
        "energy"
    )
    assert by_reason["nothing was accepted"] == "wrong rate, prior none"
    assert "13 of 15 measurements" in by_reason["onnxruntime copies nothing"]
    assert "stability (periodic, cold, 8 clicks)" in by_reason["7 queries; it takes 100 to tell"]


def test_all_unknowns_of_a_record_are_listed(processor):
    """Whatever field it is: found by walking through the lines, not by knowing them."""
    reasons: set[str] = set()

    def walk(value: object) -> None:
        if isinstance(value, Unknown):
            reasons.add(value.reason)
        elif isinstance(value, msgspec.Struct):
            for name in value.__struct_fields__:
                walk(getattr(value, name))
        elif isinstance(value, tuple):
            for each in value:
                walk(each)

    run = processor.run
    walk((*run.calls, *run.accuracy, *run.measurements, *run.rooflines, *run.peers))
    assert reasons == {why for _, why in unknowns_of(processor)}
    assert len(reasons) > 10


def test_states_are_found_by_scenario_and_clicks(processor):
    found = processor.find(Scenario.MULTI_STREAM, CacheState.MIXED, 8)
    assert found is not None and found.line.state is CacheState.MIXED
    assert processor.find(Scenario.MULTI_STREAM, CacheState.MIXED, 3) is None
    empty = shown(measurement_line(()))
    assert empty.find(Scenario.MULTI_STREAM, CacheState.WARM, 8) is None
    assert empty.headline is None
