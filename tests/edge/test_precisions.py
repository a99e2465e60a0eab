"""What a bundle's own judgement says of its graphs is told to who runs them."""

import dataclasses

import msgspec
import pytest

from edge.localizer import Localizer
from edge.precisions import RUN_FLOAT32, judged_form_note

BROKEN = {"int8": {"onnxruntime": RUN_FLOAT32, "budget_points": 1.0}}


def test_a_form_that_breaks_the_budget_is_told():
    assert judged_form_note(BROKEN, "int8+fp32") == (
        "this bundle's judgement says to run fp32 in ONNX Runtime: INT8 in the form for it does "
        "not hold the budget of 1 (calibration/report.html)"
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8+fp16"])
def test_other_graphs_are_not_meant(precision):
    assert judged_form_note(BROKEN, precision) is None


@pytest.mark.parametrize(
    "scores",
    [{}, {"int8": "accepted"}, {"int8": {}}, {"int8": {"onnxruntime": "held, in float32: a"}}],
)
def test_where_it_holds_or_nobody_judged_nothing_is_said(scores):
    assert judged_form_note(scores, "int8+fp32") is None


def test_a_localizer_has_it_among_its_notes(tiny_bundle, monkeypatch):
    localizer = Localizer.open(tiny_bundle)
    manifest = msgspec.structs.replace(tiny_bundle.manifest, scores=BROKEN)
    localizer.bundle = dataclasses.replace(tiny_bundle, manifest=manifest)
    assert localizer.notes == ()  # these graphs are float32
    monkeypatch.setattr(localizer._executor, "precision", "int8+fp32")
    (note,) = localizer.notes
    assert "run fp32 in ONNX Runtime" in note
