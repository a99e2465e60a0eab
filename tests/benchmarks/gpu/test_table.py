"""The README's table of GPUs is what the records give; without records all is not measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.acceptance_record import Requirement, Trial, record, write_record
from benchmarks.gpu import cross_attention_table as cross
from benchmarks.gpu import table as gpu_table
from benchmarks.gpu.cross_attention_table import compared, cross_attention_table
from benchmarks.gpu.dequantise_trial import DIFFERING, SHARE
from benchmarks.gpu.results import newest, part_of, read_records
from benchmarks.gpu.table import BEGIN, END, NOT_MEASURED, rows, table
from edge.errors import OutputError

ROOT = Path(__file__).resolve().parents[3]  # of the checkout, whatever is installed


def made_record(gpu: str, day: int, ratio: float = 4.0) -> dict:
    """As the acceptance writes one, with some of its parts."""
    trial = Trial(100.0, lambda line: None)
    rivals = [Requirement("8 clicks: eager over kernel", ratio, 3.0, False)]
    right = [
        Requirement(f"{variant} float16: relative error", error, 2e-3, True)
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


def test_the_plugins_readme_states_the_newest_record():
    text = (ROOT / "export/plugin/README.md").read_text(encoding="utf-8")
    made = text.split(cross.MARKS.begin)[1].split(cross.MARKS.end)[0].strip("\n")
    record = newest(read_records(ROOT / "benchmarks/results"))
    assert made == cross_attention_table(record), "run: python -m benchmarks.gpu.table --write"


def test_without_records_what_is_asked_for_is_not_measured(tmp_path):
    assert read_records(tmp_path / "none") == []
    made = table([])
    assert made.count(NOT_MEASURED) == 9 == sum(bool(row.asked) for row in rows())
    assert cells(made, "TileAttention, 8 clicks, against torch eager")[1] == "at least 3x"


def test_what_misses_is_called_not_reached(tmp_path):
    write_record(made_record("GPU", 3, ratio=2.5), tmp_path, "a.json")
    made = table(read_records(tmp_path))
    title = "TileAttention, 8 clicks, against torch eager"
    assert cells(made, title)[0] == "2.5x (**not reached**)"
    assert made.count("not reached") == 1


def test_a_part_left_out_comes_from_a_record_of_the_same_commit_alone(tmp_path):
    def of(commit, day, name, without=None):
        values = made_record("GPU", day, ratio=day)
        values["environment"]["git_commit"] = commit
        for part in values["parts"]:
            if part["name"] == without:
                part["verdict"] = "skipped"
        write_record(values, tmp_path, name)

    rivals = "tile attention: rivals"
    of("new", 9, "newest.json", without=rivals)
    of("old", 5, "old.json")
    (found,) = read_records(tmp_path)
    assert part_of(found, rivals)["verdict"] == "skipped", "not of another commit"
    of("new", 7, "same.json")
    (found,) = read_records(tmp_path)
    assert part_of(found, rivals)["requirements"][0]["value"] == 7
    assert found["finished_utc"].startswith("2026-12-09")


@pytest.mark.parametrize("commit", [None, "unknown"])
def test_records_of_unknown_commits_are_not_put_together(tmp_path, commit):
    for day, name, verdict in ((9, "new.json", "skipped"), (7, "old.json", "passed")):
        values = made_record("GPU", day)
        if commit is not None:
            values["environment"]["git_commit"] = commit
        values["parts"][0]["verdict"] = verdict
        write_record(values, tmp_path, name)
    (found,) = read_records(tmp_path)
    assert found["parts"][0]["verdict"] == "skipped"


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
    assert cells(made, "`lite`, 8 clicks: cached window / both branches")[0] == "0.46 / 3.00 ms"
    for absent in ("copy bandwidth", "`trogeo`, 8 clicks: cached window / both branches"):
        assert cells(made, absent)[:2] == [NOT_MEASURED] * 2


def test_writing_touches_only_what_is_between_the_markers(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    plugins = tmp_path / "plugins.md"
    plugins.write_text(f"above\n{cross.MARKS.begin}\n{cross.MARKS.end}\nbelow\n")
    monkeypatch.setattr(gpu_table, "README", readme)
    monkeypatch.setattr(cross, "README", plugins)
    monkeypatch.setattr(gpu_table, "read_records", list)
    assert gpu_table.main(["--write"]) == 0
    assert readme.read_text() == f"above\n{BEGIN}\n{table([])}\n{END}\nbelow\n"
    made = cross_attention_table(None)
    assert plugins.read_text() == (
        f"above\n{cross.MARKS.begin}\n{made}\n{cross.MARKS.end}\nbelow\n"
    )
    assert gpu_table.main([]) == 0
    assert capsys.readouterr().out == table([]) + "\n"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_readme_without_a_place_is_refused(text):
    with pytest.raises(OutputError) as error:
        gpu_table.MARKS.put(text, "made")
    assert error.value.what == "the README has no place for the table of GPUs"


def test_cross_attention_beside_the_quickest_of_torchs():
    trial = Trial(100.0, lambda line: None)
    table = [
        {"size": size, "kernel_warm_us": ours, "sdpa_warm_us": sdpa}
        for size, ours, sdpa in (("ocgnet", 4.0, 6.0), ("trogeo, encoding", 39.3, 13.8))
    ]
    rivals = {"ocgnet": {"sdpa, compiled, graph, us": 5.0, "plain, compiled, graph, us": 14.0}}
    model = {"cached, graph, ms": 1.0, "CrossAttention, cached, graph, ms": 1.01}
    trial.run("cross attention: time", 1, lambda: ({"table": table}, []))
    trial.run("cross attention: rivals", 1, lambda: (rivals, []))
    trial.run("model: ocgnet", 1, lambda: (model, []))
    made = cross_attention_table(record(trial, {"gpu": "GPU A"}, "command"))
    assert made.startswith("| 8 clicks, float16, GPU A, 2")
    assert cells(made, "ocgnet: 8 x 64 read 64, 8 heads of 64") == [
        "4.0 us", NOT_MEASURED, "6.0 us", "5.0 us", "14.0 us", "1.25x as fast",
    ]  # fmt: skip
    encoding = cells(made, "trogeo, encoding: 1 x 1024 read 1024, 12 heads of 64")
    assert encoding[3:] == [NOT_MEASURED, NOT_MEASURED, "slower, 2.85x the time"]
    assert cells(made, "`ocgnet`, cached window") == ["1.01 ms", "1.00 ms", "even"]
    assert cells(made, "`trogeo`, both branches") == [NOT_MEASURED] * 3
    assert compared(None, [1.0]) == compared(1.0, []) == NOT_MEASURED


def test_the_quickest_form_of_lite_is_the_one_shown():
    trial = Trial(100.0, lambda line: None)
    values = {
        "cached, graph, ms": 0.99,
        "arranged, cached, graph, ms": 0.404,
        "cached, fastest form": "arranged",
        "cached, fastest form, ms": 0.404,
        "both branches, fastest form": "folded",
        "both branches, fastest form, ms": 2.0,
    }
    trial.run("model: lite", 1, lambda: (values, []))
    made = table([record(trial, {"gpu": "GPU A"}, "command")])
    title = "`lite`, 8 clicks: cached window / both branches"
    assert cells(made, title)[0] == "0.40 (arranged) / 2.00 (folded) ms"
    title = "`lite`, cached window: as built / folded / folded and compiled / arranged"
    assert cells(made, title)[0] == "0.99 / - / - / 0.40 ms"
