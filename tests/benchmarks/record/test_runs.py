"""Lines put together by run."""

from __future__ import annotations

import pytest
from made_record import RUN_ID, accuracy_line, measurement_line, run_line, write_record

from benchmarks.record.runs import read_runs
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
