"""The file: append only, torn lines, two processes, another schema, going on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from made_record import measurement_line, run_line, write_record

from benchmarks.record import file as record_file
from benchmarks.record.file import RecordFile, lines
from benchmarks.record.lines import CacheState, Scenario
from edge.errors import BenchmarkError, OutputError

SUPPORT = Path(__file__).parents[2] / "support"


def test_lines_come_back_as_they_were(tmp_path):
    wanted = [run_line(), measurement_line()]
    path = write_record(tmp_path / "new" / "bench.jsonl", *wanted)
    assert list(lines(path)) == wanted


def test_a_second_opening_appends(tmp_path):
    path = write_record(tmp_path / "bench.jsonl", run_line())
    before = path.read_bytes()
    write_record(path, measurement_line())
    assert path.read_bytes().startswith(before)
    assert len(list(lines(path))) == 2


def test_a_line_torn_at_any_byte_is_cut_and_nothing_else(tmp_path):
    path = write_record(tmp_path / "bench.jsonl", run_line(), measurement_line())
    whole = path.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for size in range(start, len(whole)):
        path.write_bytes(whole[:size])
        assert list(lines(path)) == [run_line()], f"read at {size}"
        assert path.read_bytes() == whole[:size], "reading changes nothing"
        with RecordFile(path) as file:
            assert path.read_bytes() == whole[:start], f"cut at {size}"
            file.append(measurement_line())
        assert path.read_bytes() == whole


def test_a_kill_in_the_midst_loses_no_finished_line(tmp_path):
    """A process appends without end and is killed: whole lines, in order, and it goes on."""
    path = tmp_path / "bench.jsonl"
    code = f"""
        import sys
        sys.path.insert(0, {str(SUPPORT)!r})
        from pathlib import Path
        from made_record import latencies, measurement_line, run_line
        from benchmarks.record.file import RecordFile
        ns = latencies(20_000, 3.0)
        with RecordFile(Path({str(path)!r})) as file:
            file.append(run_line())
            number = 0
            while True:
                file.append(measurement_line(ns, warmup_queries=number))
                number += 1
                print(number, flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(5)]
    child.send_signal(signal.SIGKILL)
    said += child.stdout.readlines()
    assert child.wait() == -signal.SIGKILL
    finished = int(said[-1])
    with RecordFile(path) as file:
        found = list(file.lines())
        file.append(measurement_line())
    assert found[0] == run_line()
    numbers = [line.warmup_queries for line in found[1:]]
    assert numbers == list(range(len(numbers))) and len(numbers) >= finished
    assert list(lines(path))[-1] == measurement_line()


def test_two_processes_cannot_append_at_once(tmp_path):
    path = tmp_path / "bench.jsonl"
    code = f"""
        from pathlib import Path
        from benchmarks.record.file import RecordFile
        from edge.errors import BenchmarkError
        try:
            RecordFile(Path({str(path)!r}))
        except BenchmarkError as error:
            print(error)
    """
    second = [sys.executable, "-c", textwrap.dedent(code)]
    with RecordFile(path):
        refused = subprocess.run(second, capture_output=True, text=True, check=True).stdout
    assert "another process appends to" in refused and "--out" in refused
    assert subprocess.run(second, capture_output=True, text=True, check=True).stdout == ""


def test_a_drive_without_locks_is_an_error(tmp_path, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(record_file.fcntl, "flock", refuse)
    with pytest.raises(OutputError, match="cannot be written") as caught:
        RecordFile(tmp_path / "bench.jsonl")
    assert "No locks available" in caught.value.found
    assert caught.value.do.startswith("choose another folder"), "room is not what is missing"


@pytest.mark.parametrize(
    ("error", "do"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "choose another folder with --out; "),
        (FileNotFoundError(errno.ENOENT, "No such file"), "choose another folder with --out; "),
        (OSError(errno.EROFS, "Read-only file system"), "choose another folder with --out; "),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space, or choose another "),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "free some space, or choose another "),
    ],
)
def test_room_is_advised_only_where_there_is_none(tmp_path, monkeypatch, error, do):
    def refuse(*given):
        raise error

    monkeypatch.setattr(record_file.os, "open", refuse)
    with pytest.raises(OutputError, match="cannot be written") as caught:
        RecordFile(tmp_path / "bench.jsonl")
    assert caught.value.do.startswith(do) and caught.value.exit_code == 14
    assert caught.value.found == f"{type(error).__name__}: {error.strerror}"


def test_reading_needs_no_lock(tmp_path):
    path = tmp_path / "bench.jsonl"
    with RecordFile(path) as file:
        file.append(run_line())
        assert list(lines(path)) == [run_line()]


def test_another_schema_is_refused_with_its_line(tmp_path):
    path = write_record(tmp_path / "bench.jsonl", run_line(), run_line(schema="tilefix-bench/2"))
    for opened in (lambda: list(lines(path)), lambda: RecordFile(path)):
        with pytest.raises(BenchmarkError, match="line 2 is of another schema") as caught:
            opened()
        assert (caught.value.expected, caught.value.found) == ("tilefix-bench/1", "tilefix-bench/2")


