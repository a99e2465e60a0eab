"""`tilefix verify` as it is typed: tables, JSON, exit codes."""

from __future__ import annotations

import json

import click
import numpy as np
import pytest
from click.testing import CliRunner

from edge.bundle import LOCALIZER, Bundle, shipped_bundle_path, write_bundle
from edge.cli import VERBS
from edge.errors import (
    BundleError,
    CheckpointError,
    ExecutorError,
    OutputError,
    SourceError,
    UsageError,
)
from export.verification.command import verify
from export.verification.tolerances import LOOSER

FAST = ("--inputs", "random", "--count", "1", "--threads", "1", "--executors", "onnxruntime")


def typed(*arguments):
    return CliRunner().invoke(verify, [str(each) for each in arguments], env={"COLUMNS": "160"})


def refusal(*arguments):
    done = typed(*arguments)
    assert done.exception is not None
    return done.exception


def test_the_verb_is_in_the_table():
    assert VERBS["verify"][0] == "export.verification.command:verify"


def test_a_pass_with_taps_is_shown_and_written(tapped_tiny, tmp_path):
    done = typed(tapped_tiny.path, *FAST, "--taps", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "PASSED: onnxruntime/fp16 against onnxruntime/fp32" in done.output
    assert "inputs: random, 1 frame, 16 clicks" in done.output
    assert done.output.count("-: not judged by itself") == 1
    assert done.output.index("tap.stem") < done.output.index("tap.similarity_map")
    report = json.loads((tmp_path / "out/verification.json").read_text())
    assert report["schema"] == "tilefix-verification/1"
    assert report["passed"] is True
    assert report["bundle"] == "tiny 0", "the bundle that was asked for, not its copy"
    assert report["bundle_sha256"] == tapped_tiny.manifest.manifest_sha256
    (comparison,) = report["comparisons"]
    assert comparison["run"] == "onnxruntime/fp16"
    assert comparison["limit"]["reason"]
    taps = [each["name"] for each in comparison["tensors"] if each["name"].startswith("tap.")]
    assert taps[0] == "tap.stem" and len(taps) == 7
    assert comparison["boxes"]["clicks"] == report["clicks"] == 16
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out/verification.json"]


def test_a_failure_names_the_tap_and_ends_with_1(make_tapped, conftest_parts, tmp_path):
    def spoil(kind, model):
        if kind == LOCALIZER:
            name = conftest_parts.weight_of(model, "tap.hidden")
            conftest_parts.change(model, name, lambda weight: -3 * weight)

    bundle = make_tapped(tmp_path, spoil)
    done = typed(bundle.path, *FAST, "--taps", "--out", tmp_path / "out")
    assert done.exit_code == 1
    words = "onnxruntime/fp16 first diverges from onnxruntime/fp32 at tap.hidden of the localizer"
    assert words in done.output
    report = json.loads((tmp_path / "out/verification.json").read_text())
    assert report["passed"] is False and words in report["sentence"]
    faults = [each["name"] for each in report["comparisons"][0]["tensors"] if each["fault"]]
    assert faults[0] == "tap.hidden"


def test_a_wider_tolerance_lets_the_same_bundle_pass(make_tapped, conftest_parts, tmp_path):
    def spoil(kind, model):
        if kind == LOCALIZER:
            name = conftest_parts.weight_of(model, "tap.query_stem")
            conftest_parts.change(model, name, lambda weight: 1.05 * weight)

    bundle = make_tapped(tmp_path, spoil)
    assert typed(bundle.path, *FAST, "--taps").exit_code == 1
    done = typed(bundle.path, *FAST, "--taps", "--tolerance", "fp16.relative_max=0.1")
    assert done.exit_code == 0, done.output


def test_the_help_explains_every_option_and_names_every_limit():
    text = " ".join(typed("--help").output.split())
    assert all(option.help for option in verify.params if isinstance(option, click.Option))
    for name in ("tensorrt-rtx", "EXECUTOR/PRECISION", *LOOSER):
        assert name in text


def test_without_fp16_there_is_nothing_to_compare(tiny_bundle):
    error = refusal(tiny_bundle.path, *FAST)
    assert isinstance(error, ExecutorError)
    assert "nothing was compared" in str(error)
    assert "onnxruntime/fp16: the bundle has no fp16 graphs, only fp32" in str(error)


def test_tensorrt_alone_where_there_is_none_is_an_error(tapped_tiny, monkeypatch):
    monkeypatch.setattr("export.verification.runs._has_gpu", lambda: False)
    arguments = ("--executors", "tensorrt", "--inputs", "random", "--count", "1")
    error = refusal(tapped_tiny.path, *arguments)
    assert isinstance(error, ExecutorError) and "nothing was compared" in str(error)
    assert "tensorrt/fp16: no " in str(error)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("--precision", "fp32"), UsageError, "compared with itself"),
        (("--precision", "int8"), ExecutorError, "the bundle has no int8+fp32 graphs"),
        (("--precision", "fp16,bf16"), UsageError, "leave bf16 out of --precision"),
        (("--precision", "bf16"), UsageError, "there are no limits for bf16, by which"),
        (("--executors", "onnx"), UsageError, "does not name a run"),
        (("--reference", "onnxruntime"), UsageError, "does not name a run"),
        (("--tolerance", "cosine_min=x"), UsageError, "has no number"),
        (("--inputs", "/nowhere"), SourceError, "/nowhere is no folder of pictures"),
        (("--executors", ""), UsageError, "--executors is empty"),
        (("--reference", "torch/fp16"), UsageError, "there is no run torch/fp16 to measure"),
        (("--reference", "reference/fp16"), UsageError, "numpy takes the float32 head"),
        (("--threads", "1024"), UsageError, "there are more threads than processor cores"),
        (("--out", "/proc/out"), OutputError, "nothing can be written into /proc/out"),
        (("--plugin", "/nowhere"), ExecutorError, "the plugin in /nowhere cannot be used"),
    ],
)
def test_requests_that_mean_nothing(tapped_tiny, arguments, kind, words):
    error = refusal(tapped_tiny.path, *FAST, *arguments)
    assert isinstance(error, kind) and words in str(error)


