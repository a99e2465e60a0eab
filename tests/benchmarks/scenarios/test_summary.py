"""What a reader of the console is told."""

from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from made_record import RUN_ID, accuracy_line, measurement_line, run_line
from rich.console import Console

from benchmarks.record.lines import (
    CacheState,
    Energy,
    FlownAccuracy,
    Heat,
    Memory,
    ProcessorTime,
    Punctuality,
    Scenario,
    Stability,
    Stage,
    Unknown,
)
from benchmarks.record.runs import Run
from benchmarks.record.series import pack
from benchmarks.scenarios.summary import LEAST_WIDTH, notes, print_run

MS = 1_000_000


def printed(*measurements, accuracy=(), width=40):
    console = Console(file=io.StringIO(), width=width)
    run = Run((run_line(),), tuple(accuracy), tuple(measurements), (), ())
    print_run(run, console)
    return console.file.getvalue()


def row_of(text, beginning):
    """The cells of the first line that begins so, which is in the table of latencies."""
    found = [line for line in text.splitlines() if line.strip().startswith(beginning)]
    return found[0].split()


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (5, ["-", "-", "-", "-"]),
        (50, ["2.00", "-", "-", "-"]),
        (150, ["2.00", "2.00", "-", "-"]),
        (2000, ["2.00", "2.00", "2.00", "-"]),
        (10_000, ["2.00", "2.00", "2.00", "2.00"]),
    ],
)
def test_no_percentile_is_shown_that_the_samples_cannot_support(count, expected):
    ns = np.full(count, 2 * MS)
    ns[-1] = 123 * MS
    cells = row_of(printed(measurement_line(ns)), "multi-stream warm 8")
    assert cells[3:9] == [str(count), *expected, "123.0"]


def test_accuracy_stands_in_every_row_of_a_latency():
    own = FlownAccuracy(60, 49, 17, 480, 0.81, 0.82, 0.17, 0.30)
    periodic = measurement_line(scenario=Scenario.PERIODIC, accuracy=own)
    lines = [
        accuracy_line(prior="none", acc25=0.11, acc50=0.12, coverage=0.13, wrong_rate=0.14),
        accuracy_line(prior="alignment", acc25=0.91, acc50=0.92, coverage=0.93, wrong_rate=0.94),
    ]
    text = printed(measurement_line(), periodic, accuracy=lines)
    assert row_of(text, "multi-stream warm 8")[10:12] == ["0.11/0.12", "0.13/0.14"]
    assert row_of(text, "periodic warm 8")[10:12] == ["0.81/0.82", "0.17/0.30"], "its own fixes"
    assert "with alignment, each frame in its turn: acc@0.25 0.910, acc@0.5 0.920, 0.930" in text
    assert (
        "periodic warm, its own fixes: acc@0.25 0.810, acc@0.5 0.820, 0.170 accepted, 0.300 of "
        "these wrong, of 480 clicks; 49 of 60 frames answered, 17 of these aligned in time" in text
    )


def test_no_score_stands_in_for_another():
    """What was scored in another way is not what this measurement was worth."""
    periodic = measurement_line(scenario=Scenario.PERIODIC)
    unhurried = printed(periodic, accuracy=[accuracy_line(prior="alignment", acc25=0.91)])
    assert row_of(unhurried, "periodic warm 8")[10] == "unscored"
    assert "0.91/" not in unhurried
    aligned = printed(measurement_line(), accuracy=[accuracy_line(prior="alignment", acc25=0.91)])
    assert row_of(aligned, "multi-stream warm 8")[10] == "unscored"


def test_without_scores_a_row_says_so_and_a_rate_of_nothing_is_none():
    assert "unscored" in row_of(printed(measurement_line()), "multi-stream")
    nothing = accuracy_line(prior="none", coverage=0.0, wrong_rate=Unknown("nothing was accepted"))
    text = printed(measurement_line(), accuracy=[nothing])
    assert row_of(text, "multi-stream")[11] == "0.00/-"
    assert "0.000 accepted, nothing was accepted" in text
    gone = Unknown("nothing that was clicked is on the map")
    text = printed(measurement_line(), accuracy=[accuracy_line(prior="none", acc25=gone)])
    assert row_of(text, "multi-stream")[10].startswith("-/"), "not 0.00"
    assert "without a prior: nothing that was clicked is on the map, acc@0.5" in text


