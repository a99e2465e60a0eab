"""The acceptance on a GPU, as far as a machine without one can run it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from benchmarks.acceptance_record import (
    Requirement,
    Skip,
    Trial,
    Verdict,
    machine,
    record,
    write_record,
)
from benchmarks.gpu import acceptance as gpu_acceptance
from benchmarks.gpu import tile_attention_trial
from benchmarks.gpu.model_trial import MODELS
from benchmarks.gpu.tile_attention_trial import check, compare
from edge.bundle import sha256_of
from edge.errors import UsageError
from export.plugin import cuda_op
from export.plugin.random_cases import random_case
from export.plugin.tile_attention import DETGEO
from export.plugin.tile_attention_op import evaluate


def test_without_a_device_it_says_so_and_fails(tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert gpu_acceptance.main(["--out", str(tmp_path)]) == 2
    assert "gpu_acceptance: no CUDA device: torch" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_it_needs_little_to_start():
    code = (
        "import sys, benchmarks.gpu_acceptance\n"
        "import export.plugin.build, export.plugin.launcher, export.plugin.random_cases\n"
        "heavy = {'cv2', 'msgspec', 'onnx', 'onnxruntime', 'rich', 'click', 'training', 'torch'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def trial(budget_s: float = 100.0) -> tuple[Trial, list[str], list[float]]:
    lines: list[str] = []
    now = [0.0]
    return Trial(budget_s, lines.append, lambda: now[0]), lines, now


def test_parts_pass_fail_and_skip():
    t, lines, now = trial()

    def slow():
        now[0] += 30
        return {"x": 1}, [Requirement("speed", 2.0, 1.0, False)]

    def missed():
        return {}, [Requirement("error", 0.5, 0.1, True), Requirement("rest", 1, 1, True)]

    def absent():
        raise Skip("no such tool")

    def dies():
        raise RuntimeError("boom")

    assert t.run("a", 50, slow).verdict is Verdict.PASSED
    assert t.verdict() is Verdict.PASSED
    assert t.run("b", 50, missed).reason == "error is 0.5, not <= 0.1"
    assert t.run("c", 50, absent).verdict is Verdict.SKIPPED
    assert t.run("d", 50, dies).reason == "RuntimeError: boom"
    late = t.run("e", 80, slow)
    assert late.reason == "70 s were left, and it may take 80 s"
    assert t.verdict() is Verdict.FAILED
    assert [line.split()[0] for line in lines] == [
        "passed",
        "failed",
        "skipped",
        "failed",
        "skipped",
    ]


def test_a_large_box_one_cell_off_is_another_cell():
    box = np.array([[0, 0, 900, 900.0]])
    expected = {"box_xyxy_px": box, "confidence_logit": np.array([1.0])}
    found = {"box_xyxy_px": box + 8, "confidence_logit": np.array([1.5])}
    assert compare(found, expected).same_cell == 0
    wider = box + np.array([-3, 0, 3, 0])  # within rounding of a side that long
    assert compare({**found, "box_xyxy_px": wider}, expected).same_cell == 1


def test_no_number_meets_no_requirement():
    assert not Requirement("x", float("nan"), 1.0, True).met
    assert not Requirement("x", float("nan"), 1.0, False).met


def test_the_record_is_json(tmp_path):
    t, _, _ = trial()
    t.run("a", 1, lambda: ({"table": [1, 2]}, [Requirement("r", 1.0, 2.0, True)]))
    path = write_record(record(t, machine(), "command"), tmp_path / "new")
    values = json.loads(path.read_text())
    assert values["schema_version"] == 1 and values["verdict"] == "passed"
    assert values["parts"][0]["requirements"][0]["limit"] == 2.0
    assert {"git_commit", "python", "cores"} <= set(values["environment"])
    assert [p.name for p in path.parent.iterdir()] == ["gpu_acceptance.json"]


def test_a_run_that_is_cut_off_leaves_a_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_acceptance, "no_device", lambda: "")
    monkeypatch.setattr(gpu_acceptance, "gpu", lambda: {"gpu": "none"})

    def cut_off(trial, given):
        trial.run("first", 1, lambda: ({"x": 1}, []))
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu_acceptance, "run_parts", cut_off)
    with pytest.raises(KeyboardInterrupt):
        gpu_acceptance.main(["--out", str(tmp_path), "--commit", "abc"])
    values = json.loads((tmp_path / "gpu_acceptance.json").read_text())
    assert values["environment"]["git_commit"] == "abc"
    assert [part["name"] for part in values["parts"]] == ["first"]
    assert "passed" in capsys.readouterr().out


def test_agreement_counts_cells_and_ties():
    box = np.array([[0, 0, 10, 10], [100, 100, 120, 120], [50, 50, 60, 60.0]])
    logit = np.array([1.0, 2.0, 3.0])
    expected = {"box_xyxy_px": box, "confidence_logit": logit}
    moved = box + np.array([[0.0], [64.0], [64.0]])
    found = {"box_xyxy_px": moved, "confidence_logit": logit + np.array([0, 1e-7, 0.1])}
    agreed = compare(found, expected)
    assert (agreed.clicks, agreed.same_cell, agreed.worst_error) == (3, 2, 0.0)
    assert compare({**found, "confidence_logit": logit * np.nan}, expected).worst_error == np.inf


@pytest.fixture
def few_sizes(monkeypatch):
    monkeypatch.setattr(tile_attention_trial, "SMALL", ((24, 40, (7, 11)),))


@pytest.mark.full_size
def test_the_checks_pass_on_the_host(host_kernels, host_plugin, few_sizes):
    for library, through_plugin in ((host_kernels, False), (host_plugin, True)):
        values, requirements = check(library, 1, through_plugin, "small", "cpu")
        assert values["detgeo float16"]["clicks"] == 70
        assert len(requirements) == 12 and all(r.met for r in requirements), requirements


def test_the_checks_notice_a_wrong_kernel(host_kernels, few_sizes, monkeypatch):
    right = cuda_op.run_kernel

    def wrong(*arguments):
        box, logit, *rest = right(*arguments)
        return box + 64, logit * 1.01, *rest

    monkeypatch.setattr(cuda_op, "run_kernel", wrong)
    _, requirements = check(host_kernels, 1, sizes="small", device="cpu")
    assert not any(r.met for r in requirements if "cell" in r.name)


@pytest.fixture
def as_if_on_a_gpu(monkeypatch, few_sizes):
    """Small sizes on the host; clocks and graphs that call what they are given."""
    real = tile_attention_trial.tensors
    monkeypatch.setattr(
        tile_attention_trial, "tensors", lambda case, dtype, device="": real(case, dtype, "cpu")
    )
    monkeypatch.setattr(tile_attention_trial, "FULL", (64, 32, (8, 8)))
    monkeypatch.setattr(tile_attention_trial, "LITE", (16, 16, (8, 8)))
    monkeypatch.setattr(tile_attention_trial, "CACHE_BYTES", 20e3)
    monkeypatch.setattr(tile_attention_trial, "MANY_WINDOWS", 4)
    monkeypatch.setattr(tile_attention_trial, "in_graph", lambda call: (call(), call)[1])
    monkeypatch.setattr(tile_attention_trial, "median_us", lambda call: (call(), 10.0)[1])
    monkeypatch.setattr(
        tile_attention_trial, "graph_us", lambda calls: ([c() for c in calls], 5.0)[1]
    )
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)


def test_graphs_are_compared(host_kernels, as_if_on_a_gpu):
    assert tile_attention_trial.check_graph(host_kernels) == ({}, [])


@pytest.mark.full_size
def test_times_are_tabled(host_kernels, as_if_on_a_gpu):
    values, requirements = tile_attention_trial.time_kernel(host_kernels, 3000.0)
    assert [r.name for r in requirements] == [
        f"{n} clicks: share of copy bandwidth" for n in (1, 2, 4, 8, 16)
    ]
    rows = [row for row in values["table"] if row["size"] == "full" and row["clicks"] == 8]
    assert [row["windows"] for row in rows] == [1, 2, 4]
    assert rows[0]["gb_per_s"] == pytest.approx(2 * (64 + 32) * 64 / 5e3)
    assert [row["us_per_window"] for row in rows] == [5.0, 2.5, 1.25]


def test_the_rivals_compile_to_one_graph():
    """torch.compile is a fair rival only where nothing breaks its graph."""
    inputs = tile_attention_trial.tensors(random_case(0, 2, 16, 8, (4, 4)), torch.float16, "cpu")
    compiled = torch.compile(evaluate, backend="eager", fullgraph=True, dynamic=False)
    for one, other in zip(compiled(*inputs, DETGEO), evaluate(*inputs, DETGEO), strict=True):
        assert torch.equal(one, other)


def test_rivals_are_compared(host_kernels, as_if_on_a_gpu):
    values, requirements = tile_attention_trial.time_rivals(host_kernels)
    assert values["us"]["eager, float16"] == 10.0 and values["spread_us"] == 0.0
    assert [r.value for r in requirements] == [1.0, 1.0]


def test_where_torch_cannot_compile_the_eager_times_stay(host_kernels, as_if_on_a_gpu, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(torch, "compile", fails)
    values, (eager, compiled) = tile_attention_trial.time_rivals(host_kernels)
    assert values["not compiled"] == "RuntimeError: no C compiler"
    assert eager.value == 1.0 and not compiled.met


def test_one_part_can_run_alone(host_plugin, monkeypatch, tmp_path):
    t, _, _ = trial(1000.0)
    monkeypatch.setattr(gpu_acceptance, "copy_gb_per_s", lambda: 3000.0)
    monkeypatch.setattr(gpu_acceptance.dequantise, "time_features", lambda: ({"us": 1.0}, []))
    given = argparse.Namespace(out=tmp_path, library=host_plugin.path, seeds=1, only="INT8: time")
    gpu_acceptance.run_parts(t, given)
    assert [part.name for part in t.parts] == ["build", "copy bandwidth", "features in INT8: time"]
    assert t.parts[0].values == {
        "library": host_plugin.path.name,
        "sha256": sha256_of(host_plugin.path),
    }
    given.only = "tile atention"
    with pytest.raises(SystemExit, match=r"(?s)tile attention.*found: +--only 'tile atention'"):
        gpu_acceptance.run_parts(t, given)


@pytest.mark.full_size
def test_all_parts_run_in_order(host_plugin, as_if_on_a_gpu, monkeypatch, tmp_path):
    t, lines, _ = trial(1000.0)
    for size in ("FULL", "LITE"):  # smaller still: what they answer is not looked at
        monkeypatch.setattr(tile_attention_trial, size, (8, 8, (2, 2)))
    monkeypatch.setattr(tile_attention_trial, "CACHE_BYTES", 128.0)
    monkeypatch.setattr(gpu_acceptance, "copy_gb_per_s", lambda: 3000.0)
    monkeypatch.setattr(gpu_acceptance, "time_model", lambda *a: ({"ms": 1.0}, []))
    monkeypatch.setattr(gpu_acceptance.shutil, "which", lambda tool: None)
    for part in ("check", "check_batch"):
        monkeypatch.setattr(gpu_acceptance, part, lambda *a, **k: ({}, []))
    for part in ("check", "time_features"):
        monkeypatch.setattr(gpu_acceptance.dequantise, part, lambda *a: ({}, []))
    for part in ("check", "check_graph", "time_kernel", "time_rivals"):
        monkeypatch.setattr(gpu_acceptance.cross, part, lambda *a, **k: ({}, []))
    given = argparse.Namespace(out=tmp_path, library=host_plugin.path, seeds=1, only="")
    gpu_acceptance.run_parts(t, given)
    verdicts = {part.name: part.verdict.value for part in t.parts}
    assert verdicts == {
        "build": "passed",
        "copy bandwidth": "passed",
        "features in INT8: right": "passed",
        "features in INT8: time": "passed",
        "tile attention: right": "passed",
        "tile attention: batch": "passed",
        "tile attention: CUDA graph": "passed",
        "tile attention: plugin interface": "passed",
        "tile attention: time": "failed",  # 5 us for a few kilobytes
        "cross attention: right": "passed",
        "cross attention: CUDA graph": "passed",
        "cross attention: plugin interface": "passed",
        "cross attention: time": "passed",
        **{f"model: {name}": "passed" for name in MODELS},
        "tile attention: rivals": "failed",
        "cross attention: rivals": "passed",
        "compute-sanitizer: memcheck": "skipped",
        "compute-sanitizer: racecheck": "skipped",
    }
    assert "compute-sanitizer is not installed" in lines[-1]


def test_a_library_is_asked_for():
    with pytest.raises(UsageError, match="there is no library to check"):
        gpu_acceptance.opened(None)
