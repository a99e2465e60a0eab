"""What is compared, what is named first, what is skipped and what is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from edge.bundle import ENCODER, LOCALIZER
from edge.engine_manifest import (
    ENGINE_FILE,
    SCHEMA,
    EngineKey,
    EngineManifest,
    LayerSummary,
    read_engine,
    write_engine,
)
from edge.errors import ExecutorError, UsageError
from export.verification.cases import probe_cases, random_cases
from export.verification.runs import RunName, open_run
from export.verification.tapped import tapped_bundle
from export.verification.tolerances import TOLERANCES
from export.verification.verify import verify

FP32, FP16 = RunName("onnxruntime", "fp32"), RunName("onnxruntime", "fp16")
NUMPY = RunName("reference", "fp32")
ENCODER_TAPS = ["tap.stem", "tap.unit", "tap.folded"]
LOCALIZER_TAPS = ["tap.query_stem", "tap.query_unit", "tap.similarity_map", "tap.hidden"]


def run(bundle, *candidates, reference=FP32, cases=None, **options):
    cases = random_cases(bundle, 2) if cases is None else cases
    probes = probe_cases(bundle)
    return verify(
        bundle, reference, candidates, cases, probes, TOLERANCES, inputs="random", **options
    )


def with_tap_outputs(bundle, folder):
    return tapped_bundle(bundle, bundle.precisions, folder / "copy")


def test_two_precisions_that_agree(tapped_tiny, tmp_path):
    found = run(with_tap_outputs(tapped_tiny, tmp_path), FP16, NUMPY)
    assert found.passed, found.sentence
    assert found.sentence == "PASSED: onnxruntime/fp16, reference/fp32 against onnxruntime/fp32"
    assert (found.frames, found.clicks) == (2, 32)
    names = [(each.graph, each.name) for each in found.comparisons[0].tensors]
    encoder = [name for graph, name in names if graph == ENCODER]
    localizer = [name for graph, name in names if graph == LOCALIZER]
    assert names == [(ENCODER, n) for n in encoder] + [(LOCALIZER, n) for n in localizer]
    assert encoder == [*ENCODER_TAPS, "v", "u"]
    assert localizer[:4] == LOCALIZER_TAPS
    assert localizer[4:6] == ["query_vector", "attention"] and localizer[-1] == "box_xyxy_px"
    assert any(each.relative > 0 for each in found.comparisons[0].tensors), "not the same graph"
    numpy = found.comparisons[1]
    assert set(LOCALIZER_TAPS) == set(numpy.only_reference)
    assert numpy.boxes.iou_share == 1


def disturbed(weight, factor):
    flat = weight.reshape(-1)
    flat[np.argmax(np.abs(flat))] *= factor
    return weight


@pytest.mark.parametrize(
    ("kind", "tap"),
    [
        (ENCODER, "tap.stem"),
        (ENCODER, "tap.folded"),
        (LOCALIZER, "tap.query_stem"),
        (LOCALIZER, "tap.hidden"),
    ],
)
def test_one_perturbed_weight_names_the_tap_of_its_stage_first(
    make_tapped, conftest_parts, tmp_path, kind, tap
):
    def spoil(found_kind, model):
        if found_kind == kind:
            name = conftest_parts.weight_of(model, tap)
            conftest_parts.change(model, name, lambda w: disturbed(w, -20.0))

    bundle = with_tap_outputs(make_tapped(tmp_path, spoil), tmp_path)
    found = run(bundle, FP16)
    (comparison,) = found.comparisons
    first = comparison.first_divergence
    assert not found.passed
    assert (first.graph, first.name) == (kind, tap)
    assert f"first diverges from onnxruntime/fp32 at {tap} of the {kind}: " in found.sentence
    before = comparison.tensors[: comparison.tensors.index(first)]
    assert all(each.fault(comparison.limit) == "" for each in before)


def test_a_weight_that_is_no_number_names_its_tap(make_tapped, conftest_parts, tmp_path):
    def spoil(kind, model):
        if kind == LOCALIZER:
            name = conftest_parts.weight_of(model, "tap.hidden")
            conftest_parts.change(model, name, lambda w: np.full_like(w, np.nan))

    found = run(with_tap_outputs(make_tapped(tmp_path, spoil), tmp_path), FP16)
    first = found.comparisons[0].first_divergence
    assert first.name == "tap.hidden"
    assert "NaN or infinite values" in first.fault(found.comparisons[0].limit)
    assert found.comparisons[0].probes


def test_without_taps_the_outputs_alone_are_compared(tapped_tiny):
    found = run(tapped_tiny, FP16)
    assert found.passed
    assert not any(each.name.startswith("tap.") for each in found.comparisons[0].tensors)


class BlindToBlack:
    """A run that divides by zero on a black picture only."""

    def __init__(self, inner):
        self.inner = inner

    def answer(self, case):
        answer = self.inner.answer(case)
        if case.name == "all black":
            answer[LOCALIZER, "query_vector"] = answer[LOCALIZER, "query_vector"] * np.nan
        return answer


@pytest.mark.parametrize("blind", [FP16, FP32])
def test_a_nan_on_a_flat_picture_fails_whoever_has_it(tapped_tiny, blind):
    def opener(name):
        inner = open_run(name, tapped_tiny, 1)
        return BlindToBlack(inner) if name == blind else inner

    found = run(tapped_tiny, FP16, opener=opener)
    assert not found.passed
    assert "values in query_vector of the localizer on an input that is all black" in found.sentence
    assert ("the reference onnxruntime/fp32 itself" in found.sentence) == (blind == FP32)


class Failing:
    def answer(self, case):
        raise ExecutorError(f"broke on {case.name}", expected="e", found="f", do="build it again")


def test_a_run_that_breaks_on_the_way_fails_and_the_others_go_on(tapped_tiny):
    def opener(name):
        return Failing() if name == NUMPY else open_run(name, tapped_tiny, 1)

    found = run(tapped_tiny, NUMPY, FP16, opener=opener)
    assert [each.run for each in found.comparisons] == ["onnxruntime/fp16"]
    assert found.comparisons[0].passed and not found.passed
    assert "broke on random 0" in found.failed[0].error
    assert "build it again" in found.failed[0].error


def test_a_truncated_engine_is_a_failure_and_not_a_skip(tapped_tiny, tmp_path):
    key = EngineKey(
        kind=LOCALIZER,
        toolkit="tensorrt",
        toolkit_version="10.3.0",
        onnx_sha256="0" * 64,
        precision="fp16",
        compute_capabilities=("8.7",),
    )
    plan = b"an engine, as far as its manifest knows"
    manifest = EngineManifest(
        schema=SCHEMA,
        key=key,
        engine_sha256=hashlib.sha256(plan).hexdigest(),
        engine_bytes=len(plan),
        inputs=(),
        outputs=(),
        layers=LayerSummary(layers=0, plugin_layers=0),
    )
    engine = write_engine(tmp_path, manifest, {ENGINE_FILE: plan})
    (engine / ENGINE_FILE).write_bytes(plan[:-7])

    def opener(name):
        if name.executor == "tensorrt":
            read_engine(engine)  # what the executor does before it deserialises anything
        return open_run(name, tapped_tiny, 1)

    trt = RunName("tensorrt", "fp16")
    found = run(tapped_tiny, trt, FP16, opener=opener, absent=lambda name: "")
    assert not found.passed and found.skipped == ()
    assert [each.run for each in found.failed] == ["tensorrt/fp16"]
    assert f"{len(plan) - 7} bytes" in found.failed[0].error
    assert "build it again" in found.failed[0].error
    assert found.sentence.startswith("FAILED: tensorrt/fp16 could not be compared: the engine in")


def test_a_run_that_is_not_there_is_skipped_with_the_reason(tapped_tiny):
    away = RunName("torch", "fp16")
    found = run(tapped_tiny, FP16, away)
    assert found.passed
    assert [(each.run, each.reason) for each in found.skipped] == [
        ("torch/fp16", "torch runs the bundle's weights in float32")
    ]


def test_nothing_left_to_compare_is_an_error_and_no_pass(tapped_tiny):
    with pytest.raises(ExecutorError) as error:
        run(tapped_tiny, RunName("tensorrt", "fp16"), absent=lambda name: "no tensorrt here")
    assert "nothing was compared" in str(error.value)
    assert "tensorrt/fp16: no tensorrt here" in str(error.value)
    assert error.value.do == "mend what the reasons name, or name other --executors"


def test_a_run_against_itself_is_refused(tapped_tiny):
    for candidates in ((FP32,), (FP16, FP32), ()):
        with pytest.raises(UsageError, match="compared with itself always agrees"):
            run(tapped_tiny, *candidates)


def test_a_precision_without_tolerances_is_refused(tapped_tiny):
    with pytest.raises(UsageError) as error:
        run(tapped_tiny, RunName("onnxruntime", "int4"))
    assert "--precision with some of fp32,fp16" in str(error.value)


def test_no_inputs_is_no_pass(tapped_tiny):
    with pytest.raises(UsageError, match="no inputs to compare on"):
        run(tapped_tiny, FP16, cases=[])
