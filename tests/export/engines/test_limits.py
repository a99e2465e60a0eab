"""Limits of a build: memory, duration, numbers of clicks."""

from __future__ import annotations

import pytest

from edge.engine_manifest import EngineKey
from edge.errors import ExecutorError, OutputError, UsageError
from export.engines.command import read_buckets
from export.engines.duration import expected_s
from export.engines.engine_files import keep_logs
from export.engines.memory import MIB, plan_memory

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
    plan = plan_memory("tensorrt", 10 * MIB, 4000 * MIB)
    assert plan.limit_bytes == 3600 * MIB
    assert plan.workspace_bytes == 900 * MIB
    assert plan_memory("tensorrt", 10 * MIB, 64000 * MIB).workspace_bytes == 1024 * MIB
    unknown = plan_memory("tensorrt", 10 * MIB, None)
    assert (unknown.limit_bytes, unknown.workspace_bytes) == (None, 1024 * MIB)


def test_large_graphs_need_more():
    plan_memory("tensorrt_rtx", 10 * MIB, 1000 * MIB)
    with pytest.raises(ExecutorError) as error:
        plan_memory("tensorrt_rtx", 200 * MIB, 1000 * MIB)
    assert error.value.what == "too little memory to build an engine"
    assert error.value.expected == "about 1600 MB for a graph of 210 MB"
    assert "add swap" in error.value.do and "--memory-mb" in error.value.do


def test_a_limit_that_is_asked_for_is_taken():
    assert plan_memory("tensorrt", 900 * MIB, 100 * MIB, 2000).limit_bytes == 2000 * MIB
    with pytest.raises(UsageError) as error:
        plan_memory("tensorrt", 0, None, 0)
    assert error.value.what == "--memory-mb is no limit"


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
