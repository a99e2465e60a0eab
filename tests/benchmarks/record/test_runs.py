"""Lines put together by run."""

from __future__ import annotations

import pytest
from made_record import RUN_ID, accuracy_line, measurement_line, run_line, write_record

from benchmarks.record.runs import read_runs, record_path, record_paths
from edge.errors import BenchmarkError

OTHER = "f" * 16


def test_lines_find_their_run(tmp_path):
    first, second = measurement_line(), measurement_line(run_id=OTHER)
    write_record(
        tmp_path / "bench.jsonl",
        run_line(),
        first,
        run_line(OTHER),
        second,
        accuracy_line(),
    )
    runs = read_runs(tmp_path)
    assert [run.line.run_id for run in runs] == [RUN_ID, OTHER]
    assert runs[0].measurements == (first,) and runs[1].measurements == (second,)
    assert runs[0].accuracy == (accuracy_line(),) and runs[1].accuracy == ()


def test_two_calls_are_one_run_and_the_last_measurement_counts(tmp_path):
    early, late = measurement_line(ended="interrupted"), measurement_line()
    later = run_line(started_utc="later")
    path = write_record(tmp_path / "a.jsonl", run_line(), early, later, late)
    (run,) = read_runs(path)
    assert run.calls == (run_line(), later) and run.line == run_line()
    assert run.measurements == (late,)
    assert run.by_key() == {(late.scenario, late.state, 8): late}


def test_a_line_of_no_run_is_an_error(tmp_path):
    path = write_record(tmp_path / "bench.jsonl", run_line(), measurement_line(run_id=OTHER))
    with pytest.raises(BenchmarkError, match="line 2 belongs to no run"):
        read_runs(path)


def test_an_empty_record_is_an_error(tmp_path):
    path = write_record(tmp_path / "bench.jsonl")
    with pytest.raises(BenchmarkError, match="is empty"):
        read_runs(path)


def test_a_folder_is_its_own_record_or_else_those_in_it(tmp_path):
    assert record_paths(tmp_path / "none.jsonl") == (tmp_path / "none.jsonl",)
    assert record_paths(tmp_path) == (tmp_path / "bench.jsonl",), "that is what is missing"
    b = write_record(tmp_path / "b.jsonl", run_line(OTHER))
    (tmp_path / "notes.json").write_text("{}")
    assert record_paths(tmp_path) == (b,) and read_runs(tmp_path)[0].line.run_id == OTHER
    a = write_record(tmp_path / "a.jsonl", run_line())
    assert record_paths(tmp_path) == (a, b)
    own = write_record(tmp_path / "bench.jsonl", run_line())
    assert record_paths(tmp_path) == (own,) and record_path(tmp_path) == own


def test_of_several_records_one_is_asked_for(tmp_path):
    for name in ("b.jsonl", "a.jsonl"):
        write_record(tmp_path / name, run_line())
    with pytest.raises(BenchmarkError, match="holds 2 records where one is wanted") as caught:
        read_runs(tmp_path)
    assert caught.value.expected == (
        "a file, or a folder with bench.jsonl or one other .jsonl in it"
    )
    assert caught.value.found == "a.jsonl, b.jsonl"
    assert caught.value.do == f"give one of them, for example {tmp_path / 'a.jsonl'}"


def test_a_folder_without_a_record_names_what_is_missing(tmp_path):
    with pytest.raises(BenchmarkError, match="no readable record") as caught:
        read_runs(tmp_path)
    assert str(tmp_path / "bench.jsonl") in str(caught.value)
