"""Names of runs, and why one cannot be had here."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from quick_int8 import quick_int8
from small_graphs import small_bundle

from calibration.quantization.qdq import Form
from edge.bundle import write_bundle
from edge.errors import UsageError
from export.verification.cases import random_cases
from export.verification.runs import RunName, absence
from export.verification.tolerances import TOLERANCES, tolerances
from export.verification.verify import verify

FP16, NUMPY = RunName("onnxruntime", "fp16"), RunName("reference", "fp32")


def test_what_is_absent(tapped_tiny, tiny_bundle):
    trt = RunName("tensorrt", "fp16")
    assert absence(trt, tapped_tiny, lambda m: False, lambda: True) == (
        "no tensorrt in this Python (on a Jetson sudo apt install python3-libnvinfer, "
        "in a venv made with --system-site-packages)"
    )
    rtx = RunName("tensorrt-rtx", "fp16")
    assert absence(rtx, tapped_tiny, lambda m: False).endswith("(pip install tensorrt-rtx)")
    assert "no CUDA device" in absence(trt, tapped_tiny, lambda m: True, lambda: False)
    assert absence(trt, tapped_tiny, lambda m: m == "tensorrt_rtx", lambda: True) != ""
    assert absence(rtx, tapped_tiny, lambda m: m == "tensorrt_rtx", lambda: True) == ""
    assert absence(FP16, tapped_tiny) == absence(NUMPY, tapped_tiny) == ""
    assert absence(FP16, tiny_bundle) == "the bundle has no fp16 graphs, only fp32"


def test_int8_in_the_form_of_another_executor(tapped_tiny):
    """Engines are of one form; ONNX Runtime runs both."""
    there = (lambda module: True), (lambda: True)
    other = RunName("tensorrt", "int8+fp32")
    assert absence(other, tapped_tiny, *there) == (
        "engines in INT8 are made of the graphs in int8+fp16"
    )
    for executor in ("tensorrt", "onnxruntime"):
        name = RunName(executor, "int8+fp16")
        assert absence(name, tapped_tiny, *there).startswith("the bundle has no int8+fp16 graphs")


def test_int8_is_the_form_of_the_executor(tiny, tmp_path):
    floats = small_bundle(tmp_path / "floats", tiny.tiny_manifest())
    files = {name: floats.file(name) for name in floats.manifest.files}
    files |= quick_int8(floats, Form.ONNXRUNTIME)
    both = write_bundle(tmp_path / "int8", floats.manifest, files)
    reference, *names = (RunName("onnxruntime", "fp32"), RunName.parse("onnxruntime/int8"))
    cases = random_cases(both, 1)
    found = verify(both, reference, names, cases, [], tolerances([]), inputs="random")
    assert found.failed == found.skipped == ()
    (comparison,) = found.comparisons
    assert comparison.run == "onnxruntime/int8+fp32"
    assert comparison.limit == TOLERANCES["int8+fp32"]
    (cosine,) = [each.cosine for each in comparison.tensors if each.name == "v"]
    assert 0.9 < cosine < 0.999999, "quantised, and near"


def test_torch_needs_a_checkpoint_for_what_is_not_rebuilt_from_a_bundle(tapped_tiny, tmp_path):
    other = msgspec.structs.replace(tapped_tiny.manifest, model="ocgnet")
    published = dataclasses.replace(tapped_tiny, manifest=other)
    torch = RunName("torch", "fp32")
    assert absence(torch, published) == (
        "ocgnet is not rebuilt from its bundle: give --checkpoint FILE"
    )
    assert absence(torch, published, checkpoint=tmp_path / "x.safetensors") == ""
    assert absence(torch, tapped_tiny) == ""


def test_numpy_needs_the_weights_of_a_head(tapped_tiny):
    """Those of published models are in their graphs alone."""
    files = {k: v for k, v in tapped_tiny.manifest.files.items() if not k.endswith("head.npz")}
    manifest = msgspec.structs.replace(tapped_tiny.manifest, files=files)
    published = dataclasses.replace(tapped_tiny, manifest=manifest)
    assert absence(NUMPY, published) == (
        "numpy takes the weights of a head of lite, head.npz, and the bundle has none"
    )


def test_names_of_runs():
    assert RunName.parse(" onnxruntime/fp16") == FP16
    for executor, form in (("onnxruntime", "int8+fp32"), ("tensorrt_rtx", "int8+fp16")):
        assert RunName.parse(f"{executor}/int8").precision == form
        assert RunName.parse(f"{executor}/{form}") == RunName.parse(f"{executor}/int8")
    assert RunName.parse("onnxruntime-whole/int8").precision == "int8+fp32"
    for text in ("onnxruntime", "onnx/fp16", "onnxruntime/", ""):
        with pytest.raises(UsageError, match="does not name a run"):
            RunName.parse(text)
