"""`tilefix bench report`: files whole or not at all, refusals before work."""

from __future__ import annotations

import builtins
import xml.etree.ElementTree as ElementTree

import cv2
import pytest
from click.testing import CliRunner
from made_bench_record import device_run, written

from benchmarks.command import bench
from benchmarks.report.files import all_figures, write_file
from benchmarks.report.shown import read_shown
from edge.errors import BenchmarkError, OutputError


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return written(tmp_path_factory.mktemp("record") / "bench.jsonl", device_run())


def invoke(*arguments):
    done = CliRunner().invoke(bench, ["report", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_folder_becomes_a_page(record, tmp_path):
    out = tmp_path / "new" / "page.html"
    done = invoke(record.parent, "--out", out)
    assert done.exit_code == 0 and done.output == f"{out}: 1 run\n"
    assert out.read_text().startswith("<!doctype html>")
    assert [path.name for path in out.parent.iterdir()] == ["page.html"], "and no other file"


def test_a_folder_of_records_is_a_page_of_all(tmp_path):
    for name, run in (("a", "a" * 16), ("b", "b" * 16)):
        written(tmp_path / f"{name}.jsonl", device_run(run))
    out = tmp_path / "page.html"
    assert invoke(tmp_path, "--out", out).output == f"{out}: 2 runs\n"


def test_figures_are_exported_in_both_formats(record, tmp_path):
    folder = tmp_path / "figures"
    done = invoke(record, "--out", tmp_path / "page.html", "--export", folder)
    names = {figure.name for figure in all_figures(read_shown([record]))}
    assert f"{folder}: {len(names)} figures as SVG and PNG" in done.output
    assert {path.stem for path in folder.iterdir()} == names and len(names) > 5
    for name in names:
        tree = ElementTree.parse(folder / f"{name}.svg").getroot()
        assert tree.tag == "{http://www.w3.org/2000/svg}svg"
        image = cv2.imread(str(folder / f"{name}.png"))
        wide, high = float(tree.get("width")), float(tree.get("height"))
        assert image.shape[1] / image.shape[0] == pytest.approx(wide / high, rel=0.01)
        assert image.std() > 5, "something is drawn"


def test_figures_of_two_runs_have_names_of_their_own(tmp_path):
    path = written(tmp_path / "a.jsonl", device_run(), device_run("c" * 16, precision="fp32"))
    names = [figure.name for figure in all_figures(read_shown([path]))]
    assert len(names) == len(set(names))
    assert "run1-tails-periodic" in names and "run2-tails-periodic" in names


def test_without_a_record_it_says_so(tmp_path):
    with pytest.raises(BenchmarkError):
        invoke(tmp_path / "none", "--out", tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
    assert invoke().exit_code == 2


def test_a_folder_in_the_place_of_the_page_is_refused(record, tmp_path):
    with pytest.raises(OutputError, match=r"(?s)--out .* is a folder.*report\.html"):
        invoke(record, "--out", tmp_path)


def test_a_file_in_the_place_of_a_folder_is_refused_before_the_page(record, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="--export"):
        invoke(record, "--out", tmp_path / "page.html", "--export", tmp_path / "file")
    with pytest.raises(OutputError, match="--out"):
        invoke(record, "--out", tmp_path / "file" / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_without_matplotlib_the_page_is_there_and_an_export_is_refused(
    record, tmp_path, monkeypatch
):
    import importlib

    real = importlib.import_module

    def without(name, *rest):
        if name == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    assert invoke(record, "--out", tmp_path / "a.html").exit_code == 0
    with pytest.raises(ModuleNotFoundError, match="matplotlib"):
        invoke(record, "--out", tmp_path / "b.html", "--export", tmp_path / "f")
    assert not (tmp_path / "b.html").exists()


def test_the_page_needs_no_library_of_an_extra(record, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.partition(".")[0] in ("matplotlib", "jinja2", "onnx", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert invoke(record, "--out", tmp_path / "a.html").exit_code == 0


def test_a_file_that_cannot_be_written_in_full_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(part):
        part.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left") as caught:
        write_file(path, full)
    assert caught.value.do == "make room, or give another path"
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["file/page.html", "folder"])
def test_room_is_advised_only_where_there_is_none(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written") as caught:
        write_file(tmp_path / place, lambda part: part.write_text("new"))
    assert caught.value.do == "give another path"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
