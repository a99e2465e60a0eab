"""The table of open loops states its records, and says of what was asked whether it was reached."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from made_record import measurement_line, run_line, write_record

from benchmarks.command import bench
from benchmarks.record.frame_ages import pack_numbers
from benchmarks.record.lines import (
    CacheState,
    FlownAccuracy,
    Memory,
    ProcessorTime,
    Punctuality,
    Scenario,
    Stability,
    Stage,
    Unknown,
)
from benchmarks.record.series import pack
from benchmarks.report.periodic_table import MARKS, flown_of, table
from edge.errors import BenchmarkError

MS = 1_000_000
WORTH = FlownAccuracy(18_000, 18_000, 17_000, 144_000, 0.912, 0.8, 0.55, 0.041)
MEMORY = Memory(100, 90, 130, (100,) * 20, 100, 101)
SPENT = ProcessorTime(600.0, 2, 900.0, 20.0, 4.0)


def open_loop(ages_ms, scheduled, rate_hz=30.0, frames=None, **changes):
    """Ten minutes by default, whatever the number of frames."""
    ns = np.round(np.asarray(ages_ms) * MS).astype(np.int64)
    late = int((ns > 1e9 / rate_hz).sum()) + scheduled - len(ns)
    kept = None if frames is None else pack_numbers(frames)
    none = pack([])
    punctual = Punctuality(rate_hz, scheduled, late, pack(ns), none, (), len(ns) // 2, kept)
    values = {
        "scenario": Scenario.PERIODIC,
        "punctuality": punctual,
        "duration_s": 600.0,
        "accuracy": WORTH,
        "memory": MEMORY,
        "processor": SPENT,
        "stages": (Stage("engine", pack(ns // 2)),),
    }
    return measurement_line(ns, **(values | changes))


def record(tmp_path, line, name="a.jsonl", **changes):
    changes = {"frame_px": (320, 320), "rate_hz": 30.0, "load_average": 0.25, "cores": 2} | changes
    return write_record(tmp_path / name, run_line(**changes), line)


def cells(made: str, start: str) -> list[str]:
    line = next(each for each in made.splitlines() if each.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def asked(made: str) -> str:
    return next(line for line in made.splitlines() if line.startswith("Asked"))


def test_a_row_states_its_record(tmp_path):
    ages = np.linspace(10, 30, 18_000)
    made = table(flown_of([record(tmp_path, open_loop(ages, 18_000, stability=STABLE))]))

    def rank(share):  # the smallest value that this share of all does not exceed
        return f"{ages[int(np.ceil(share * 18_000)) - 1]:.1f}"

    assert cells(made, "320 px, 30 Hz, fp32") == [
        "320 px, 30 Hz, fp32",
        "10.0 min",
        "0.2; 2%, 4.0 s",
        "0 of 18,000 (0 %), 0",
        " / ".join([rank(0.5), rank(0.9), rank(0.99), rank(0.999), "30.0"]),
        "10.00",
        "50% of those answered",
        "0.91 / 0.80",
        "0.55, 0.04",
        "+1.0%",
        "stable",
    ]
    assert (
        "at most 320 px at 30 Hz reached (fp32, 320 px); 512 px at 10 Hz **not measured**."
        in asked(made)
    )
    assert "2026-11-20, 6 x Cortex-A78AE, 2 threads, 8 clicks" in made
    assert "code of commit eeeeeeeeee: `tilefix bench`." in made


STABLE = measurement_line((20 * MS,) * 100).stability


def test_what_was_never_answered_is_older_than_all(tmp_path):
    ages = np.linspace(10, 30, 1500)
    line = open_loop(ages, 2000, frames=range(500, 2000))
    row = cells(table(flown_of([record(tmp_path, line)])), "320 px, 30 Hz, fp32")
    assert row[3] == "500 of 2,000 (25 %), 500"
    median = f"{ages[999]:.1f}"  # the thousandth of two thousand
    never = "never answered"
    assert row[4] == f"{median} / {never} / {never} / n < 10,000 / {never}"


@pytest.mark.parametrize(
    ("line", "changes", "why"),
    [
        ({"duration_s": 42.0}, {}, "flown 42 s, complete"),
        ({"ended": "interrupted"}, {}, "flown 10.0 min, interrupted"),
        ({"memory": Memory(100, 90, 130, (100,) * 20, 100, 103)}, {}, "memory +3.0%"),
        ({"memory": Unknown("no /proc")}, {}, "memory unknown"),
        ({"clicks": 1}, {}, "1 clicks, 2 cores"),
        ({}, {"cores": 4}, "8 clicks, 4 cores"),
    ],
)
def test_what_is_asked_is_reached_only_as_it_is_asked(tmp_path, line, changes, why):
    made = table(flown_of([record(tmp_path, open_loop([20.0] * 200, 200, **line), **changes)]))
    assert f"at most 320 px at 30 Hz **not reached** (fp32, 320 px, {why})" in asked(made)


def test_how_many_of_the_two_cores_the_graphs_take_is_the_runs_own_choice(tmp_path):
    made = table(flown_of([record(tmp_path, open_loop([20.0] * 200, 200), threads=1)]))
    assert "at most 320 px at 30 Hz reached (fp32, 320 px)" in asked(made)
    assert "Cortex-A78AE, 1 thread, 8 clicks" in made


@pytest.mark.parametrize(
    ("late", "said"),
    [(1, "reached (fp32, 320 px)"), (2, "**not reached** (fp32, 320 px, 0.2 % missed)")],
)
def test_one_frame_in_a_thousand_may_be_missed(tmp_path, late, said):
    ages = [20.0] * (1000 - late) + [40.0] * late
    made = table(flown_of([record(tmp_path, open_loop(ages, 1000))]))
    assert f"at most 320 px at 30 Hz {said};" in asked(made)


def test_of_several_sizes_the_one_that_missed_least_is_named(tmp_path):
    for side_px, late in ((320, 9), (256, 3), (192, 5)):
        line = open_loop([20.0] * (1000 - late) + [40.0] * late, 1000)
        record(tmp_path, line, f"{side_px}.jsonl", frame_px=(side_px, side_px))
    short = open_loop([20.0] * 1000, 1000, duration_s=10.0)
    record(tmp_path, short, "short.jsonl", frame_px=(128, 128))  # too short to count before others
    said = asked(table(flown_of([tmp_path])))
    assert "at most 320 px at 30 Hz **not reached** (fp32, 256 px, 0.3 % missed);" in said


def test_frames_that_are_no_squares_are_named_by_both_sides(tmp_path):
    flights = ((30.0, (320, 192), 20.0), (10.0, (512, 288), 80.0), (10.0, (512, 512), 140.0))
    for rate_hz, frame_px, age_ms in flights:
        line = open_loop([age_ms] * 1000, 1000, rate_hz)
        record(
            tmp_path, line, f"{rate_hz:g}_{frame_px[1]}.jsonl", frame_px=frame_px, rate_hz=rate_hz
        )
    made = table(flown_of([tmp_path]))
    assert cells(made, "320 x 192 px, 30 Hz, fp32")[3] == "0 of 1,000 (0 %), 0"
    said = asked(made)
    assert "at most 320 px at 30 Hz reached (fp32, 320 x 192 px);" in said
    assert "512 px at 10 Hz reached (fp32, 512 x 288 px)." in said


def test_a_newer_record_of_a_size_is_not_hidden_by_a_better_one(tmp_path):
    for name, late in (("a.jsonl", 2), ("b.jsonl", 7)):
        line = open_loop([20.0] * (1000 - late) + [140.0] * late, 1000, 10.0)
        record(tmp_path, line, name, frame_px=(512, 512), rate_hz=10.0)
    said = asked(table(flown_of([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])))
    assert "512 px at 10 Hz **not reached** (fp32, 0.7 % missed)" in said


def test_runs_before_the_last_one_are_told(tmp_path):
    """Who flies until a run is good shows how often it was not."""
    bad, good = np.linspace(10, 40, 3000), np.linspace(10, 20, 3000)

    def flown(name, *runs):
        lines = []
        for number, (ages, side_px) in enumerate(runs):
            run_id = f"{number:016x}"
            lines.append(run_line(run_id, frame_px=(side_px, side_px), rate_hz=30.0, cores=2))
            lines.append(open_loop(ages, 3000, run_id=run_id))
        return table(flown_of([write_record(tmp_path / name, *lines)]))

    made = flown("a.jsonl", (bad, 64), (bad, 320), (good, 320))
    share = f"{100 * (bad > 1e3 / 30).mean():.1f} %"
    said = cells(made, "320 px, 30 Hz, fp32")[3]
    assert said == f"0 of 3,000 (0 %), 0; runs before: {share}", "one of 64 px is another"
    assert "320 px at 30 Hz reached (fp32, 320 px, in 1 of 2 runs)" in asked(made)
    made = flown("b.jsonl", (good, 320), (bad, 320))
    assert f"**not reached** (fp32, 320 px, {share} missed, in 1 of 2 runs)" in asked(made)


def test_each_precision_is_said_for_itself(tmp_path):
    for name, precision, late in (("a", "fp32", 3), ("b", "int8+fp32", 1), ("c", "int8+fp32", 2)):
        line = open_loop([20.0] * (1000 - late) + [140.0] * late, 1000, 10.0)
        side_px = 512 if name != "c" else 320
        changes = {"frame_px": (side_px, side_px), "rate_hz": 10.0, "precision": precision}
        record(tmp_path, line, f"{name}.jsonl", **changes)
    made = table(flown_of([tmp_path]))
    said = "512 px at 10 Hz reached (int8), **not reached** (fp32, 0.3 % missed)."
    assert said in asked(made)
    assert cells(made, "512 px, 10 Hz, int8")[3] == "1 of 1,000 (0.1 %), 0"


def test_an_old_record_says_what_it_does_not_know(tmp_path):
    line = open_loop([20.0] * 200, 200, accuracy=None, processor=None, stages=())
    commit = "e" * 40 + "+12345678"
    made = table(flown_of([record(tmp_path, line, commit=commit, load_average=Unknown("no"))]))
    row = cells(made, "320 px, 30 Hz, fp32")
    assert row[2] == "unknown; unknown" and row[5] == "unknown"
    assert row[7:9] == ["not scored", "not scored"]
    assert "with changes that are in no commit" in made


def test_a_share_of_fewer_cores_than_the_run_had_says_so(tmp_path):
    spent = ProcessorTime(600.0, 1, 500.0, 10.0, 2.0)
    path = record(tmp_path, open_loop([20.0] * 200, 200, processor=spent))
    row = cells(table(flown_of([path])), "320 px, 30 Hz, fp32")
    assert row[2] == "0.2; at least 2% of 1 of 2 cores, 2.0 s"


def test_what_may_have_drifted_is_not_called_stable(tmp_path):
    doubtful = Stability(3.0, 3.3, False, more_ms=(-0.1, 0.6))
    path = record(tmp_path, open_loop([20.0] * 200, 200, stability=doubtful))
    row = cells(table(flown_of([path])), "320 px, 30 Hz, fp32")
    assert row[-1] == "cannot tell if stable"


def test_rows_are_in_order_and_the_last_run_counts(tmp_path):
    later = "f" * 16
    write_record(
        tmp_path / "b.jsonl",
        run_line(frame_px=(512, 512)),
        open_loop([20.0] * 50, 50, 10.0),
        run_line(later, frame_px=(512, 512)),
        open_loop([30.0] * 60, 60, 10.0, run_id=later),
        measurement_line(run_id=later, scenario=Scenario.PERIODIC, state=CacheState.COLD),
    )
    for rate_hz, name in ((30.0, "a.jsonl"), (15.0, "c.jsonl")):
        record(tmp_path, open_loop([20.0] * 50, 50, rate_hz), name)
    made = table(flown_of([tmp_path]))
    starts = [line.split(" |")[0] for line in made.splitlines() if line.startswith("| ")][1:]
    assert starts == ["| 320 px, 15 Hz, fp32", "| 320 px, 30 Hz, fp32", "| 512 px, 10 Hz, fp32"]
    assert cells(made, "512 px, 10 Hz, fp32")[3].startswith("0 of 60")


def test_a_record_without_an_open_loop(tmp_path):
    path = write_record(tmp_path / "a.jsonl", run_line(), measurement_line())
    with pytest.raises(BenchmarkError, match="has no open loop") as caught:
        flown_of([path])
    assert caught.value.found == "1 other measurements"
    with pytest.raises(BenchmarkError, match="no readable record"):
        flown_of([tmp_path / "none.jsonl"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchmarkError, match="no readable record"):
        flown_of([tmp_path / "empty"])


def test_the_command_writes_it_between_its_marks(tmp_path):
    path = record(tmp_path, open_loop([20.0] * 200, 200))
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{MARKS.begin}\nold\n{MARKS.end}\nbelow\n")
    words = ["table", "--of", "periodic", str(path)]
    printed = CliRunner().invoke(bench, words, catch_exceptions=False)
    done = CliRunner().invoke(bench, [*words, "--write", str(readme)], catch_exceptions=False)
    assert done.output == f"{readme}: the table of open loops written\n"
    assert readme.read_text() == f"above\n{MARKS.begin}\n{printed.output}{MARKS.end}\nbelow\n"
    assert msgspec.json.encode(printed.output).count(b"320 px, 30 Hz, fp32") == 2
