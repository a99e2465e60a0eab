"""What the README states is what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from edge.commands.tiles import INTERRUPTED
from edge.errors import TilefixError

README = Path(__file__).resolve().parent.parent / "README.md"


def kinds(base: type[TilefixError]) -> set[type[TilefixError]]:
    return {base}.union(*(kinds(kind) for kind in base.__subclasses__()))


def test_the_table_of_exit_codes_is_that_of_the_errors():
    section = README.read_text().split("## Exit codes")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [cell.strip() for row in rows[2:] for cell in row]
    pairs = [pair for pair in zip(cells[::2], cells[1::2], strict=True) if any(pair)]
    stated = {int(code): cause for code, cause in pairs}
    assert len(stated) == len(pairs), "a code is there twice"
    assert all(re.search("[a-z]{4}", cause) for cause in stated.values())
    of_errors = {kind.exit_code for kind in kinds(TilefixError) if kind.__module__ == "edge.errors"}
    assert set(stated) == of_errors | {0, INTERRUPTED}
