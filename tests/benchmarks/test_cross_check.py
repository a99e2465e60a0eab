"""Our engine times against those of a trtexec that says what the test wants it to say."""

from __future__ import annotations

import json
import stat
import sys
from types import SimpleNamespace

import pytest
from fake_engines import install, key_for, write_fake_engine
from fake_gpu import FakeGpu
from made_record import RUN_ID, measurement_line, run_line

from benchmarks import cross_check
from benchmarks.cross_check import cross_check_run, engine_times_ms, find_tool, tool_command
from benchmarks.record.file import RecordFile
from benchmarks.record.lines import CacheState, CrossCheckLine, Unknown
from benchmarks.record.runs import Run, read_runs
from benchmarks.record.series import pack
from edge.bundle import LOCALIZER
from edge.engine_manifest import ENGINES_VARIABLE, EngineManifest, LayerSummary, TensorRecord
from edge.errors import BenchmarkError, ExecutorError
from edge.executors.engine_choice import ChosenEngine

MS = 1_000_000
FAKE = """#!{python}
import json, sys
from pathlib import Path
Path({log!r}).open("a").write(json.dumps(sys.argv[1:]) + "\\n")
print("&&&& FAILED TensorRT.trtexec" if {code} else "&&&& PASSED")
given = dict(word.partition("=")[::2] for word in sys.argv[1:])
if {times!r} is not None:
    Path(given["--exportTimes"]).write_text({times!r})
sys.exit({code})
"""


@pytest.fixture
def trtexec(tmp_path, monkeypatch):
    """`trtexec(times_ms)`: puts a fake one into PATH; `trtexec.calls()`: what it was given."""
    log = tmp_path / "calls"
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(cross_check, "PLACES", ())

    def made(times_ms=(), code=0, text=None):
        entries = [{"h2dMs": 9.0, "computeMs": value, "d2hMs": 9.0} for value in times_ms] * 10
        times = json.dumps(entries) if text is None else text
        path = tmp_path / "bin" / "trtexec"
        how = {"python": sys.executable, "log": str(log), "code": code}
        path.write_text(FAKE.format(**how, times=None if times == "" else times))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(path.parent))

    made.calls = lambda: [json.loads(line) for line in log.read_text().splitlines()]
    return made


@pytest.fixture
def engine(tiny_bundle, tmp_path):
    """An engine with a plugin and profiles that are not in the order of their sizes."""
    click = {"dtype": "float32"}
    manifest = EngineManifest(
        schema="",
        key=key_for(tiny_bundle, LOCALIZER, plugin_sha256="a" * 64, click_buckets=(4, 1, 16)),
        engine_sha256="b" * 64,
        engine_bytes=1,
        inputs=(
            TensorRecord(name="frame", dtype="uint8", shape=(64, 64, 3)),
            TensorRecord(name="click_xy_px", shape=(-1, 2), **click),
            TensorRecord(name="prior_inv_var", shape=(-1,), **click),
        ),
        outputs=(),
        layers=LayerSummary(layers=1, plugin_layers=1),
    )
    return ChosenEngine(tmp_path / "engine", manifest, "tilefix build")


@pytest.fixture
def localizer(monkeypatch, engine):
    """Of the executor tensorrt."""
    monkeypatch.setattr(cross_check, "_engine", lambda localizer, device: engine)
    return SimpleNamespace(executor="tensorrt")


def run_of(*measurements):
    return Run((run_line(),), (), measurements, (), ())


def measured(clicks, gpu_ms, **changes):
    gpu = pack([round(MS * value) for value in gpu_ms] * 10)
    return measurement_line(clicks=clicks, gpu=gpu, **changes)


def ignored(line):
    """A record that nobody reads."""