def test_threads_are_bounded_by_the_cores(tapped_tiny, monkeypatch):
    monkeypatch.setattr("export.verification.request_checks.usable_cores", lambda: 3)
    error = refusal(tapped_tiny.path, *FAST, "--threads", "4")
    assert error.expected == "--threads from 1 to 3: so many cores may be used here"
    assert error.found == "--threads 4"


def test_a_checkpoint_is_looked_at_before_any_work(tapped_tiny, tmp_path, monkeypatch):
    from quick_weights import quick_random_weights

    from training.checkpoints.weights import save_weights
    from training.models import build

    monkeypatch.setattr("export.verification.command._cases", lambda *_: pytest.fail("it began"))
    path = tmp_path / "model.safetensors"
    words = ("--executors", "torch", "--precision", "fp32", "--checkpoint", path)
    error = refusal(tapped_tiny.path, *words)
    assert isinstance(error, CheckpointError) and error.what == f"{path} is not a checkpoint"
    with quick_random_weights():
        save_weights(build("ocgnet"), path, {})
    error = refusal(tapped_tiny.path, *words)
    assert isinstance(error, CheckpointError)
    assert error.what == f"the checkpoint {path} is not of the bundle tiny"
    assert "model ocgnet" in error.found and "window " in error.expected


def test_an_inexact_reference_does_not_judge_by_its_betters(make_tapped, conftest_parts, tmp_path):
    """Graphs that are near enough to fp32 are so the other way round too."""

    def spoil(kind, model):
        if kind == LOCALIZER:
            name = conftest_parts.weight_of(model, "tap.query_stem")
            conftest_parts.change(model, name, lambda weight: 1.01 * weight)

    bundle = make_tapped(tmp_path, spoil)
    for narrow, reference in (("fp16", "fp32"), ("fp32", "fp16")):
        words = ("--precision", narrow, "--reference", f"onnxruntime/{reference}", "--taps")
        done = typed(bundle.path, *FAST, *words)
        assert done.exit_code == 0, done.output


def test_where_parts_fly_the_whole_graph_is_compared_too(tmp_path):
    """Of it engines are made. A head that is not the graph's own is found so."""
    shipped = Bundle.open(shipped_bundle_path())
    once = ("--executors", "onnxruntime", "--precision", "fp32", "--inputs", "random", "--count=1")
    done = typed(shipped.path, *once)
    assert done.exit_code == 0, done.output
    assert "PASSED: onnxruntime-whole/fp32 against onnxruntime/fp32" in done.output
    files = {name: shipped.file(name) for name in shipped.manifest.files}
    head = dict(np.load(files["graphs/fp32/head.npz"]))
    head["w_conf"] = 1.5 * head["w_conf"]
    np.savez(tmp_path / "head.npz", **head)
    other = files | {"graphs/fp32/head.npz": tmp_path / "head.npz"}
    bundle = write_bundle(tmp_path / "other", shipped.manifest, other)
    done = typed(bundle.path, *once)
    assert done.exit_code == 1
    words = "onnxruntime-whole/fp32 first diverges from onnxruntime/fp32 at confidence_logit of"
    assert words in done.output


def test_the_whole_graph_beside_parts_is_no_proof_of_engines(monkeypatch):
    """The deployment's check: where no engine was run, nothing was compared."""
    monkeypatch.setattr("export.verification.runs._has_gpu", lambda: False)
    words = ("--executors", "tensorrt", "--inputs", "random", "--count", "1")
    for precision in ("fp16", "fp32,fp16", "int8"):
        error = refusal(shipped_bundle_path(), *words, "--precision", precision)
        assert isinstance(error, ExecutorError) and error.what == "nothing was compared"


def test_random_pictures_pass_in_float16():
    words = ("--executors", "onnxruntime", "--precision", "fp16", "--inputs", "random")
    done = typed(shipped_bundle_path(), *words, "--seed", "1")
    assert done.exit_code == 0, done.output


def test_the_whole_graph_is_not_compared_with_itself(tapped_tiny):
    assert "onnxruntime-whole" not in typed(tapped_tiny.path, *FAST).output
    error = refusal(tapped_tiny.path, *FAST, "--executors", "onnxruntime-whole")
    assert isinstance(error, ExecutorError)
    assert "onnxruntime-whole/fp16: there are no parts of the localizer in fp16" in error.found


def test_without_a_terminal_lines_say_how_far_it_is(tapped_tiny, monkeypatch):
    monkeypatch.setattr("export.verification.progress.LINE_EVERY_S", 0.0)
    said = typed(tapped_tiny.path, *FAST).stderr
    assert "compared 1 of 1 frames\n" in said


def test_a_bundle_that_is_not_there(tmp_path):
    """It is an argument here, and no option."""
    error = refusal(tmp_path / "nowhere")
    assert isinstance(error, BundleError)
    assert error.do == "give the path of a bundle folder, or none for the shipped one"


def test_taps_of_an_old_bundle(tiny_bundle):
    error = refusal(tiny_bundle.path, *FAST, "--taps")
    assert isinstance(error, BundleError) and "tilefix export" in str(error)


def test_an_out_that_is_a_file_is_refused_before_any_work(tapped_tiny, tmp_path):
    (tmp_path / "out").write_text("")
    error = refusal(tapped_tiny.path, *FAST, "--out", tmp_path / "out")
    assert isinstance(error, OutputError)
