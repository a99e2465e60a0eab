"""What the README states is what the program does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyproj
import pytest

from edge.commands.tiles import INTERRUPTED
from edge.errors import TilefixError

POOL = "pool-0019"
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


def test_the_example_in_python_finds_the_pool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(README.parent / "edge" / "demo_data" / "flight")
    exec(compile(example, "README.md", "exec"), {})
    told = re.match(r"accepted \(([\d.]+), ([\d.]+)\) ", capsys.readouterr().out)
    assert told is not None
    (pool,) = [x for x in json.loads(Path("truth.json").read_text())["objects"] if x["id"] == POOL]
    ellipsoid = pyproj.Geod(ellps="WGS84")
    assert ellipsoid.inv(*map(float, told.groups()), *pool["lon_lat_deg"])[2] < 1.5