def test_a_run_without_a_measurement_has_no_numbers_but_its_scores():
    assert printed(width=200) == (
        "lite in onnxruntime, fp32, 2 threads, frame 512 x 512 px, on flight: nothing was measured "
        "yet\n"
    )
    text = printed(accuracy=[accuracy_line(prior="none")])
    assert "nothing was measured yet" in text and "without a prior: acc@0.25 0.900" in text
    assert notes([]) == []
    assert notes([measurement_line(harness_us=3.0)])[-1] == "harness: 3.0 microseconds per query"


def test_missed_frames_and_jitter():
    late = Punctuality(30.0, 300, 7, pack([MS] * 20), pack([0, 2 * MS] * 10), ("alignment",), 19)
    text = printed(measurement_line(scenario=Scenario.PERIODIC, punctuality=late))
    assert "7/300" in row_of(text, "periodic")
    (note,) = [line for line in text.splitlines() if "jitter" in line]
    assert note == (
        "periodic warm, N = 8: 30 Hz, jitter of the start 1.00 ms, beside it alignment; 19 of 20 "
        "answered frames were aligned in time, 280 of 300 were never answered"
    )


def test_a_spread_of_few_starts_is_unknown():
    late = Punctuality(30.0, 9, 0, pack([MS] * 9), pack([MS] * 9), ())
    found = notes([measurement_line(scenario=Scenario.PERIODIC, punctuality=late)])
    assert any("jitter of the start unknown: too few frames" in line for line in found)


def test_percentiles_of_an_open_loop_are_of_all_frames_that_were_due():
    """Forty of a hundred were answered, all of them at once: the median frame never was."""
    few = Punctuality(30.0, 100, 60, pack([MS] * 40), pack([MS] * 40), ())
    most = msgspec.structs.replace(few, age=pack([MS] * 60), missed=40)
    for late, median in ((few, "never"), (most, "1.00")):
        line = measurement_line([MS] * late.age.count, scenario=Scenario.PERIODIC, punctuality=late)
        cells = row_of(printed(line), "periodic warm 8")
        assert cells[3:9] == [str(late.age.count), median, "never", "-", "-", "never"]


def test_what_others_took_of_the_processor():
    quiet = measurement_line(processor=ProcessorTime(10.0, 2, 18.0, 0.4, 0.1))
    busy = measurement_line(clicks=4, processor=ProcessorTime(10.0, 2, 12.0, 4.0, 2.0))
    text = printed(quiet, busy)
    assert row_of(text, "multi-stream warm 4")[-2:] == ["others", "30%"]
    assert "others" not in row_of(text, "multi-stream warm 8")
    (note,) = [line for line in text.splitlines() if line.startswith("processor:")]
    assert note == (
        "processor: others took at most 30.0% of it, in multi-stream warm, N = 4, more than 5%: "
        "not a quiet machine"
    )
    unknown = measurement_line(processor=Unknown("not counted here"))
    assert "processor: not counted here" in notes([unknown])


def test_windows_a_second_of_offline():
    line = measurement_line([250 * MS] * 8, scenario=Scenario.OFFLINE, clicks=0, duration_s=2.5)
    text = printed(line)
    assert row_of(text, "offline warm")[8] == "3.20"
    assert "offline warm: 3.20 windows a second" in text


def test_what_drifted_or_was_cut_short_is_marked():
    drifting = measurement_line(np.linspace(2 * MS, 4 * MS, 200))
    lost = measurement_line([MS] * 200, clicks=4, ended="device lost: it is gone")
    text = printed(drifting, lost)
    assert row_of(text, "multi-stream warm 8")[-1] == "unstable"
    assert row_of(text, "multi-stream warm 4")[-2:] == ["device", "lost"]
    short = row_of(printed(measurement_line([MS] * 99)), "multi-stream warm 8")
    assert short[-2:] == ["stability", "unknown"], "99 queries do not tell"
    assert "multi-stream warm, N = 8: UNSTABLE, first tenth 2.10 ms, last 3.90 ms" in text
    assert "multi-stream warm, N = 4: device lost: it is gone" in text