def test_times_that_agree_pass_and_are_told(localizer, trtexec):
    trtexec([1.0, 1.04, 9.0])
    said, kept = [], []
    run = run_of(measured(1, [1.0, 1.0, 5.0]), measured(8, [1.07, 1.07]))
    found = cross_check_run(localizer, run, None, kept.append, said.append)
    assert [(each.clicks, each.ours_ms, each.theirs_ms) for each in found] == [
        (1, 1.0, 1.04),  # medians: one slow run of either proves nothing
        (8, 1.07, 1.04),
    ]
    assert said == [
        "cross-check at 1 clicks: engine 1.000 ms, trtexec 1.040 ms, 3.8% apart",
        "cross-check at 8 clicks: engine 1.070 ms, trtexec 1.040 ms, 2.9% apart",
    ]
    assert kept == [
        CrossCheckLine(RUN_ID, "localizer", 1, "trtexec", 1.0, 1.04, 0.05, True),
        CrossCheckLine(RUN_ID, "localizer", 8, "trtexec", 1.07, 1.04, 0.05, True),
    ]


@pytest.mark.parametrize(("ours_ms", "fails"), [(1.049, False), (1.06, True), (0.94, True)])
def test_above_five_percent_it_fails_and_lists_where(localizer, trtexec, ours_ms, fails):
    trtexec([1.0])
    run = run_of(measured(1, [1.0]), measured(4, [ours_ms]))
    if not fails:
        assert len(cross_check_run(localizer, run, None, ignored, print)) == 2
        return
    kept = []
    with pytest.raises(BenchmarkError, match="not that of trtexec") as caught:
        cross_check_run(localizer, run, None, kept.append, print)
    assert [(line.clicks, line.passed) for line in kept] == [(1, True), (4, False)]
    assert caught.value.expected == "within 5% of it"
    assert caught.value.found == f"4 clicks: {ours_ms:.3f} against 1.000 ms, 6.0%"


def test_the_engine_is_run_as_the_executor_runs_it(localizer, trtexec, engine):
    trtexec([1.0])
    cross_check_run(localizer, run_of(measured(2, [1.0])), None, ignored, print)
    (given,) = trtexec.calls()
    options = dict(word.partition("=")[::2] for word in given)
    assert options["--loadEngine"] == str(engine.folder / "engine.plan")
    assert options["--staticPlugins"] == str(engine.folder / "libtilefix_plugin.so")
    # Two clicks run in the bucket of four, which is this engine's first profile.
    assert options["--useProfile"] == "0"
    assert options["--shapes"] == "click_xy_px:4x2,prior_inv_var:4"
    assert "--useCudaGraph" in options and "--noDataTransfers" in options


def test_an_engine_without_a_plugin_loads_none(engine, tmp_path):
    import msgspec

    key = msgspec.structs.replace(engine.manifest.key, plugin_sha256="")
    plain = ChosenEngine(engine.folder, msgspec.structs.replace(engine.manifest, key=key), "")
    command = tool_command(tmp_path / "trtexec", plain, 1, tmp_path / "t")
    assert not any(word.startswith("--staticPlugins") for word in command)
    assert "--useProfile=1" in command


def test_on_the_cpu_there_is_nothing_to_check():
    with pytest.raises(BenchmarkError, match="nothing to check onnxruntime against") as caught:
        find_tool("onnxruntime")
    assert "tensorrt" in caught.value.expected


@pytest.mark.parametrize(
    ("executor", "name"), [("tensorrt", "trtexec"), ("tensorrt-rtx", "tensorrt_rtx")]
)
def test_a_missing_tool_says_where_it_was_sought(monkeypatch, tmp_path, executor, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchmarkError, match=f"{name} is not installed") as caught:
        find_tool(executor)
    assert "/usr/src/tensorrt/bin" in caught.value.expected
    assert "libnvinfer-bin" in caught.value.do


def test_a_tool_outside_of_path_is_found_where_jetpack_puts_it(monkeypatch, tmp_path, trtexec):
    trtexec([1.0])
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cross_check, "PLACES", ("/nowhere", str(tmp_path / "bin")))
    assert find_tool("tensorrt") == tmp_path / "bin" / "trtexec"


