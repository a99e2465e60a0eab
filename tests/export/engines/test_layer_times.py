"""Two engines by turns under a fake profiler, and the process that does it."""

from __future__ import annotations

import gc
import textwrap
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from fake_engines import install, write_fake_engine
from fake_gpu import FakeGpu

from edge.bundle import ENCODER, LOCALIZER
from edge.engine_manifest import ENGINES_VARIABLE, read_engine
from edge.errors import ClickError, ExecutorError
from export.engines import layer_times, layer_timing
from export.engines.layer_table import Layer
from export.engines.layer_times import medians, summed
from export.engines.layer_timing import TimingJob, run_timing, time_engines

WARM_UP = 2
FEATURES = ("v", "u")


def row(name: str, *nodes: str, kind: str = "CaskConvolution") -> dict:
    """A layer as the inspector writes it."""
    metadata = "\x1e".join(f"[ONNX Layer: {node}]" for node in nodes)
    tensor = {"Name": "x", "Dimensions": [1], "Format/Datatype": "Half"}
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": [tensor],
        "Outputs": [tensor],
        "Metadata": metadata,
    }


@pytest.fixture
def rig(monkeypatch, tmp_path, tiny_bundle):
    """`engine(kind, layers, times_ms) -> folder`, `job(folders...)`, `trt`, `gpu`."""
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
    monkeypatch.setattr(layer_times, "WARM_UP_RUNS", WARM_UP)
    gpu = FakeGpu()
    trt = install(monkeypatch, gpu)["tensorrt"]
    made = []

    def engine(kind: str, layers=(), times_ms=(), **changes) -> Path:
        made.append(kind)
        changes = {"flags": (f"number={len(made)}",), **changes}
        given = {"layers": layers, "times_ms": times_ms}
        return write_fake_engine(tiny_bundle, kind, **given, **changes)

    def job(*folders: Path, clicks: int = 4, runs: int = 3) -> TimingJob:
        return TimingJob(
            toolkit="tensorrt",
            engines=tuple(map(str, folders)),
            features=FEATURES,
            clicks=clicks,
            runs=runs,
        )

    yield SimpleNamespace(engine=engine, job=job, trt=trt, gpu=gpu)
    gc.collect()
    gpu.assert_all_is_given_back()


def test_every_layer_counts_by_the_median_of_the_runs_after_the_warm_up(rig):
    """Three runs of the loading and two of the warm-up come first; then 5, 6, 7 of the list."""
    told = [{"conv": ms, "other": 1.0} for ms in (90, 91, 92, 93, 94, 1.0, 7.0, 4.0)]
    folder = rig.engine(ENCODER, [row("conv", "node_conv"), row("other")], told)
    (found,) = time_engines(rig.job(folder))
    assert [(each.layer.name, each.ms) for each in found.layers] == [("conv", 4.0), ("other", 1.0)]
    assert found.layers[0].layer.nodes == ("node_conv",)
    assert (found.unlisted, found.unlisted_ms, found.total_ms) == ((), 0.0, 5.0)


def test_two_engines_run_by_turns_and_keep_their_own_times(rig, monkeypatch):
    order = []
    real = layer_times._run
    monkeypatch.setattr(
        layer_times, "_run", lambda trt, each: (order.append(each.loaded), real(trt, each))
    )
    slow = rig.engine(LOCALIZER, [row("conv")], [{"conv": 3.0}])
    fast = rig.engine(LOCALIZER, [row("conv")], [{"conv": 1.5}])
    found = time_engines(rig.job(slow, fast))
    assert [each.total_ms for each in found] == [3.0, 1.5]
    assert len(order) == 2 * (WARM_UP + 3) and order[0] is not order[1]
    assert order[::2] == [order[0]] * 5 and order[1::2] == [order[1]] * 5
    order.clear()


def test_the_profile_of_the_clicks_is_timed_whatever_the_names_say_of_it(rig):
    layers = [row("conv"), row("conv [profile 1]"), row("pad [profile 1]"), row("conv [profile 2]")]
    told = [{"conv [profile 1]": 2.0, "pad": 0.5}]
    folder = rig.engine(LOCALIZER, layers, told)  # for 1, 4, 16 and 64 clicks
    (found,) = time_engines(rig.job(folder, clicks=3))
    names = [(each.layer.name, each.layer.profile, each.ms) for each in found.layers]
    assert names == [("conv [profile 1]", 1, 2.0), ("pad [profile 1]", 1, 0.5)]
    with pytest.raises(ClickError, match="65 clicks"):
        time_engines(rig.job(folder, clicks=65))


def test_names_in_no_table_are_counted_apart(rig):
    told = [{"conv": 2.0, "{ForeignNode[a...b]}": 1.5, "reformat": 0.5}]
    (found,) = time_engines(rig.job(rig.engine(ENCODER, [row("conv")], told)))
    assert found.unlisted == ("{ForeignNode[a...b]}", "reformat")
    assert (found.unlisted_ms, found.total_ms) == (2.0, 4.0)


