"""The table of answers points at files that exist, and says what no device has shown."""

from __future__ import annotations

import re
from pathlib import Path

import export

TEXT = (Path(export.__file__).parent / "engines-and-trust.md").read_text()
ROOT = Path(__file__).resolve().parent.parent.parent


def rows() -> dict[int, list[str]]:
    lines = re.findall(r"^\| (\d+) \|(.+)\|$", TEXT, re.MULTILINE)
    return {int(number): [cell.strip() for cell in line.split("|")] for number, line in lines}


def test_there_are_fifteen_each_with_an_answer_and_a_place():
    found = rows()
    assert sorted(found) == list(range(1, 16))
    for complaint, answer, where in found.values():
        assert complaint.endswith((".", "?")) and len(answer) > 60
        assert re.findall(r"`([^`]+)`", where)


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"`((?:edge|export|benchmarks|tests)/[\w/.-]+)`", TEXT))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


def test_what_only_a_device_can_show_says_that_none_has():
    unseen = {number for number, (_, answer, _) in rows().items() if "On no device" in answer}
    assert unseen == {3, 9}
    assert "On a device nothing was measured" in rows()[8][1]
    assert "Proved on recorded trees of sysfs only" in rows()[15][1]
    assert "No engine of tilefix has run on a Jetson" in TEXT
    assert "ot yet" not in TEXT
