"""`tilefix build` as its user sees it, on an Orin that is not there."""

from __future__ import annotations

from collections import Counter

import pytest
from click.testing import CliRunner

from edge.bundle import LOCALIZER
from edge.cli import tilefix
from edge.errors import (
    BundleError,
    ExecutorError,
    OutputError,
    SourceError,
    TilefixError,
    UsageError,
)
from edge.localizer import NUMBERS
from export.engines import device, measuring
from export.verification.boxes import BoxAgreement


@pytest.fixture
def run(full_toolkit, monkeypatch):
    """`run("--precision", ...)` with TensorRT 10.3: its output, or the error that main() prints."""
    full_toolkit()
    monkeypatch.setattr(device, "local_gpu", lambda: device.Gpu("Orin", 87))

    def call(*arguments: object) -> str:
        done = CliRunner().invoke(tilefix, ["build", *map(str, arguments)])
        if isinstance(done.exception, TilefixError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return call


def test_both_graphs(run, bundle, make_plugin):
    said = run(bundle.path, "--plugin", make_plugin(), "--toolkit", "tensorrt").splitlines()
    built = [line for line in said if ": built" in line]
    assert [line.split(":")[0] for line in built] == ["reference_encoder fp16", "localizer fp16"]
    assert all(str(bundle.path / "engines") in line for line in built)
    assert "convolutions 2 Half; plugin layers 1; float32 layers" in "".join(said)
    again = run(bundle.path, "--plugin", bundle.path.parent / "plugin", "--toolkit", "tensorrt")
    assert again.count(": already built") == 2


def test_one_graph_for_other_numbers_of_clicks(run, bundle):
    said = run(bundle.path, "--precision", "fp16", "--graph", "encoder", "--toolkit", "tensorrt")
    assert said.count(": built") == 1 and "reference_encoder fp16: built" in said


def test_auto_prints_every_precision_and_the_reason(run, bundle, make_plugin, monkeypatch):
    class Fake:
        def __init__(self, bundle, cases, executor, inputs) -> None:
            assert len(cases) > 0 and executor == "tensorrt"
            self.inputs = inputs

        def latency(self, precision):
            p50_ms = {"fp32": 3.0, "fp16": 1.5}[precision]
            return measuring.Latency(p50_ms, 2 * p50_ms, 8)

        def agreement(self, precision):
            return BoxAgreement(100, 0.999, 0.9, 0.99, 1.0, 50)

    monkeypatch.setattr(measuring, "DeviceMeasurer", Fake)
    options = ("--precision", "auto", "--inputs", "random", "--toolkit", "tensorrt")
    said = run(bundle.path, *options, "--plugin", make_plugin())
    assert "fp32  3.00 ms (p99 6.00) for 8 clicks, median IoU 0.9990, passes\n" in said
    assert "kept: fp16, the fastest that passes; fp32 takes 2.00 times as long\n" in said
    assert said.rstrip().endswith("removed again: fp32")


def test_inputs_that_are_no_folder_are_refused_where_nothing_is_measured(run, bundle, make_plugin):
    options = ("--precision", "auto", "--graph", "encoder", "--inputs", "/nowhere")
    with pytest.raises(SourceError, match="/nowhere is no folder of pictures"):
        run(bundle.path, *options, "--toolkit", "tensorrt", "--plugin", make_plugin())


def test_auto_without_the_gpu_of_the_target_says_so(run, bundle, make_plugin, monkeypatch):
    options = ("--precision", "auto", "--graph", "encoder", "--toolkit", "tensorrt")
    said = run(bundle.path, *options, "--plugin", make_plugin())
    assert "kept: fp16, by rule, not by measurement: one graph alone cannot be measured" in said
    built = [line for line in said.splitlines() if ": built, " in line or ": built in " in line]
    assert [line.partition(":")[0] for line in built] == [
        "reference_encoder fp32",
        "reference_encoder fp16",
    ]
    assert "the others stay too" in said
    assert "Where nothing can be measured all stay, and fp16 is named by rule" in " ".join(
        CliRunner().invoke(tilefix, ["build", "--help"]).output.split()
    )


def test_auto_with_nothing_to_measure_on(run, bundle, make_plugin, tmp_path):
    (tmp_path / "empty").mkdir()
    options = ("--precision", "auto", "--toolkit", "tensorrt", "--plugin", make_plugin())
    with pytest.raises((SourceError, UsageError)) as error:
        run(bundle.path, *options, "--inputs", tmp_path / "empty")
    assert str(tmp_path / "empty") in str(error.value)
    assert not (bundle.path / "engines").exists(), "it built before it looked"


@pytest.mark.parametrize(
    ("options", "kind", "what"),
    [
        (("--precision", "int8"), BundleError, "the bundle small has no int8+fp16 graphs"),
        (("--buckets", "0"), UsageError, "--buckets cannot be read"),
        (("--target", "ampere"), UsageError, "--target cannot be read"),
        (("--toolkit", "tensorflow"), UsageError, "there is no toolkit 'tensorflow'"),
        (("--toolkit", ""), UsageError, "--toolkit is empty"),
        (("--logs", __file__), OutputError, f"--logs {__file__} is no folder"),
        (("--logs", "/proc/logs"), OutputError, "nothing can be written into /proc/logs"),
        (("--memory-mb", "300", "--precision", "fp32"), ExecutorError, "too little memory"),
        (("--target", "sm86"), ExecutorError, "TensorRT 10.3.0.30 cannot build for sm86 here"),
        ((), ExecutorError, "the graph "),
    ],
)
def test_what_cannot_be(run, bundle, options, kind, what):
    with pytest.raises(kind) as error:
        run(bundle.path, "--toolkit", "tensorrt", *options)
    assert error.value.what.startswith(what)
    assert error.value.exit_code in (2, 7, 9, 14)
    assert not (bundle.path / "engines").exists(), "it built before it looked"


def test_an_interrupted_build(run, bundle, make_plugin, monkeypatch):
    from export.engines import build

    whole = build.run_job

    def interrupt(job, *given, **named):
        if job.kind == "localizer":
            raise KeyboardInterrupt
        return whole(job, *given, **named)

    monkeypatch.setattr(build, "run_job", interrupt)
    command = ["build", str(bundle.path), "--toolkit", "tensorrt", "--plugin", str(make_plugin())]
    done = CliRunner().invoke(tilefix, command)
    assert done.exit_code == 130
    assert "interrupted: finished engines are kept, the same command goes on" in done.output
    assert len(list((bundle.path / "engines").iterdir())) == 1


def test_no_bundle(run, tmp_path):
    with pytest.raises(BundleError) as error:
        run(tmp_path / "nowhere", "--toolkit", "tensorrt")
    assert error.value.what.startswith("there is no readable bundle at ")


def test_the_device_measurer_asks_both_questions(monkeypatch, bundle):
    """With ONNX Runtime in the place of the engines: boxes agree, a run takes time."""
    from export.verification.cases import random_cases

    monkeypatch.setattr(measuring, "RUNS", 5)
    cases = list(random_cases(bundle, 2))
    measurer = measuring.DeviceMeasurer(bundle, cases, "onnxruntime")
    assert measurer.agreement("fp32").iou_median == 1.0
    asked = []
    opened = measuring.open_executor

    def watched(executor, bundle, kind, *others):
        made = opened(executor, bundle, kind, *others)
        if kind == LOCALIZER:
            run = made.run
            made.run = lambda inputs, outputs=None: (
                asked.append((inputs["frame"].tobytes(), outputs)) or run(inputs, outputs)
            )
        return made

    monkeypatch.setattr(measuring, "open_executor", watched)
    monkeypatch.setattr(measuring, "WARM_UP_RUNS", 2)
    found = measurer.latency("fp16")
    assert 0 < found.p50_ms <= found.p99_ms
    assert found.clicks == max(len(case.click_xy_px) for case in cases)
    assert {outputs for _, outputs in asked} == {NUMBERS}, "what no flight asks for is not fetched"
    runs = Counter(frame for frame, _ in asked)
    assert list(runs.values()) == [2 + 3, 2 + 3], "five runs of two cases, none of them less"