def test_a_missing_device_is_the_executors_own_error(tiny_bundle, monkeypatch, trtexec):
    trtexec([1.0])
    install(monkeypatch, gpu := FakeGpu())
    gpu.fail["cuDeviceGet"] = 100
    asked = SimpleNamespace(executor="tensorrt", bundle=tiny_bundle, precision="fp32")
    with pytest.raises(ExecutorError) as caught:
        cross_check_run(asked, run_of(measured(1, [1.0])), None, ignored, print)
    assert "CUDA_ERROR_NO_DEVICE" in caught.value.found


def test_the_engine_is_that_of_this_device(tiny_bundle, monkeypatch, tmp_path):
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "engines"))
    install(monkeypatch, FakeGpu())
    folder = write_fake_engine(tiny_bundle, LOCALIZER)
    asked = SimpleNamespace(executor="tensorrt", bundle=tiny_bundle, precision="fp32")
    assert cross_check._engine(asked, None).folder == folder


def test_a_record_without_gpu_times_has_nothing_to_check():
    cold = measured(1, [1.0], state=CacheState.COLD)
    with pytest.raises(BenchmarkError, match="no GPU times to check") as caught:
        engine_times_ms(run_of(measurement_line(), cold))
    assert caught.value.found == "2 measurements without them"


@pytest.mark.parametrize(
    ("how", "words", "found"),
    [
        ({"code": 3}, "trtexec failed", "exit code 3: &&&& FAILED TensorRT.trtexec"),
        ({"text": ""}, "trtexec failed", "exit code 0: &&&& PASSED"),
        ({"text": "[{}]"}, "cannot be read", "KeyError: 'computeMs'"),
        ({"text": "no JSON"}, "cannot be read", "JSONDecodeError"),
        ({"text": "[]"}, "cannot be read", "0 entries"),
        ({"times_ms": ()}, "cannot be read", "0 entries"),
        ({"times_ms": (0.0,)}, "cannot be read", "a time that is none"),
        ({"times_ms": (float("nan"),)}, "cannot be read", "a time that is none"),
    ],
)
def test_a_tool_that_fails_shows_its_last_words(localizer, trtexec, how, words, found):
    trtexec(**how)
    refused(localizer, words, found)


def refused(localizer, words, found):
    """The check fails with these words, and the record says why there is no time."""
    kept = []
    with pytest.raises(BenchmarkError, match=words) as caught:
        cross_check_run(localizer, run_of(measured(1, [1.0])), None, kept.append, print)
    assert found in caught.value.found
    assert "--loadEngine=" in caught.value.do
    (line,) = kept
    assert line.theirs_ms == Unknown(f"{caught.value.what}: {caught.value.found}")
    assert not line.passed and line.ours_ms == 1.0


def test_a_tool_that_does_not_end_is_stopped(localizer, trtexec, tmp_path, monkeypatch):
    trtexec([1.0])
    (tmp_path / "bin" / "trtexec").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    monkeypatch.setattr(cross_check, "TIMEOUT_S", 0.2)
    refused(localizer, "trtexec does not end", "nothing after 0 s; it was stopped")


def test_a_tool_of_another_machine_cannot_be_started(localizer, trtexec, tmp_path):
    trtexec([1.0])
    (tmp_path / "bin" / "trtexec").write_bytes(b"\x7fELF of another machine")
    refused(localizer, "trtexec cannot be started", "Exec format error")


def test_what_was_checked_comes_back_out_of_the_record(localizer, trtexec, tmp_path):
    trtexec([1.0])
    with RecordFile(tmp_path / "bench.jsonl") as record:
        for line in (run_line(), measured(4, [1.02])):
            record.append(line)
        (run,) = read_runs(tmp_path)
        cross_check_run(localizer, run, None, record.append, print)
    (run,) = read_runs(tmp_path)
    (line,) = run.cross_checks
    assert (line.clicks, line.ours_ms, line.theirs_ms, line.passed) == (4, 1.02, 1.0, True)


def test_nine_times_have_no_median():
    line = measurement_line(clicks=1, gpu=pack([MS] * 9))
    with pytest.raises(BenchmarkError, match="no GPU times to check"):
        engine_times_ms(run_of(line))