def test_what_may_have_drifted_is_marked_as_well():
    doubtful = Stability(3.0, 3.3, False, of="misses", more_ms=(-0.1, 0.6))
    text = printed(measurement_line([MS] * 200, stability=doubtful))
    assert row_of(text, "multi-stream warm 8")[-4:] == ["cannot", "tell", "if", "stable"]
    assert (
        "multi-stream warm, N = 8: CANNOT TELL IF STABLE, first tenth of the misses 3.00 ms, last "
        "3.30 ms, which may be chance" in text
    )


def test_a_measurement_without_a_query_has_no_numbers():
    cells = row_of(printed(measurement_line((), ended="interrupted")), "multi-stream warm 8")
    assert cells[3:9] == ["0", "-", "-", "-", "-", "-"]


def test_memory_energy_and_heat_or_why_they_are_unknown():
    nothing = notes([measurement_line()])
    assert nothing[:3] == [
        "memory: not in this test",
        "energy: not in this test",
        "heat: not in this test",
    ]
    line = measurement_line(
        memory=Memory(100 << 20, 103 << 20, 120 << 20),
        energy=Energy("VDD_IN", 4.0, 9.0, 0.0525, 50, 10.0),
        heat=Heat("tj", 40.0, 71.0, throttled=True),
    )
    grown, spent, hot = notes([line])[:3]
    assert grown == "memory: at most 120 MB; most growth +3.0%, in multi-stream warm, N = 8"
    assert spent.endswith("52.5 mJ a frame on VDD_IN, idle subtracted")
    assert hot == "heat: at most 71 °C, tj; THROTTLED in multi-stream warm, N = 8"


@pytest.mark.parametrize(("us", "tail"), [(12.0, "query"), (21.5, "query, more than 20")])
def test_a_harness_that_costs_too_much_says_so(us, tail):
    assert notes([measurement_line(harness_us=us)])[-1].endswith(tail)


def test_stages_are_medians_and_unknown_ones_a_dash():
    stages = (Stage("engine", pack([2 * MS] * 30)), Stage("copy", Unknown("none")))
    cold = measurement_line(state=CacheState.COLD, clicks=1, stages=stages)
    more = msgspec.structs.replace(
        cold, clicks=16, stages=(Stage("engine", pack([1 * MS] * 5 + [5 * MS] * 6)), stages[1])
    )
    text = printed(cold, more)
    found = [line for line in text.splitlines() if line.split()[:2] == ["multi-stream", "cold"]]
    assert found[-1].split() == ["multi-stream", "cold", "5.00", "-", "-"], "of the most clicks"
    few = msgspec.structs.replace(cold, stages=(Stage("engine", pack([2 * MS] * 9)), stages[1]))
    text = printed(few)
    found = [line for line in text.splitlines() if line.split()[:2] == ["multi-stream", "cold"]]
    assert found[-1].split()[2:] == ["-", "-", "-"], "nine have no median"


def test_no_number_is_cut_off_on_a_narrow_terminal():
    ns = np.full(12_000, 12_345 * MS)
    late = Punctuality(30.0, 12_000, 11_999, pack(ns), pack(ns), ())
    line = measurement_line(ns, scenario=Scenario.PERIODIC, state=CacheState.MIXED, clicks=16)
    line = msgspec.structs.replace(line, punctuality=late, run_id=RUN_ID, duration_s=1000.0)
    text = printed(line, accuracy=[accuracy_line(prior="none")])
    cells = row_of(text, "periodic mixed 16")
    assert cells[3:11] == ["12000", *["12345"] * 5, "12.00", "11999/12000"]
    assert "…" not in text
    assert max(map(len, text.splitlines()[:12])) <= LEAST_WIDTH
