"""INT8 engines: one short name for the graphs of TensorRT's form, and what they are held to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from advised_commands import parsed
from click.testing import CliRunner
from quick_int8 import quick_int8
from small_graphs import small_bundle

from edge.bundle import ENCODER, LOCALIZER, Bundle
from edge.cli import tilefix
from edge.devices.base import DeviceFacts
from edge.engine_manifest import read_engine
from edge.errors import BundleError, ExecutorError
from edge.executors.engine_choice import choose_engine
from edge.precisions import TENSORRT_FORM, graph_precision
from export.engines import auto, device
from export.engines.build import build_engine, check_graphs, check_precision
from export.engines.graph_facts import GraphFacts, read_graph
from export.engines.layer_checks import check_layers
from export.engines.layer_table import Layer, LayerTensor

ORIN = DeviceFacts("Orin", "8.7", integrated=True, total_bytes=1 << 33)
NAMES = [f"conv{i}" for i in range(40)]
FACTS = GraphFacts(
    path=Path("graph.onnx"),
    size_bytes=1,
    custom_nodes=(),
    operators=dict.fromkeys(NAMES, "Conv"),
    convolutions={name: "Int8" if i < 20 else "Half" for i, name in enumerate(NAMES)},
    products={},
    reads={},
)


@pytest.fixture
def int8_bundle(bundle: Bundle, tiny, tmp_path) -> Bundle:
    made = quick_int8(bundle)
    names = {key.removeprefix("graphs/").removesuffix(".onnx"): made[key] for key in made}
    return small_bundle(tmp_path / "int8", tiny.tiny_manifest(), names)


@pytest.fixture
def run(full_toolkit, monkeypatch):
    """`run(...)`: the output of `tilefix build` with TensorRT 10.3 on an Orin."""
    full_toolkit()
    monkeypatch.setattr(device, "local_gpu", lambda: device.Gpu("Orin", 87))

    def call(*arguments: object) -> str:
        options = ["build", *map(str, arguments), "--toolkit", "tensorrt"]
        done = CliRunner().invoke(tilefix, options)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    return call


def test_the_run_finds_what_the_build_made(int8_bundle, run, make_plugin):
    said = run(int8_bundle.path, "--precision", "int8", "--plugin", make_plugin())
    for kind, count in ((ENCODER, 4), (LOCALIZER, 2)):
        assert f"{kind} int8+fp16: built" in said
        found = choose_engine(
            int8_bundle, kind, graph_precision("int8", "tensorrt"), "tensorrt", "10.3.0.30", ORIN
        )
        key = found.manifest.key
        assert (key.precision, key.gpu_name) == (TENSORRT_FORM, "Orin")
        assert key.onnx_sha256 == int8_bundle.manifest.files[f"graphs/int8+fp16/{kind}.onnx"]
        assert found.manifest.layers.convolutions == {"Int8": count}
        assert found.manifest.layers.plugin_layers == (kind == LOCALIZER)
        verb, given = parsed(found.rebuild)[-1]
        assert (verb, given["precision"]) == ("build", "int8"), "as it is asked for"


def test_no_engine_yet(int8_bundle):
    with pytest.raises(ExecutorError) as error:
        choose_engine(int8_bundle, LOCALIZER, TENSORRT_FORM, "tensorrt", "10.3.0.30", ORIN)
    assert error.value.what.startswith("there is no engine of the localizer in int8+fp16")
    (_, plugin), (verb, build) = parsed(error.value.do)
    assert (verb, build["precision"]) == ("build", "int8")
    assert build["plugin"] == plugin["out"]


def test_auto_builds_the_form_for_tensorrt(int8_bundle, settings, monkeypatch):
    from export.engines.choice import Candidate

    asked = []
    monkeypatch.setattr(
        auto,
        "measure",
        lambda name, measurer: asked.append(name) or Candidate(name, faults=("no",)),
    )
    with pytest.raises(ExecutorError) as error:
        auto.build_auto(int8_bundle, (ENCODER, LOCALIZER), settings(), measurer=object())
    assert error.value.what == "no precision passes on this device"
    assert asked == ["fp32", "fp16", "int8+fp16"]


def test_without_int8_graphs(bundle):
    with pytest.raises(BundleError) as error:
        check_precision(bundle, TENSORRT_FORM)
    assert error.value.what == "the bundle small has no int8+fp16 graphs"
    assert error.value.do == "choose --precision fp16, or make int8+fp16: tilefix calibrate"


def test_a_float_graph_under_the_name_of_int8(bundle, tiny, tmp_path, settings):
    """Refused before anything is built."""
    halves = {f"int8+fp16/{k}": bundle.graph(k, "fp16").read_bytes() for k in (ENCODER, LOCALIZER)}
    named = small_bundle(tmp_path / "named", tiny.tiny_manifest(), halves)
    with pytest.raises(ExecutorError) as error:
        check_graphs(named, (ENCODER,), TENSORRT_FORM, settings())
    assert error.value.what.endswith("reference_encoder.onnx is not int8+fp16")
    assert error.value.found == "of 4: 4 Half"
    assert error.value.do == "calibrate the bundle again: tilefix calibrate"
    assert not (named.path / "engines").exists()


def test_an_engine_that_forgot_int8_is_not_kept(int8_bundle, settings):
    with pytest.raises(ExecutorError) as error:
        build_engine(int8_bundle, LOCALIZER, TENSORRT_FORM, settings(fault="not quantised"))
    assert error.value.what.startswith("the engine is not int8+fp16")
    assert error.value.expected == "at least 95% of 2 Int8"
    assert error.value.found.startswith("2 Half; node_conv")


def test_without_the_plugin(int8_bundle, settings):
    with pytest.raises(ExecutorError) as error:
        build_engine(int8_bundle, LOCALIZER, TENSORRT_FORM, replace(settings(), plugin=None))
    assert error.value.what.endswith("has custom nodes, and no plugin was given for them")


def test_weights_beside_the_graphs(int8_bundle, settings, tiny, tmp_path):
    """They count for a graph's size, and are in what TensorRT parses."""
    from export.shared_weights import WEIGHTS_FILE, share_weights

    twice = int8_bundle.graph(ENCODER, TENSORRT_FORM).read_bytes()
    paths = [tmp_path / f"{kind}.onnx" for kind in (ENCODER, LOCALIZER)]
    for path in paths:  # one graph under both names shares all that is large enough
        path.write_bytes(twice)
    whole_bytes = read_graph(paths[0])[1].size_bytes
    weights = share_weights(paths)
    assert weights is not None and weights.name == WEIGHTS_FILE
    assert paths[0].stat().st_size + weights.stat().st_size < whole_bytes + 4096
    _, facts = read_graph(paths[0])
    assert facts.size_bytes >= whole_bytes > paths[0].stat().st_size
    assert set(facts.convolutions.values()) == {"Int8"}
    content = {f"int8+fp16/{path.stem}": path.read_bytes() for path in paths}
    shared = small_bundle(tmp_path / "shared", tiny.tiny_manifest(), content)
    (shared.path / "graphs/int8+fp16" / WEIGHTS_FILE).write_bytes(weights.read_bytes())
    made = build_engine(shared, ENCODER, TENSORRT_FORM, settings())
    assert read_engine(made.folder).layers.convolutions == {"Int8": 4}


