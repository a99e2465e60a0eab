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
    Heat,
    Memory,
    Punctuality,
    Scenario,
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
    periodic = measurement_line(scenario=Scenario.PERIODIC)
    lines = [
        accuracy_line(prior="none", acc25=0.11, acc50=0.12, coverage=0.13, wrong_rate=0.14),
        accuracy_line(prior="alignment", acc25=0.91, acc50=0.92, coverage=0.93, wrong_rate=0.94),
    ]
    text = printed(measurement_line(), periodic, accuracy=lines)
    assert row_of(text, "multi-stream warm 8")[-2:] == ["0.11/0.12", "0.13/0.14"]
    assert row_of(text, "periodic warm 8")[-2:] == ["0.91/0.92", "0.93/0.94"], "it aligns"
    assert "with alignment: acc@0.25 0.910, acc@0.5 0.920 on" in text


def test_without_scores_a_row_says_so_and_a_rate_of_nothing_is_none():
    assert "unscored" in row_of(printed(measurement_line()), "multi-stream")
    nothing = accuracy_line(prior="none", coverage=0.0, wrong_rate=Unknown("nothing was accepted"))
    text = printed(measurement_line(), accuracy=[nothing])
    assert row_of(text, "multi-stream")[-1] == "0.00/-"
    assert "0.000 accepted, nothing was accepted" in text


def test_missed_frames_and_jitter():
    late = Punctuality(30.0, 300, 7, pack([MS] * 20), pack([0, 2 * MS] * 10), ("alignment",), 19)
    text = printed(measurement_line(scenario=Scenario.PERIODIC, punctuality=late))
    assert "7/300" in row_of(text, "periodic")
    (note,) = [line for line in text.splitlines() if "jitter" in line]
    assert note == (
        "periodic warm, N = 8: 30 Hz, jitter of the start 1.00 ms, beside it alignment; "
        "19 of 20 frames were aligned"
    )


def test_what_drifted_or_was_cut_short_is_marked():
    drifting = measurement_line(np.linspace(2 * MS, 4 * MS, 200))
    lost = measurement_line(clicks=4, ended="device lost: it is gone")
    text = printed(drifting, lost)
    assert row_of(text, "multi-stream warm 8")[-1] == "unstable"
    assert row_of(text, "multi-stream warm 4")[-2:] == ["device", "lost"]
    assert "multi-stream warm, N = 8: UNSTABLE, first tenth 2.10 ms, last 3.90 ms" in text
    assert "multi-stream warm, N = 4: device lost: it is gone" in text


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
    stages = (Stage("engine", pack([2 * MS] * 3)), Stage("copy", Unknown("none")))
    cold = measurement_line(state=CacheState.COLD, clicks=1, stages=stages)
    more = msgspec.structs.replace(
        cold, clicks=16, stages=(Stage("engine", pack([5 * MS])), stages[1])
    )
    text = printed(cold, more)
    found = [line for line in text.splitlines() if line.split()[:2] == ["multi-stream", "cold"]]
    assert found[-1].split() == ["multi-stream", "cold", "5.00", "-", "-"], "of the most clicks"


def test_no_number_is_cut_off_on_a_narrow_terminal():
    ns = np.full(12_000, 12_345 * MS)
    late = Punctuality(30.0, 36_000, 35_999, pack(ns), pack(ns), ())
    line = measurement_line(ns, scenario=Scenario.PERIODIC, state=CacheState.MIXED, clicks=16)
    line = msgspec.structs.replace(line, punctuality=late, run_id=RUN_ID)
    text = printed(line, accuracy=[accuracy_line(prior="none")])
    cells = row_of(text, "periodic mixed 16")
    assert cells[3:10] == ["12000", *["12345"] * 5, "35999/36000"]
    assert "…" not in text
    assert max(map(len, text.splitlines()[:12])) <= LEAST_WIDTH