@pytest.mark.parametrize(
    "text", [b"{}\n", b"not JSON\n", b'{"line":"measurement","run_id":3}\n', b"\xff\xfe\n"]
)
def test_a_broken_line_in_the_middle_is_an_error_with_its_number(tmp_path, text):
    path = write_record(tmp_path / "bench.jsonl", run_line())
    path.write_bytes(path.read_bytes() + text + msgspec.json.encode(measurement_line()) + b"\n")
    with pytest.raises(BenchmarkError, match=r"bench\.jsonl, line 2 is broken"):
        RecordFile(path)


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("what I must not forget")
    with pytest.raises(BenchmarkError, match="line 1 is broken"):
        RecordFile(path)
    assert path.read_text() == "what I must not forget"


def test_no_file_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(BenchmarkError, match="no readable record") as caught:
        list(lines(tmp_path / "bench.jsonl"))
    assert "tilefix bench --out" in caught.value.do


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = write_record(tmp_path / "bench.jsonl", run_line())
    before, write = path.read_bytes(), os.write
    with RecordFile(path) as file:

        def full(descriptor, data):
            if len(data) < 100:
                raise OSError(28, "No space left on device")
            return write(descriptor, data[:-50])

        monkeypatch.setattr(record_file.os, "write", full)
        with pytest.raises(OutputError, match="cannot be written") as caught:
            file.append(measurement_line())
        monkeypatch.undo()
        assert "No space left" in caught.value.found
        assert path.read_bytes() == before
        file.append(measurement_line())
    assert list(lines(path)) == [run_line(), measurement_line()]


# --- going on ------------------------------------------------------------------------------------


def test_an_equal_run_goes_on_with_what_is_complete(tmp_path):
    early = measurement_line(scenario=Scenario.SOAK, ended="interrupted")
    path = write_record(tmp_path / "bench.jsonl", run_line(), measurement_line(), early)
    again = run_line("f" * 16, started_utc="later", command="tilefix bench --peers")
    with RecordFile(path) as file:
        assert file.earlier(again) == run_line()
        assert file.done(again) == {(Scenario.MULTI_STREAM, CacheState.WARM, 8)}


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "fp16"},
        {"device_backend": "pycuda"},
        {"cuda_graphs": False},
        {"rate_hz": 10.0},
        {"power_mode": "MAXN (mode 2)"},
        {"libraries": (("numpy", "2.2.6"), ("onnxruntime", "1.24.0"))},
        {"commit": "e" * 40 + "+12345678"},
        {"version": "0.2.0"},
    ],
)
def test_another_run_begins_anew(tmp_path, change):
    path = write_record(tmp_path / "bench.jsonl", run_line(), measurement_line())
    with RecordFile(path) as file:
        assert file.earlier(run_line(**change)) is None
        assert file.done(run_line(**change)) == frozenset()


def test_a_run_with_cuda_graphs_is_not_gone_on_with_by_one_without(tmp_path):
    """What one of them measured, the other one has not."""
    gpu = {"executor": "tensorrt", "device_backend": "cuda-python"}
    first = run_line(cuda_graphs=True, **gpu)
    path = write_record(tmp_path / "bench.jsonl", first, measurement_line())
    with RecordFile(path) as file:
        assert file.earlier(run_line("f" * 16, cuda_graphs=True, **gpu)) == first
        assert file.earlier(run_line("f" * 16, cuda_graphs=False, **gpu)) is None
        assert file.done(run_line("f" * 16, cuda_graphs=False, **gpu)) == frozenset()


def test_a_record_from_before_these_fields_is_gone_on_with(tmp_path):
    """A run on the CPU has neither; an older line leaves both out."""
    path = write_record(tmp_path / "bench.jsonl", run_line())
    older = path.read_text().replace(',"device_backend":null,"cuda_graphs":null', "")
    assert older != path.read_text()
    path.write_text(older)
    with RecordFile(path) as file:
        assert file.earlier(run_line("f" * 16)) == run_line()


def test_warmth_and_load_make_no_other_run(tmp_path):
    path = write_record(tmp_path / "bench.jsonl", run_line())
    with RecordFile(path) as file:
        later = run_line(temperatures_deg_c=(("tj-thermal", 70.0),), load_average=2.0)
        assert file.earlier(later) == run_line()


# --- what no record can hold ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (run_line(rate_hz=float("inf")), "settings.rate_hz is inf"),
        (run_line(minutes=float("nan")), "settings.minutes is nan"),  # null would read as "none"
        (run_line(clocks_mhz=(("cpu0", float("nan")),)), "environment.clocks_mhz is nan"),
        (measurement_line(duration_s=None), "Expected `float`, got `null`"),
    ],
)
def test_a_line_that_could_not_be_read_again_is_not_written(tmp_path, line, found):
    path = write_record(tmp_path / "bench.jsonl", run_line())
    before = path.read_bytes()
    with RecordFile(path) as file:
        with pytest.raises(BenchmarkError, match="cannot be kept") as caught:
            file.append(line)
        assert found in caught.value.found and path.read_bytes() == before
        file.append(measurement_line())
    assert list(lines(path)) == [run_line(), measurement_line()]
