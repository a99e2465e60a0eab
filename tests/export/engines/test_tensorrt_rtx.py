"""Real engines for an SM86 GPU by TensorRT-RTX, which builds without one; where it is installed."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import pytest
from quick_int8 import quick_int8
from small_graphs import small_bundle, small_localizer

from calibration.quantization.policy import Reason, sort_convolutions
from edge.bundle import ENCODER, LOCALIZER, Bundle, shipped_bundle_path
from edge.engine_manifest import read_engine
from edge.errors import ExecutorError
from edge.precisions import TENSORRT_FORM
from export.engines import build as builds
from export.engines import memory
from export.engines.build import BuildSettings, build_engine
from export.engines.targets import choose_target
from export.plugin.build import LIBRARY
from export.shared_weights import whole_graph

pytestmark = pytest.mark.slow
CLICK_WEIGHTS = 64  # a 1x1 convolution of picture and click map has fewer, one of a backbone more


@pytest.fixture(scope="module")
def rtx() -> BuildSettings:
    if importlib.util.find_spec("tensorrt_rtx") is None:
        pytest.skip("tensorrt_rtx is not installed: pip install tensorrt-rtx")
    return BuildSettings(choose_target("sm86", "tensorrt_rtx", None))


@pytest.fixture(scope="module")
def with_plugin(rtx, built_plugin) -> BuildSettings:
    return replace(rtx, plugin=built_plugin.parent)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_plugin_is_in_the_engine_of_every_profile(bundle, with_plugin, precision):
    made = build_engine(bundle, LOCALIZER, precision, with_plugin)
    manifest = read_engine(made.folder)
    dtype = "Half" if precision == "fp16" else "Float"
    assert manifest.layers.plugin_layers == 1
    assert manifest.layers.convolutions == {dtype: 2}
    assert manifest.layers.source == "builder log"
    key = manifest.key
    assert (key.toolkit, key.compute_capabilities, key.gpu_name) == ("tensorrt_rtx", ("8.6",), "")
    assert manifest.timing_cache_sha256 == "" and manifest.device_memory_bytes is None
    assert "timing cache: none, this toolkit has none at build time" in manifest.notes
    assert (made.folder / "libtilefix_plugin.so").is_file()
    assert any("the cast of frame was moved" in note for note in manifest.notes)
    plan = (made.folder / "engine.plan").read_bytes()
    assert plan.count(b"TileAttention") >= 4, "one for each profile"


def test_built_twice_is_the_same_byte_for_byte(bundle, with_plugin):
    first = build_engine(bundle, LOCALIZER, "fp16", with_plugin)
    content = (first.folder / "engine.plan").read_bytes()
    second = build_engine(bundle, LOCALIZER, "fp16", replace(with_plugin, force=True))
    assert second.new and second.manifest.engine_sha256 == first.manifest.engine_sha256
    assert (second.folder / "engine.plan").read_bytes() == content


@pytest.mark.parametrize("kind", [ENCODER, pytest.param("shipped", marks=pytest.mark.full_size)])
def test_built_elsewhere_is_the_same_byte_for_byte(bundle, rtx, tmp_path, monkeypatch, kind):
    """Whatever the environment, the temporary folder and the addresses of the moment are."""
    given = (shipped(), LOCALIZER) if kind == "shipped" else (bundle, kind)
    found = set()
    for number, length in enumerate((1, 124, 170)):
        place = tmp_path / ("x" * length)
        place.mkdir()
        monkeypatch.setenv("TMPDIR", str(place))
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setenv("TILEFIX_ENGINES", str(tmp_path / str(number)))
        monkeypatch.setenv("NOISE", "x" * 3000 * number)
        found.add(build_engine(*given, "fp32", rtx).manifest.engine_sha256)
    assert len(found) == 1


def test_without_a_creator_the_body_is_not_inlined_in_silence(bundle, rtx, monkeypatch):
    """TensorRT-RTX takes the function body and says nothing; the layer table does."""
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, LOCALIZER, "fp16", rtx)
    assert error.value.what.endswith("and no plugin was given for them")
    monkeypatch.setattr(builds, "choose_plugin", lambda *_: None)  # past the first check
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, LOCALIZER, "fp16", rtx)
    assert error.value.what.startswith("the engine does not use the plugin")
    assert error.value.found.startswith("no plugin layer; ")
    assert error.value.do.startswith("tilefix plugin build --arch 86 --out plugin")
    assert not list((bundle.path / "engines").iterdir())


def test_a_library_that_is_no_plugin(bundle, rtx, make_plugin):
    folder = make_plugin(archs=[86])
    other = importlib.util.find_spec("_ctypes")
    if other is None or other.origin is None or not Path(other.origin).is_file():
        pytest.skip("this Python has no extension modules as files")
    (folder / LIBRARY).write_bytes(Path(other.origin).read_bytes())
    text = (folder / "plugin.json").read_text()
    wrong = builds.sha256_of(folder / LIBRARY)
    old = text.partition('"library_sha256": "')[2].partition('"')[0]
    (folder / "plugin.json").write_text(text.replace(old, wrong))
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, LOCALIZER, "fp16", replace(rtx, plugin=folder))
    assert error.value.what.endswith("has no creator for TileAttention")
    assert "--plugin" in error.value.do


def test_a_node_that_the_plugin_does_not_have(tiny, tmp_path, with_plugin):
    odd = small_localizer(True, body=False, name="TileAttentionOfTomorrow")
    bundle = small_bundle(tmp_path / "odd", tiny.tiny_manifest(), {"fp16/localizer": odd})
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, LOCALIZER, "fp16", with_plugin)
    assert error.value.what.endswith("has no creator for TileAttentionOfTomorrow")
    assert "TileAttention" in error.value.found


def test_several_gpus_in_one_engine(bundle, with_plugin):
    target = choose_target("sm86,sm89,sm120", "tensorrt_rtx", None)
    made = build_engine(bundle, LOCALIZER, "fp16", replace(with_plugin, target=target))
    assert made.manifest.key.compute_capabilities == ("8.6", "8.9", "12.0")
    assert any("no machine code for sm120" in note for note in made.manifest.notes)
    target = choose_target("sm80", "tensorrt_rtx", None)
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, LOCALIZER, "fp16", replace(with_plugin, target=target))
    assert (error.value.expected, error.value.found) == ("code for sm80", "code for sm86 alone")


def test_memory_that_runs_out_while_building(bundle, rtx, monkeypatch):
    monkeypatch.setattr(memory, "build_need_bytes", lambda *_: 0)
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, ENCODER, "fp16", replace(rtx, memory_mb=40))
    assert error.value.what in (
        "the build ran out of memory",
        "the process that builds the engine ended without an answer",
    )


def shipped() -> Bundle:
    return Bundle.open(shipped_bundle_path())


@pytest.mark.full_size
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_shipped_bundle(rtx, request, tmp_path, monkeypatch, precision):
    """Full size, every precision that it has: 1024 px windows, 512 px frames."""
    bundle = shipped()
    if precision not in bundle.precisions:
        pytest.skip(f"the shipped bundle has no {precision} graphs")
    monkeypatch.setenv("TILEFIX_ENGINES", str(tmp_path))
    settings = request.getfixturevalue("with_plugin") if precision == "fp16" else rtx
    dtype = "Half" if precision == "fp16" else "Float"
    for kind, convolutions in ((ENCODER, 60), (LOCALIZER, 41)):
        made = build_engine(bundle, kind, precision, settings)
        layers = made.manifest.layers
        assert layers.convolutions == {dtype: convolutions}
        assert layers.plugin_layers == (precision == "fp16" and kind == LOCALIZER)
        assert made.folder.parent == tmp_path / bundle.manifest.name


@pytest.mark.full_size
def test_a_published_model_at_full_size(with_plugin, tiny, tmp_path, once):
    """OCGNet with random weights: windows of 1024 px, its own attention before the plugin."""
    from exported_once import full_ocgnet

    paths = {key: path for key, path in full_ocgnet(once).items() if key[0] == "fp16"}
    graphs = {f"{p}/{kind}": path.read_bytes() for (p, kind), path in paths.items()}
    bundle = small_bundle(tmp_path / "ocgnet", tiny.tiny_manifest(), graphs)
    encoder = build_engine(bundle, ENCODER, "fp16", with_plugin).manifest
    assert encoder.layers.convolutions == {"Half": 64}
    assert encoder.layers.plugin_layers == 0
    made = build_engine(bundle, LOCALIZER, "fp16", with_plugin).manifest
    assert made.layers.convolutions == {"Half": 23} and made.layers.products == {"Half": 4}
    assert made.layers.plugin_layers == 1
    assert made.key.click_buckets == (1, 4, 16, 64)
    assert {each.name for each in made.outputs} >= {"box_xyxy_px", "peak_similarity"}


def int8_share(bundle: Bundle, folder: Path, settings: BuildSettings) -> dict[str, float]:
    """Quantise both graphs as TensorRT takes them, build, and count.

    Returns:
        Convolutions that run in INT8 for each of the backbone's, by kind of graph; the backbone is
        all that comes before the two views meet, but what draws a click into a picture.
    """
    floats = {
        f"{precision}/{kind}": whole_graph(bundle.graph(kind, precision)).SerializeToString()
        for precision in ("fp32", "fp16")
        for kind in (ENCODER, LOCALIZER)
    }
    made = quick_int8(bundle)
    floats |= {key.removeprefix("graphs/").removesuffix(".onnx"): made[key] for key in made}
    quantised = small_bundle(folder, bundle.manifest, floats)
    shares = {}
    for kind in (ENCODER, LOCALIZER):
        found = sort_convolutions(whole_graph(quantised.graph(kind)))
        others = [
            each.name
            for each, reason in found.refused
            if reason is Reason.HEAD or math.prod(each.weight_shape) < CLICK_WEIGHTS
        ]
        manifest = build_engine(quantised, kind, TENSORRT_FORM, settings).manifest
        assert manifest.key.precision == "int8+fp16"
        assert manifest.layers.plugin_layers == (kind == LOCALIZER)
        counts = manifest.layers.convolutions
        assert set(counts) <= {"Int8", "Half"}
        shares[kind] = counts["Int8"] / (sum(counts.values()) - len(others))
    return shares


@pytest.mark.full_size
def test_the_shipped_bundle_in_int8(with_plugin, tmp_path):
    """Every convolution of lite comes before its two views meet."""
    shares = int8_share(shipped(), tmp_path / "int8", with_plugin)
    assert min(shares.values()) >= 0.95, shares


@pytest.mark.full_size
def test_a_published_model_in_int8(with_plugin, tiny, tmp_path, once):
    """OCGNet at its published size, with random weights."""
    from exported_once import full_ocgnet

    graphs = {f"{p}/{kind}": path.read_bytes() for (p, kind), path in full_ocgnet(once).items()}
    bundle = small_bundle(tmp_path / "ocgnet", tiny.tiny_manifest(), graphs)
    shares = int8_share(bundle, tmp_path / "int8", with_plugin)
    assert min(shares.values()) >= 0.95, shares
