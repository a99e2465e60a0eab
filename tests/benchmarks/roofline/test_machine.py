"""Limits of a machine: sizes that get past caches, refusals, and rates that are rates."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from benchmarks.roofline import machine
from benchmarks.roofline.machine import buffer_bytes, cache_bytes, copy_gb_s, matrix_gmac_s
from edge.errors import BenchmarkError

MIB = 1 << 20


def system(root: Path, caches=("32K", "1024K", "32768K"), free_mib: int = 8192) -> Path:
    for index, size in enumerate(caches):
        folder = root / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        folder.mkdir(parents=True)
        (folder / "size").write_text(f"{size}\n")
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text(f"MemAvailable:   {free_mib * 1024} kB\n")
    return root


def test_the_largest_cache_counts(tmp_path):
    assert cache_bytes(system(tmp_path)) == 32 * MIB
    assert cache_bytes(tmp_path / "elsewhere") == 0


@pytest.mark.parametrize(
    ("caches", "free_mib", "wanted_mib"),
    [
        (("1M",), 8192, 64),  # no less than makes the clock's steps small
        (("32M",), 8192, 128),  # four times the cache
        (("512M",), 100_000, 1024),  # but no more than this
        (("32M",), 1024, 64),  # a sixteenth of the free memory
    ],
)
def test_buffers_get_past_the_caches_within_the_memory(tmp_path, caches, free_mib, wanted_mib):
    assert buffer_bytes(system(tmp_path, caches, free_mib)) == wanted_mib * MIB


def test_too_little_memory_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match=r"(?s)not enough memory.*512 MiB.*100 MiB"):
        buffer_bytes(system(tmp_path, ("32M",), 100))


@pytest.mark.parametrize("measure", [copy_gb_s, matrix_gmac_s])
def test_threads_are_at_least_one(measure):
    with pytest.raises(BenchmarkError, match="1 thread or more"):
        measure(0)


def test_all_bytes_are_copied_and_counted(tmp_path, monkeypatch):
    """Three threads, each its own part: the rate is that of both buffers over the best time."""
    copied = []
    real = np.copyto
    monkeypatch.setattr(
        machine.np, "copyto", lambda to, of: (copied.append(of.nbytes), real(to, of))
    )
    monkeypatch.setattr(machine, "_best_s", lambda work: (work(), 0.25)[1])
    assert copy_gb_s(3, system(tmp_path)) == pytest.approx(2 * 128 * MIB / 0.25 / 1e9)
    assert len(copied) == 3 and sum(copied) == 128 * MIB


def test_the_product_is_the_one_that_is_counted():
    for kind, dtype in (("float32", np.float32), ("int8", np.uint8)):
        model = machine.product_model(kind)
        (weights,) = (onnx.numpy_helper.to_array(each) for each in model.graph.initializer)
        assert weights.dtype == kind
        x = np.random.default_rng(2).integers(0, 9, weights.shape).astype(dtype)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        wanted = x[:2].astype(np.int64) @ weights.astype(np.int64)
        assert np.array_equal(session.run(None, {"x": x})[0][:2], wanted)


def test_the_best_round_counts_and_the_first_one_does_not(monkeypatch):
    """By a clock that only the work moves."""
    naps, clock = iter([0.005, 0.03, 0.01, 0.02, *[0.03] * 99]), [100.0]

    def work():
        clock[0] += next(naps)

    monkeypatch.setattr(machine, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(machine, "BUDGET_S", 0.05)
    found = machine._best_s(work)
    assert found == pytest.approx(0.01), "neither the warm-up nor a disturbed round"


def test_rates_are_plausible_and_repeatable_within_wide_bounds(monkeypatch):
    monkeypatch.setattr(machine, "BUDGET_S", 0.05)
    assert 0.2 < copy_gb_s(1) < 2000
    assert 0.2 < matrix_gmac_s(1) < 20_000
