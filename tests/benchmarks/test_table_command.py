"""README's tables are what the command makes of the kept records, word by word."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.command import bench
from benchmarks.table_command import KINDS, made_of
from edge.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "benchmarks" / "records"
KEPT = {
    "peers": RECORDS / "peers.jsonl",
    "periodic": RECORDS / "periodic",
    "scale": RECORDS / "scale.json",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_says_what_the_record_says(kind):
    marks, made = made_of(kind, (KEPT[kind],))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, begin, rest = readme.partition(marks.begin)
    inside, end, _ = rest.partition(marks.end)
    assert begin and end
    where = KEPT[kind].relative_to(ROOT)
    do = f"tilefix bench table --of {kind} {where} --write README.md"
    assert inside == f"\n{made}\n", f"run {do}"


def test_several_records_are_one_table_of_open_loops_alone():
    for kind in ("peers", "scale"):
        with pytest.raises(UsageError, match=f"--of {kind} takes one record"):
            made_of(kind, (KEPT[kind], KEPT[kind]))


def test_a_record_is_asked_for():
    done = CliRunner().invoke(bench, ["table"])
    assert done.exit_code == 2 and "RECORD" in done.output
