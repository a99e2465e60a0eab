"""Of whose making a store is, in the words of the command that would make another."""

from __future__ import annotations

from pathlib import Path

import pytest
from advised_commands import parsed
from stored_features import MAP, header, refused

from edge.errors import BundleError
from edge.feature_header import TensorSpec
from edge.feature_origin import FeatureOrigin
from edge.feature_store import FeatureStore

FP32, FP16, ORT_INT8, TRT_INT8 = "fp32", "fp16", "int8+fp32", "int8+fp16"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, make_tiny_bundle):
    """Four precisions with an encoder each; none of these graphs is run."""
    extra = {
        f"graphs/{precision}/{kind}.onnx": f"{precision} {kind}".encode()
        for precision in (FP16, ORT_INT8, TRT_INT8)
        for kind in ("reference_encoder", "localizer")
    }
    return make_tiny_bundle(tmp_path_factory.mktemp("four") / "b", extra_files=extra)


def store_of(folder: Path, model_id: str, **changes) -> Path:
    FeatureStore.create(folder, header(model_id=model_id, **changes)).close()
    return folder


def origin(bundle, precision, executor="onnxruntime", more=()) -> FeatureOrigin:
    return FeatureOrigin(bundle, executor, precision, Path("my map.mbtiles"), more)


def test_its_own_store_is_fine(bundle, tmp_path):
    for executor, precision, graph in [
        ("onnxruntime", "fp16", FP16),
        ("onnxruntime", "int8", ORT_INT8),
        ("tensorrt", "int8", TRT_INT8),
    ]:
        folder = store_of(tmp_path / (executor + graph), bundle.encoder_id(graph))
        origin(bundle, precision, executor).check(folder, MAP)
        origin(bundle, precision, executor).check_begun(folder, MAP, "float16")
    origin(bundle, "fp32").check_begun(tmp_path / "not there yet", MAP, "int8")


@pytest.mark.parametrize(
    ("there", "run", "executor", "named", "advised"),
    [
        (FP32, "fp16", "onnxruntime", "fp32", "fp32"),
        (FP16, "fp32", "onnxruntime", "fp16", "fp16"),
        (FP32, "int8", "onnxruntime", "fp32", "fp32"),
        (ORT_INT8, "fp32", "onnxruntime", "int8", "int8"),
        (ORT_INT8, "int8", "tensorrt", "int8+fp32", "int8+fp32"),
        (TRT_INT8, "fp16", "tensorrt", "int8", "int8"),
    ],
)
def test_a_store_of_another_precision(bundle, tmp_path, there, run, executor, named, advised):
    folder = store_of(tmp_path / "s", bundle.encoder_id(there))
    mine = origin(bundle, run, executor)
    error = refused(mine.check, folder, MAP)
    assert error.what == f"the feature store {folder} is for another precision"
    assert (error.expected, error.found) == (f"bundle tiny in {run}", f"bundle tiny in {named}")
    assert error.do.startswith(f"give --precision {advised}, or make a store for this run: ")
    origin(bundle, advised, executor).check(folder, MAP)  # the first advice helps
    ((verb, given),) = parsed(error.do.partition("run: ")[2])
    assert verb == "tiles encode" and given["bundle_path"] == bundle.path
    assert (given["precision"], given["executor"]) == (run, executor)
    made = FeatureOrigin(bundle, given["executor"], given["precision"], given["map_path"])
    assert made == mine  # and so does the second


def test_of_several_precisions_with_one_encoder_all_are_named(tmp_path, make_tiny_bundle):
    plain = make_tiny_bundle(tmp_path / "plain")
    kinds = ("reference_encoder", "localizer")
    extra = {
        f"graphs/{precision}/{kind}.onnx": plain.graph(kind).read_bytes() + more
        for precision, more in ((ORT_INT8, b""), (FP16, b"x"))
        for kind in kinds
    }
    bundle = make_tiny_bundle(tmp_path / "b", extra_files=extra)
    folder = store_of(tmp_path / "s", bundle.encoder_id(FP32))
    error = refused(origin(bundle, "fp16").check, folder, MAP)
    assert error.found == "bundle tiny in fp32 or int8"
    origin(bundle, "int8").check(folder, MAP)


def test_a_store_of_the_shipped_bundle(bundle, tmp_path, make_tiny_bundle, monkeypatch):
    shipped = make_tiny_bundle(tmp_path / "shipped", seed=5)
    monkeypatch.setattr("edge.feature_origin.shipped_bundle_path", lambda: shipped.path)
    folder = store_of(tmp_path / "s", shipped.model_id)
    error = refused(origin(bundle, "int8").check, folder, MAP)
    assert error.what.endswith("is for another bundle")
    assert error.found == "the shipped bundle tiny in fp32"
    assert error.do.startswith("leave --bundle out and give --precision fp32, or make a store")
    own = store_of(tmp_path / "own", bundle.model_id)
    error = refused(origin(shipped, "fp32").check, own, MAP)
    assert error.what.endswith("is for another model") and "--bundle" in error.do
    assert "--bundle" not in origin(shipped, "fp32").command()


def test_a_store_of_a_model_that_nobody_knows(bundle, tmp_path, monkeypatch):
    folder = store_of(tmp_path / "s", "c" * 64)
    error = refused(origin(bundle, "fp16").check, folder, MAP)
    assert error.what.endswith("is for another model")
    assert error.expected == f"model {bundle.encoder_id(FP16)}: bundle tiny in fp16"
    assert error.found.startswith(f"model {'c' * 64}")
    assert error.do.endswith(origin(bundle, "fp16").command())

    def none():
        raise BundleError("none", expected="one", found="none", do="install")

    monkeypatch.setattr("edge.feature_origin.shipped_bundle_path", none)
    again = refused(origin(bundle, "fp16").check, folder, MAP)
    assert str(again) == str(error), "an installation without a bundle says the same"


def test_no_store_and_one_of_another_map(bundle, tmp_path):
    mine = origin(bundle, "fp16", more=("--bbox=-1,2,3,4",))
    error = refused(mine.check, tmp_path / "none", MAP)
    assert error.do == f"make it: {mine.command(tmp_path / 'none')}"
    ((_, given),) = parsed(error.do.removeprefix("make it: "))
    assert given["store"] == tmp_path / "none" and given["map_path"] == mine.map_path
    assert (given["bbox"], given["precision"]) == ("-1,2,3,4", "fp16")
    folder = store_of(tmp_path / "s", mine.model_id)
    error = refused(mine.check, folder, "d" * 64)
    assert "another map" in error.what and error.do.endswith(mine.command())


@pytest.mark.parametrize(("there", "wanted"), [("float16", "int8"), ("int8", "float16")])
def test_a_store_with_its_features_in_another_type(bundle, tmp_path, there, wanted):
    """Local features are int8 in both: they say nothing of it."""
    tensors = tuple(TensorSpec(name, (2, 3, 3), there) for name in ("u", "v"))
    tensors = (TensorSpec("align_descriptor_1x", (5, 64), "int8"), *tensors)
    folder = store_of(tmp_path / "s", bundle.encoder_id(FP16), tensors=tensors)
    mine = origin(bundle, "fp16", more=(f"--features={wanted}",))
    mine.check_begun(folder, MAP, there)
    error = refused(mine.check_begun, folder, MAP, wanted)
    assert error.what == f"the feature store {folder} holds its features in {there}"
    assert f"--features {there}" in error.expected and error.found == f"--features {wanted}"
    assert error.do.startswith(f"give --features {there} to go on")
    ((_, given),) = parsed(error.do.partition("another: ")[2])
    assert given["features"] == wanted and given["store"] == Path("NEW")
