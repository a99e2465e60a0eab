"""`tilefix bench compare A B`, as it is called."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from made_record import accuracy_line, latencies, measurement_line, run_line, write_record

from benchmarks.record.command import compare
from benchmarks.record.lines import Energy
from edge.errors import BenchmarkError

ENERGY = Energy("VDD_IN", 4.6, 9.6, 0.05, 600, 10.0)


def called(*arguments):
    return CliRunner().invoke(compare, list(map(str, arguments)), catch_exceptions=False).output


@pytest.fixture
def records(tmp_path):
    first = write_record(
        tmp_path / "a" / "bench.jsonl",
        run_line(),
        measurement_line(latencies(1024, 3.0), energy=ENERGY),
        accuracy_line(),
    )
    second = write_record(
        tmp_path / "b.jsonl",
        run_line(precision="fp16"),
        measurement_line(latencies(1024, 1.5)),
        accuracy_line(acc25=0.88),
    )
    return first.parent, second


def test_it_says_ratio_interval_energy_and_accuracy(records):
    text = called(*records)
    for part in (
        "lite fp16, onnxruntime, 2 threads",
        "precision: fp32 | fp16",
        "multi-stream, warm, 8 clicks (1,024 queries): B faster: 0.50 of A's time",
        "median",
        "p99 ",
        "p99.9: n < 10,000",
        "0.05 J per frame (VDD_IN) | unknown (not in this test)",
        "acc@0.25            0.900 | 0.880",
        "0.500 to 0.500",
    ):
        assert part in text, text


def test_the_same_programme_twice(records):
    text = called(records[0], records[0])
    assert "the same programme twice" in text and "no difference shown" in text
    assert "0.05 J per frame (VDD_IN) | 0.05 J per frame (VDD_IN)" in text


def test_what_neither_knows_of_energy_is_said_once(tmp_path):
    rows = [measurement_line(latencies(200, 3.0), clicks=clicks) for clicks in (1, 2)]
    path = write_record(tmp_path / "bench.jsonl", run_line(), *rows)
    text = called(path, path)
    assert text.count("not in this test") == 1
    assert "\nenergy: unknown (not in this test)\n" in text
    assert "warm, 1 click (200 queries)" in text and "warm, 2 clicks (200 queries)" in text


def test_the_last_of_several_runs_is_taken_and_said(records):
    path = write_record(
        records[1], run_line("f" * 16), measurement_line(latencies(100, 3.0), run_id="f" * 16)
    )
    text = called(records[0], path)
    assert "B: the last of 2 runs" in text and "(100 queries)" in text


def test_a_folder_of_several_records_is_refused_by_name(records):
    first, second = records
    (second.parent / "c.jsonl").write_bytes(second.read_bytes())
    with pytest.raises(BenchmarkError, match="holds 2 records") as caught:
        called(first, second.parent)
    assert caught.value.found == "b.jsonl, c.jsonl"


def test_another_schema_is_refused(records, tmp_path):
    other = write_record(tmp_path / "c.jsonl", run_line(schema="tilefix-bench/9"))
    with pytest.raises(BenchmarkError, match="another schema"):
        called(records[0], other)


def test_only_known_kinds_can_be_allowed(records):
    assert "'weather' is not one of" in called(*records, "--allow", "weather")
    assert "also different, as allowed" not in called(*records, "--allow", "board")