def test_a_name_twice_in_a_run_and_one_that_a_run_lacks() -> None:
    assert summed([("a", 1.0), ("b", 2.0), ("a", 0.5)]) == {"a": 1.5, "b": 2.0}
    table = [Layer(name, "CaskConvolution", (), (), ()) for name in "ab"]
    found = medians([{"a": 1.0, "b": 4.0}, {"a": 3.0}, {"a": 2.0}], table)
    assert [(each.layer.name, each.ms) for each in found.layers] == [("a", 2.0), ("b", 0.0)]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda rig: setattr(rig.trt.knobs, "refuse_report", True), "does not say how long"),
        (lambda rig: setattr(rig.trt.knobs, "fail_after_runs", 6), "refuses to run its engine"),
        (lambda rig: delattr(rig.trt, "IProfiler"), "does not say how long"),
        (lambda rig: rig.gpu.fail.update(cuMemAlloc=2), "cuMemAlloc"),
    ],
    ids=["no report", "fails in the middle", "no profiler", "no memory"],
)
def test_whatever_fails_gives_all_back(rig, spoil, expected):
    folders = [rig.engine(LOCALIZER, [row("conv")], [{"conv": 1.0}]) for _ in range(2)]
    spoil(rig)
    with pytest.raises(ExecutorError, match=expected):
        time_engines(rig.job(*folders))


def test_an_engine_that_tells_no_layer_and_one_without_a_table(rig):
    with pytest.raises(ExecutorError) as error:
        time_engines(rig.job(rig.engine(ENCODER, [row("conv")], [])))
    assert error.value.found == "a report without a single layer"
    with pytest.raises(ExecutorError, match="layer table cannot be read"):
        time_engines(rig.job(rig.engine(ENCODER, ["conv"], [{"conv": 1.0}])))


def test_an_altered_engine_is_not_loaded(rig):
    folder = rig.engine(ENCODER, [row("conv")], [{"conv": 1.0}])
    read_engine(folder)
    (folder / "engine.plan").write_bytes(b"something else")
    with pytest.raises(ExecutorError, match=r"engine\.plan"):
        time_engines(rig.job(folder))


def test_what_the_process_writes_is_read_by_whoever_started_it(rig, tmp_path):
    engine = rig.engine(ENCODER, [row("conv", "node_conv")], [{"conv": 2.5, "?": 0.5}])
    report = tmp_path / "times.json"
    for folder in (engine, tmp_path / "nowhere"):
        (tmp_path / "timing.json").write_bytes(msgspec.json.encode(rig.job(folder)))
        layer_timing.main(str(tmp_path / "timing.json"))
        found = msgspec.json.decode(report.read_bytes(), type=layer_timing.TimingReport)
        if folder == engine:
            (times,) = found.engines
            assert found.failure is None and times.layers[0].layer.nodes == ("node_conv",)
            assert (times.total_ms, times.unlisted) == (3.0, ("?",))
    assert found.failure is not None and "nowhere" in found.failure.what + found.failure.found


# --- the process ---------------------------------------------------------------------------------


def worker(monkeypatch, folder: Path, code: str) -> str:
    """A module that the process runs in place of ours."""
    (folder / "made_up_worker.py").write_text(textwrap.dedent(code))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return "made_up_worker"


def asked() -> TimingJob:
    return TimingJob(toolkit="tensorrt", engines=(), features=FEATURES, clicks=4)


def test_an_error_comes_back_from_the_process_with_its_four_parts(monkeypatch, tmp_path):
    """A module of that name that cannot be imported stands for what a machine may lack."""
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow/tensorrt.py").write_text("raise ImportError('no libnvinfer.so.10')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "shadow"))
    with pytest.raises(ExecutorError) as error:
        run_timing(asked(), tmp_path)
    assert error.value.what == "the executor tensorrt is not available"
    assert error.value.found == "no libnvinfer.so.10"
    assert "pip install" in error.value.do


def test_a_process_that_dies_is_an_error_that_says_how(monkeypatch, tmp_path):
    dying = "import os, signal; os.kill(os.getpid(), signal.SIGABRT)"
    with pytest.raises(ExecutorError, match="ended without an answer") as error:
        run_timing(asked(), tmp_path, worker(monkeypatch, tmp_path, dying))
    assert error.value.found == "it was ended by SIGABRT: it said nothing"
    failing = "raise RuntimeError('cudart is not what it was')"
    with pytest.raises(ExecutorError) as error:
        run_timing(asked(), tmp_path, worker(monkeypatch, tmp_path, failing))
    assert error.value.found.startswith("it ended with exit code 1: RuntimeError: cudart")


def test_a_process_that_hangs_is_ended(monkeypatch, tmp_path):
    hanging = worker(monkeypatch, tmp_path, "import time; time.sleep(60)")
    with pytest.raises(ExecutorError) as error:
        run_timing(asked(), tmp_path, hanging, timeout_s=1.0)
    assert error.value.found == "it said nothing for 1 s, and was ended"


def test_an_answer_of_an_earlier_process_is_not_taken(monkeypatch, tmp_path):
    (tmp_path / "times.json").write_text('{"engines": []}')
    silent = worker(monkeypatch, tmp_path, "")
    with pytest.raises(ExecutorError, match="ended without an answer"):
        run_timing(asked(), tmp_path, silent)


def test_times_come_back_from_the_process(monkeypatch, tmp_path):
    answer = """
        import sys, pathlib
        text = '{"engines": [{"layers": [{"layer": {"name": "conv", "kind": "k", "inputs": [], '
        text += '"outputs": [], "nodes": ["n"]}, "ms": 1.5}], "unlisted_ms": 0.25}]}'
        pathlib.Path(sys.argv[1]).with_name("times.json").write_text(text)
    """
    (found,) = run_timing(asked(), tmp_path, worker(monkeypatch, tmp_path, answer))
    assert found.total_ms == 1.75 and found.layers[0].layer.nodes == ("n",)
