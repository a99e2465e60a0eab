"""The table states the record: medians, ratios to lite, and why something is not measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_record import run_line, write_record

from benchmarks.command import bench
from benchmarks.peers.table import MARKS, newest_peers, table
from benchmarks.record.lines import PeerLine, Unknown
from benchmarks.record.series import pack
from edge.errors import BenchmarkError, OutputError

RUN = "a" * 16


def peer(
    name: str,
    frame_ms: float | None,
    runtime: str = "ONNX Runtime",
    times: tuple[float, ...] = (1,) * 10,
    **changes,
) -> PeerLine:
    """A peer whose frames took `times` frame_ms."""
    why = Unknown("the package is not installed")
    values = {
        "run_id": RUN,
        "name": name,
        "runtime": runtime,
        "clicks": 8,
        "latency": why if frame_ms is None else pack(np.array(times) * frame_ms * 1e6),
        "per_object_ms": why if frame_ms is None else frame_ms / 8,
        "peak_bytes": why if frame_ms is None else 512_400_000,
        "acc25": why if frame_ms is None else Unknown("random weights: not to be had"),
        "acc50": why if frame_ms is None else Unknown("left out of a quick run"),
        "note": "" if frame_ms is None else f"{len(times)} frames timed",
    }
    return PeerLine(**(values | changes))


def cells(made: str, name: str, runtime: str = "ONNX Runtime") -> list[str]:
    line = next(x for x in made.splitlines() if x.startswith(f"| {name} | {runtime} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][2:]


def made_of(*peers: PeerLine) -> str:
    return table(newest_peers([run_line(RUN), *peers], "record"))


def test_a_row_states_its_line():
    made = made_of(
        peer("lite", 32.0, acc25=0.814, acc50=0.62),
        peer("DetGeo as published", 64_000.0, "torch eager", times=(0.9, 1, 1.2)),
        peer("SIFT + homography", 400.0, "OpenCV", acc25=0.5, acc50=0.25),
    )
    assert cells(made, "lite") == ["32", "4", "1", "512", "0.81", "0.62"]
    published = cells(made, "DetGeo as published", "torch eager")
    assert published[:2] == ["57,600 to 76,800 (of 3)", "7,200 to 9,600"], "no median of three"
    assert published[2:4] == ["1,800x to 2,400x", "512"]
    assert published[4:] == ["random weights", "not measured"]
    assert cells(made, "SIFT + homography", "OpenCV")[2:] == ["12.5x", "512", "0.50", "0.25"]
    assert "* lite, ONNX Runtime: 10 frames timed." in made


def test_of_nine_frames_there_is_no_median_and_of_ten_there_is():
    made = made_of(peer("lite", 32.0), peer("a", 64.0, times=(1,) * 8 + (2,)))
    assert cells(made, "a")[:3] == ["64 to 128 (of 9)", "8 to 16", "2x to 4x"]
    made = made_of(peer("lite", 32.0), peer("a", 64.0, times=(1,) * 9 + (2,)))
    assert cells(made, "a")[:3] == ["64", "8", "2x"]
    few = made_of(peer("lite", 32.0, times=(1, 2)), peer("a", 64.0))
    assert cells(few, "a")[2] == "1x to 2x", "ours has two ends then"


def test_each_is_divided_by_ours_of_its_own_round():
    made = made_of(
        peer("lite", 32.0),
        peer("a", 64.0),
        peer("b", 64.0),
        peer("c", 9.0),
        peer("lite", 16.0, round=1),
        peer("c", 64.0, round=1, note="10 frames timed"),
    )
    assert cells(made, "a")[2] == cells(made, "b")[2] == "2x" and cells(made, "c")[2] == "4x"
    assert cells(made, "lite")[0] == "32", "that which most others are divided by"
    again = "measured again, with `lite` beside it at 16 ms per frame"
    assert f"* c, ONNX Runtime: 10 frames timed; {again}." in made
    assert made.count("beside it at") == 1


def test_what_an_interrupted_call_left_is_beside_ours_of_the_next():
    made = made_of(
        *(peer(name, 64.0) for name in ("lite", "a", "b")),
        *(peer(name, 32.0, round=1) for name in ("lite", "c")),
    )
    assert cells(made, "c")[2] == "1x"
    assert "measured in another call, with `lite` beside it at 32 ms per frame" in made


@pytest.mark.parametrize(
    ("published_ms", "cached_ms", "said"),
    [
        (64_000.0, 1_000.0, "lite 600 times less (2,000x: reached); {} 40 times less (64x: {})"),
        (16_000.0, 1_000.0, "lite 600 times less (500x: {no}); {} 40 times less (16x: {no})"),
    ],
)
def test_what_was_asked_stands_below_reached_or_not(published_ms, cached_ms, said):
    name, no = "OCGNet, cached and folded", "**not reached**"
    made = made_of(
        peer("lite", 32.0),
        peer("DetGeo as published", published_ms, "torch eager"),
        peer(name, 99_000.0, "torch eager"),
        peer(name, cached_ms),
    )
    head = "Asked per object, against DetGeo as published in torch eager: "
    assert f"{head}{said.format(name, 'reached', no=no)}." in made
    assert "Asked" not in made_of(peer("lite", 32.0), peer(name, cached_ms))


def test_the_least_of_a_range_decides():
    made = made_of(
        peer("lite", 100.0), peer("DetGeo as published", 60_000.0, "torch eager", times=(0.99, 2))
    )
    assert "(594x to 1,200x: **not reached**)" in made


def test_commands_machine_load_and_date_stand_below():
    run = run_line(RUN, cpu="2 x Xeon", command="tilefix bench --peers", pairs="brighton")
    later = run_line(
        RUN,
        command="tilefix bench --peers --redo a",
        started_utc="2026-11-21T09:00:00Z",
        load_average=Unknown("no /proc/loadavg"),
    )
    lines = [run, peer("lite", 32.0), later, peer("lite", 32.0, round=1), peer("a", 1.0, round=1)]
    assert (
        "Medians, of fewer than ten times the least to the most, on 2 x Xeon, 2 threads; 8 clicks "
        "in a frame of brighton. 2026-11-20, load 0.1 at the start: `tilefix bench --peers`; then "
        "2026-11-21, load unknown at the start: `tilefix bench --peers --redo a`."
    ) in table(newest_peers(lines, "record"))
    unknown = run_line(RUN, cpu=Unknown("no /proc/cpuinfo"))
    made = table(newest_peers([unknown, peer("lite", 32.0)], "record"))
    assert "unknown processor (no /proc/cpuinfo)" in made


def test_what_did_not_run_says_why():
    made = made_of(peer("lite", 32.0), peer("SIFT + LightGlue", None))
    assert cells(made, "SIFT + LightGlue") == ["not measured"] * 6
    assert "* SIFT + LightGlue, ONNX Runtime: the package is not installed." in made


def test_a_frame_too_long_for_a_record_is_still_stated():
    too_long = Unknown("a frame takes 480 s, longer than a record keeps")
    made = made_of(peer("lite", 32.0), peer("DetGeo", 60_000.0, latency=too_long))
    assert cells(made, "DetGeo")[:3] == ["60,000 (of few)", "7,500", "1,875x"]
    assert "* DetGeo, ONNX Runtime: 10 frames timed; a frame takes 480 s, longer than" in made


def test_without_lite_there_is_no_ratio():
    assert cells(made_of(peer("OCGNet", 64.0)), "OCGNet")[2] == "not measured"
    made = made_of(peer("lite", None), peer("OCGNet", 64.0))
    assert cells(made, "OCGNet")[2] == "not measured"


def test_the_last_run_with_peers_and_the_last_line_of_each():
    newer, without = "b" * 16, "c" * 16
    lines = [
        run_line(RUN),
        peer("lite", 99.0),
        run_line(newer),
        peer("lite", 50.0, run_id=newer),
        peer("lite", 40.0, run_id=newer),
        run_line(without),
    ]
    found = newest_peers(lines, "record")
    assert [call.run_id for call in found.calls] == [newer] and len(found.peers) == 1
    assert cells(table(found), "lite")[0] == "40"


def test_a_record_without_peers():
    with pytest.raises(BenchmarkError, match="the record x has no peers") as caught:
        newest_peers([run_line(RUN)], "x")
    assert caught.value.found == "1 runs without" and "--peers" in caught.value.do


def call(*words):
    return CliRunner().invoke(bench, list(map(str, words)), catch_exceptions=False)


def test_the_command_prints_and_writes(tmp_path):
    write_record(tmp_path / "bench.jsonl", run_line(RUN), peer("lite", 32.0))
    printed = call("table", tmp_path)
    assert (
        printed.exit_code == 0 and printed.output == call("table", tmp_path / "bench.jsonl").output
    )
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{MARKS.begin}\nold\n{MARKS.end}\nbelow\n")
    assert "written" in call("table", tmp_path, "--write", readme).output
    wanted = f"above\n{MARKS.begin}\n{printed.output}{MARKS.end}\nbelow\n"
    assert readme.read_text() == wanted
    call("table", tmp_path, "--write", readme)
    assert readme.read_text() == wanted


def test_a_readme_without_a_place(tmp_path):
    write_record(tmp_path / "bench.jsonl", run_line(RUN), peer("lite", 32.0))
    (tmp_path / "README.md").write_text("nothing\n")
    with pytest.raises(OutputError, match="no place for the table of peers"):
        call("table", tmp_path, "--write", tmp_path / "README.md")
    with pytest.raises(OutputError, match="cannot be written"):
        call("table", tmp_path, "--write", Path("/nowhere/README.md"))
