"""A record with a number that cannot be is refused where it is read, by line and field."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from made_bench_record import MIB, device_run, punctual
from made_record import accuracy_line, measurement_line, run_line, write_record

from benchmarks.command import bench
from benchmarks.record.file import lines
from benchmarks.record.lines import (
    CrossCheckLine,
    Memory,
    PeerLine,
    ProcessorTime,
    RooflineLine,
    Scenario,
)
from benchmarks.record.runs import read_runs
from benchmarks.record.series import pack
from edge.errors import BenchmarkError

RECORDS = Path(__file__).parents[3] / "benchmarks" / "records"
RUN = "0123456789abcdef"
ROOFLINE = RooflineLine(RUN, "localizer", "fp32", 8, 2_000, 1_000, 11.5, 79.0, 0.5, 1.0, 0.5)
PEER = PeerLine(RUN, "SIFT", "OpenCV", 8, pack([5_000_000]), 0.6, 1000, 0.4, 0.2, "")
CHECK = CrossCheckLine(RUN, "localizer", 8, "trtexec", 2.4, 2.3, 0.05, True)
MEASURED = measurement_line(
    (5_000_000,) * 200,
    scenario=Scenario.PERIODIC,
    processor=ProcessorTime(10.0, 2, 18.0, 0.4, 0.1),
    memory=Memory(410 * MIB, 412 * MIB, 455 * MIB, (), 410 * MIB, 412 * MIB),
    punctuality=punctual(np.full(200, 5_000_000), 0),
)


def with_number(path: Path, line: msgspec.Struct, field: str, value: object) -> Path:
    """A record whose second line has another value in a field; "processor.cores" is within one."""
    changed = msgspec.to_builtins(line)
    *places, last = field.split(".")
    part = changed
    for place in places:
        part = part[place]
    assert last in part, "a field of this line"
    part[last] = value
    write_record(path, run_line())
    with path.open("ab") as stream:
        stream.write(msgspec.json.encode(changed) + b"\n")
    return path


IMPOSSIBLE = [
    (MEASURED, "processor.cores", 0, "`int` >= 1"),
    (MEASURED, "processor.wall_s", 0, "`float` > 0.0"),
    (MEASURED, "processor.wall_s", 0.0, "`float` > 0.0"),
    (MEASURED, "processor.others_s", -0.1, "`float` >= 0.0"),
    (MEASURED, "memory.start_bytes", 0, "`int` >= 1"),
    (MEASURED, "memory.first_bytes", 0, "`int` >= 1"),
    (MEASURED, "punctuality.rate_hz", 0.0, "`float` > 0.0"),
    (MEASURED, "punctuality.missed", -1, "`int` >= 0"),
    (MEASURED, "stability.first_ms", 0.0, "`float` > 0.0"),
    (MEASURED, "latency.count", -1, "`int` >= 0"),
    (MEASURED, "duration_s", -1, "`float` >= 0.0"),
    (MEASURED, "clicks", -8, "`int` >= 0"),
    (MEASURED, "harness_us", -0.5, "`float` >= 0.0"),
    (ROOFLINE, "macs", 0, "`int` >= 1"),
    (ROOFLINE, "compulsory_bytes", 0, "`int` >= 1"),
    (ROOFLINE, "bound_ms", 0, "`float` > 0.0"),
    (ROOFLINE, "measured_ms", 0.0, "`float` > 0.0"),
    (ROOFLINE, "copy_gb_s", 0.0, "`float` > 0.0"),
    (ROOFLINE, "matrix_gmac_s", -79.0, "`float` > 0.0"),
    (accuracy_line(), "acc25", 7, "`float` <= 1.0"),
    (accuracy_line(), "coverage", -0.1, "`float` >= 0.0"),
    (accuracy_line(), "wrong_rate", 1.01, "`float` <= 1.0"),
    (PEER, "acc50", 40, "`float` <= 1.0"),
    (PEER, "per_object_ms", 0.0, "`float` > 0.0"),
    (CHECK, "theirs_ms", 0, "`float` > 0.0"),
    (run_line(), "settings.rate_hz", 0.0, "`float` > 0.0"),
    (run_line(), "settings.hit_rate", 2, "`float` <= 1.0"),
    (run_line(), "environment.cores", 0, "`int` >= 1"),
]


@pytest.mark.parametrize(("line", "field", "value", "bound"), IMPOSSIBLE)
def test_a_number_that_cannot_be_is_refused_by_line_and_field(tmp_path, line, field, value, bound):
    path = with_number(tmp_path / "bench.jsonl", line, field, value)
    with pytest.raises(BenchmarkError, match=r"bench\.jsonl, line 2 is broken") as caught:
        read_runs(path)
    assert caught.value.found == f"Expected {bound} - at `$.{field}`"
    assert caught.value.expected == "a line of tilefix-bench/1" and caught.value.do
    assert caught.value.exit_code == 16


@pytest.mark.parametrize(("line", "field"), [(MEASURED, "processor.cores"), (ROOFLINE, "macs")])
def test_the_commands_say_so_instead_of_dividing_by_it(tmp_path, line, field):
    bad = with_number(tmp_path / "bad.jsonl", line, field, 0)
    good = write_record(tmp_path / "good.jsonl", *device_run())
    out = tmp_path / "report.html"
    for words in (("report", bad, "--out", out), ("compare", good, bad), ("compare", bad, good)):
        with pytest.raises(BenchmarkError, match=r"bad\.jsonl, line 2 is broken"):
            CliRunner().invoke(bench, list(map(str, words)), catch_exceptions=False)
    assert not out.exists()


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        (MEASURED, "duration_s", 0.0),  # ended before its first query
        (MEASURED, "clicks", 0),
        (MEASURED, "harness_us", 0),
        (MEASURED, "warmup_queries", 0),
        (MEASURED, "processor.stolen_s", 0.0),
        (MEASURED, "punctuality.scheduled", 0),
        (ROOFLINE, "clicks", 0),
        (ROOFLINE, "fraction", 1.2),  # a limit is measured too
        (accuracy_line(), "acc25", 0),
        (accuracy_line(), "acc50", 1),
        (run_line(), "settings.hit_rate", 0),
        (run_line(), "environment.load_average", 0.0),
    ],
)
def test_numbers_at_their_bounds_are_read(tmp_path, line, field, value):
    assert len(list(lines(with_number(tmp_path / "bench.jsonl", line, field, value)))) == 2


@pytest.mark.parametrize("path", [RECORDS / "peers.jsonl", *(RECORDS / "periodic").glob("*.jsonl")])
def test_the_published_records_are_read(path):
    assert read_runs(path)


def test_a_number_that_cannot_be_is_not_written_either(tmp_path):
    path = write_record(tmp_path / "bench.jsonl", run_line())
    before = path.read_bytes()
    with pytest.raises(BenchmarkError, match="cannot be kept") as caught:
        write_record(path, msgspec.structs.replace(ROOFLINE, macs=0))
    assert "`$.macs`" in caught.value.found and path.read_bytes() == before