def layer(name: str, kind: str, given: str, made: str, *nodes: str, profile: int = 0) -> Layer:
    one = (LayerTensor(given, (1, 2)),), (LayerTensor(made, (1, 2)),)
    return Layer(name, kind, *one, nodes, profile)


def table(wrong: int = 0, profile: int = 0) -> list[Layer]:
    """Twenty in INT8, `wrong` of them in FP16, and twenty in FP16."""
    kinds = ["Half"] * wrong + ["Int8"] * (20 - wrong) + ["Half"] * 20
    return [
        layer(name, "correlation", kind, "Half", name, profile=profile)
        for name, kind in zip(NAMES, kinds, strict=True)
    ]


@pytest.mark.parametrize(("wrong", "kept"), [(1, True), (2, False)])
def test_those_in_int8_are_counted_by_themselves(wrong, kept):
    """Two of forty would pass; two of the twenty that the graph quantises do not."""
    layers = (*table(), *table(wrong, profile=1))
    if kept:
        assert check_layers(layers, FACTS, TENSORRT_FORM, 2, "") == ()
        return
    with pytest.raises(ExecutorError) as error:
        check_layers(layers, FACTS, TENSORRT_FORM, 2, "")
    assert error.value.what.startswith("the engine is not int8+fp16")
    assert error.value.what.endswith("in profile 1")
    assert error.value.expected == "at least 95% of 20 Half, 20 Int8"
    assert error.value.found == "22 Half, 18 Int8; conv0 in Half, conv1 in Half"


def test_sums_of_int8_products_may_be_float32():
    """A layer that scales them is no island; one that convolves, or of a float16 one, is."""
    scaled = layer("scale", "kgen", "Float", "Float", "conv3")
    check_layers((*table(), scaled), FACTS, TENSORRT_FORM, 1, "")
    for island in (
        layer("again", "gemm", "Float", "Float", "conv3"),
        layer("scale", "kgen", "Float", "Float", "conv30"),
    ):
        with pytest.raises(ExecutorError) as error:
            check_layers((*table(), island), FACTS, TENSORRT_FORM, 1, "")
        assert error.value.what.startswith("the int8+fp16 engine computes in float32")
    alone = [each for each in table() if each.name != "conv3"]
    with pytest.raises(ExecutorError):
        check_layers((*alone, scaled), FACTS, TENSORRT_FORM, 1, "")
