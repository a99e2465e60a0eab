"""The process of a build: where in it the builder runs, so that engines built twice are equal."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from edge.errors import ExecutorError
from export.engines import worker
from export.engines.job import REPORT_FILE, BuildJob, BuildReport


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`run(build)`: what the worker reports of a job whose build is that function."""
    monkeypatch.setattr(worker.ctypes, "CDLL", lambda _: type("Libc", (), {"prctl": print}))
    monkeypatch.setattr(worker, "OOM_SCORE", tmp_path / "oom_score_adj")
    monkeypatch.setattr(worker.Toolkit, "load", staticmethod(lambda name: name))
    monkeypatch.setattr(worker, "prepare", lambda job, toolkit: threading.current_thread())
    monkeypatch.chdir(tmp_path)  # and back: the worker changes the directory of its process
    job = BuildJob(
        folder=str(tmp_path / "job"),
        toolkit="tensorrt_rtx",
        graph="graph.onnx",
        kind="localizer",
        capabilities=(86,),
        click_buckets=(),
        custom_operators=(),
    )
    (tmp_path / "job").mkdir()
    (tmp_path / "job.json").write_bytes(msgspec.json.encode(job))

    def report_of(build) -> BuildReport:
        monkeypatch.setattr(worker, "build", build)
        worker.main(str(tmp_path / "job.json"))
        content = (tmp_path / "job" / REPORT_FILE).read_bytes()
        return msgspec.json.decode(content, type=BuildReport)

    return report_of


def test_a_build_has_memory_of_its_own_and_no_long_paths(run, tmp_path):
    """TensorRT-RTX orders an engine's tensors by addresses, which shall not be the caller's.

    What reads files, whose paths have lengths, happens before and elsewhere.
    """
    seen = []

    def build(job, toolkit, prepared_in):
        seen.append((threading.current_thread(), prepared_in, Path.cwd(), toolkit))
        return BuildReport(profiles=3)

    assert run(build).profiles == 3
    ((built_in, prepared_in, place, toolkit),) = seen
    assert prepared_in is threading.main_thread() and built_in is not prepared_in
    assert (place, toolkit) == (tmp_path / "job", "tensorrt_rtx")


def test_what_fails_in_there_is_reported(run):
    def refuse(*_):
        raise ExecutorError("no", expected="yes", found="no", do="ask again")

    def starve(*_):
        raise MemoryError

    def stumble(*_):
        raise ZeroDivisionError

    assert run(refuse).failure.do == "ask again"
    assert run(starve).failure.what == "the build ran out of memory"
    with pytest.raises(ZeroDivisionError):  # the process ends with its traceback
        run(stumble)
