"""The README's table of GPUs is what the records give; without records all is not measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.acceptance_record import Requirement, Trial, record, write_record
from benchmarks.gpu import table as gpu_table
from benchmarks.gpu.dequantise_trial import DIFFERING, SHARE
from benchmarks.gpu.table import BEGIN, END, NOT_MEASURED, read_records, rows, table
from edge.errors import OutputError

ROOT = Path(__file__).resolve().parents[3]  # of the checkout, whatever is installed


def made_record(gpu: str, day: int, ratio: float = 4.0) -> dict:
    """As the acceptance writes one, with some of its parts."""
    trial = Trial(100.0, lambda line: None)
    rivals = [Requirement("8 clicks: eager over kernel", ratio, 3.0, False)]
    right = [
        Requirement(f"{variant}: relative error", error, 2e-3, True)
        for variant, error in (("detgeo", 1e-4), ("lite", 3e-4))
    ]
    cross = {"size": "trogeo", "kernel_warm_us": 9.26, "sdpa_warm_us": 12.0}
    model = {"cached, graph, ms": 0.456, "both branches, graph, ms": 3.0}
    trial.run("tile attention: rivals", 1, lambda: ({}, rivals))
    trial.run("tile attention: right", 1, lambda: ({}, right))
    trial.run("features in INT8: right", 1, lambda: ({}, [Requirement(DIFFERING, 0, 0, True)]))
    trial.run("features in INT8: time", 1, lambda: ({}, [Requirement(SHARE, 0.561, 1.0, True)]))
    trial.run("cross attention: time", 1, lambda: ({"table": [cross]}, []))
    trial.run("model: lite", 1, lambda: (model, []))
    trial.run("copy bandwidth", 200, lambda: ({}, []))  # skipped: no time
    values = record(trial, {"gpu": gpu}, "command")
    return values | {"finished_utc": f"2026-12-{day:02}T10:00:00+00:00"}


def cells(made: str, title: str) -> list[str]:
    line = next(line for line in made.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_readme_states_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    made = text.split(BEGIN)[1].split(END)[0].strip("\n")
    assert made == table(read_records(ROOT / "benchmarks/results")), (
        "run: python -m benchmarks.gpu.table --write"
    )


def test_without_records_what_is_asked_for_is_not_measured(tmp_path):
    assert read_records(tmp_path / "none") == []
    made = table([])
    assert made.count(NOT_MEASURED) == 9 == sum(bool(row.asked) for row in rows())
    assert cells(made, "TileAttention, 8 clicks, against torch eager")[1] == "at least 3x"


def test_records_become_columns(tmp_path):
    write_record(made_record("GPU B", 3, ratio=5.5), tmp_path, "b_new.json")
    write_record(made_record("GPU B", 1), tmp_path, "z_old.json")
    write_record(made_record("GPU A", 2), tmp_path, "a.json")
    (tmp_path / "other.json").write_text(json.dumps({"kind": "something else"}))
    made = table(read_records(tmp_path))
    assert made.splitlines()[0] == "| float16 | GPU A, 2026-12-02 | GPU B, 2026-12-03 | asked |"
    assert cells(made, "TileAttention, 8 clicks, against torch eager")[:2] == ["4.0x", "5.5x"]
    assert cells(made, "TileAttention: error against float64")[0] == "3.0e-04"
    assert cells(made, next(row.title for row in rows() if "INT8" in row.title))[0] == "0 / 0.56x"
    assert cells(made, "CrossAttention / torch's SDPA, trogeo")[0] == "9.3 / 12.0 us"
    assert cells(made, "`lite`, 8 clicks: cached window / both branches")[0] == "0.46 / 3.00 ms"
    for absent in ("copy bandwidth", "`trogeo`, cached window: CrossAttention / torch's attention"):
        assert cells(made, absent)[:2] == [NOT_MEASURED] * 2


def test_writing_touches_only_what_is_between_the_markers(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    monkeypatch.setattr(gpu_table, "README", readme)
    monkeypatch.setattr(gpu_table, "read_records", list)
    assert gpu_table.main(["--write"]) == 0
    assert readme.read_text() == f"above\n{BEGIN}\n{table([])}\n{END}\nbelow\n"
    assert gpu_table.main([]) == 0
    assert capsys.readouterr().out == table([]) + "\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_a_place_is_refused(text):
    with pytest.raises(OutputError) as error:
        gpu_table.MARKS.put(text, "made")
    assert error.value.what == "the README has no place for the table of GPUs"
