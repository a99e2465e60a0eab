"""Limits of a build: memory, duration, numbers of clicks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.engine_manifest import EngineKey
from edge.errors import ExecutorError, OutputError, UsageError
from export.engines import child
from export.engines.command import read_buckets
from export.engines.duration import expected_s
from export.engines.engine_files import keep_logs
from export.engines.job import BuildJob
from export.engines.memory import MIB, limit_memory, note_of, workspace_mib

KEY = EngineKey(
    kind="localizer",
    toolkit="tensorrt",
    toolkit_version="10.3.0",
    onnx_sha256="",
    precision="fp16",
    compute_capabilities=("8.7",),
    click_buckets=(1, 4),
)


def test_limits_come_from_what_is_available():
    assert limit_memory("tensorrt", 10 * MIB, 4000 * MIB) == 3600 * MIB
    assert limit_memory("tensorrt", 10 * MIB, None) is None


def test_scratch_memory_comes_from_what_a_machine_has_in_steps():
    """Boards of 4, 8 and 16 GB, whose systems see somewhat less."""
    totals = [3800 * MIB, 7600 * MIB, 15600 * MIB, None]
    assert [workspace_mib(total) for total in totals] == [256, 512, 1024, 1024]


def test_a_build_that_takes_more_than_its_limit_is_ended(tmp_path, monkeypatch):
    (tmp_path / "hungry.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "kept = bytearray(os.urandom(1)) * (300 << 20)\n"
        "time.sleep(120)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = BuildJob(
        folder=str(tmp_path),
        toolkit="tensorrt",
        graph="graph.onnx",
        kind="localizer",
        capabilities=(87,),
        click_buckets=(),
        custom_operators=(),
        limit_bytes=100 * MIB,
    )
    with pytest.raises(ExecutorError) as error:
        child.run_job(job, {}, title="", expected_s=1, progress=lambda line: None, worker="hungry")
    assert error.value.what == "the build ran out of memory"
    assert error.value.expected == "that it stays within 100 MB"
    taken_mb = int(error.value.found.removeprefix("it took ").partition(" MB")[0])
    assert 100 < taken_mb < 500
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists(), "it goes on"


def test_large_graphs_need_more():
    limit_memory("tensorrt_rtx", 10 * MIB, 1000 * MIB)
    with pytest.raises(ExecutorError) as error:
        limit_memory("tensorrt_rtx", 200 * MIB, 1000 * MIB)
    assert error.value.what == "too little memory to build an engine"
    assert error.value.expected == "about 1600 MB for a graph of 210 MB"
    assert "add swap" in error.value.do and "--memory-mb" in error.value.do


def test_a_limit_that_is_asked_for_is_taken():
    assert limit_memory("tensorrt", 10 * MIB, 100 * MIB, 2000) == 2000 * MIB
    with pytest.raises(ExecutorError) as error:
        limit_memory("tensorrt_rtx", 18 * MIB, 100_000 * MIB, 300)
    assert error.value.expected == "about 508 MB for a graph of 19 MB"
    assert error.value.found == "--memory-mb 300"
    assert error.value.do == "allow more with --memory-mb, or leave it out"
    with pytest.raises(UsageError) as error:
        limit_memory("tensorrt", 0, None, 0)
    assert error.value.what == "--memory-mb is no limit"


def test_a_limit_is_not_passed_in_silence():
    within = "the build took 300 MB of memory at most"
    assert note_of(300_000_000, None) == note_of(300_000_000, 400_000_000) == within
    passed = ", more than its limit of 200 MB, for a moment or with files"
    assert note_of(300_000_000, 200_000_000) == within + passed


def test_durations_by_the_rule(tmp_path):
    seconds, reason = expected_s(tmp_path, KEY, 100_000_000)
    assert reason == "a rule of thumb"
    assert seconds == (180 + 240) * 1.5, "the second profile finds half of its kernels timed"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/engine.json").write_text("{")
    assert expected_s(tmp_path, KEY, 100_000_000) == (seconds, reason)


def test_numbers_of_clicks():
    assert read_buckets("16, 1,4,4") == (1, 4, 16)
    for text in ("", "0", "65", "1,x", "-1", "1.5"):
        with pytest.raises(UsageError) as error:
            read_buckets(text)
        assert error.value.what == "--buckets cannot be read"
        assert error.value.expected.startswith("numbers of clicks from 1 to 64")
        assert error.value.found == repr(text)


def test_a_log_that_cannot_be_kept(tmp_path):
    (tmp_path / "builder.log").write_text("said")
    with pytest.raises(OutputError) as error:
        keep_logs(tmp_path, tmp_path / "builder.log/in", "localizer_fp16")
    assert error.value.do == "give another folder with --logs"
