"""What a bundle's own judgement says of its graphs is told to who runs them."""

import dataclasses
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from edge.bundle import write_bundle
from edge.commands.tiles import tiles
from edge.localizer import Localizer
from edge.precisions import RUN_FLOAT32, judged_form_note

MAP = Path(__file__).resolve().parents[2] / "edge" / "demo_data" / "flight" / "map.mbtiles"
BROKEN = {"int8": {"onnxruntime": RUN_FLOAT32, "budget_points": 1.0}}


def test_a_form_that_breaks_the_budget_is_told():
    assert judged_form_note(BROKEN, "int8+fp32") == (
        "this bundle's judgement says to run fp32 in ONNX Runtime: INT8 in the form for it does "
        "not hold the budget, 1 points (calibration/report.html)"
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


@pytest.mark.parametrize(("precision", "told"), [("int8", 1), ("fp32", 0)])
def test_encoding_tells_it_before_it_begins(tiny_bundle, tmp_path, precision, told):
    files = {name: tiny_bundle.file(name) for name in tiny_bundle.manifest.files}
    files |= {
        name.replace("/fp32/", "/int8+fp32/"): path
        for name, path in files.items()
        if name.startswith("graphs/fp32/")
    }
    manifest = msgspec.structs.replace(tiny_bundle.manifest, scores=BROKEN)
    write_bundle(tmp_path / "bundle", manifest, files)
    words = ["encode", f"--tiles={MAP}", f"--store={tmp_path / 'store'}", "--bbox=0,0,1e-6,1e-6"]
    words += [f"--bundle={tmp_path / 'bundle'}", f"--precision={precision}", "--threads=1"]
    said = CliRunner().invoke(tiles, words).stderr  # nothing is there to encode
    assert said.count("note: this bundle's judgement says to run fp32 in ONNX Runtime") == told
    assert said.startswith("note: ") is bool(told)
