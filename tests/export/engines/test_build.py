"""One engine after another against a fake full TensorRT, in the process that really builds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_graphs import small_bundle, small_localizer

from edge.bundle import sha256_of
from edge.engine_manifest import engines_folder, read_engine
from edge.errors import BundleError, ExecutorError, OutputError
from export.engines import build as builds
from export.engines import child
from export.engines.build import build_engine


def asked(folder: Path) -> dict:
    """What the fake toolkit was told."""
    return json.loads((folder / "engine.plan").read_bytes())


def refusal(bundle, settings, kind: str = "localizer") -> ExecutorError:
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, kind, "fp16", settings)
    folder = engines_folder(bundle)
    assert not folder.exists() or list(folder.iterdir()) == [], "a refused engine was kept"
    return error.value


def test_an_engine_with_all_that_it_depends_on(bundle, settings):
    said = []
    made = build_engine(bundle, "localizer", "fp16", settings(), said.append)
    manifest = read_engine(made.folder)
    assert manifest == made.manifest and made.new
    key = manifest.key
    assert made.folder == bundle.path / "engines" / key.digest()
    assert (key.toolkit, key.toolkit_version) == ("tensorrt", "10.3.0.30")
    assert key.onnx_sha256 == sha256_of(bundle.graph("localizer", "fp16"))
    assert (key.compute_capabilities, key.gpu_name) == (("8.7",), "Orin")
    assert key.plugin_sha256 == sha256_of(made.folder / "libtilefix_plugin.so")
    assert key.click_buckets == (1, 4, 16, 64)
    assert key.flags == (f"workspace={asked(made.folder)['workspace'] >> 20}MiB",)
    assert manifest.timing_cache_sha256 == sha256_of(made.folder / "timing.cache")
    assert manifest.device_memory_bytes == 12345 and manifest.build_s >= 0
    assert manifest.layers.plugin_layers == 1
    assert manifest.layers.convolutions == {"Half": 2}
    assert manifest.layers.source == "engine inspector"
    shapes = {each.name: (each.dtype, each.shape) for each in manifest.inputs}
    assert shapes["frame"] == ("uint8", (64, 64, 3))
    assert shapes["click_xy_px"] == ("float32", (-1, 2))
    assert manifest.outputs[0].name == "box_xyxy_px"
    assert said[0].startswith("localizer fp16: TensorRT 10.3.0.30 builds for sm87; expected ")
    assert said[0].endswith("(a rule of thumb)")


def test_one_profile_for_each_number_of_clicks(bundle, settings):
    made = build_engine(bundle, "localizer", "fp16", settings(click_buckets=(2, 8)))
    given = ("click_xy_px", "prior_xy_px", "prior_inv_var")
    shapes = [[n, 2] for n in (2, 8)], [[n, 2] for n in (2, 8)], [[n] for n in (2, 8)]
    wanted = [{name: shapes[k][i] for k, name in enumerate(given)} for i in range(2)]
    assert asked(made.folder)["profiles"] == wanted
    encoder = build_engine(bundle, "reference_encoder", "fp16", settings("11.4.1"))
    assert asked(encoder.folder)["profiles"] == []
    assert encoder.manifest.key.click_buckets == ()
    assert encoder.manifest.key.plugin_sha256 == "", "the encoder has no custom node"


@pytest.mark.parametrize(
    ("version", "flags", "functions"),
    [
        ("10.3.0.30", 2, []),  # the body would win, the types would be free
        ("10.7.0.1", 2, ["TileAttention"]),
        ("11.4.1.0", 0, ["TileAttention"]),
    ],
)
def test_what_each_version_needs(bundle, settings, version, flags, functions):
    made = build_engine(bundle, "localizer", "fp16", settings(version))
    told = asked(made.folder)
    assert (told["flags"], told["functions"]) == (flags, functions)
    stripped = any("function bodies removed" in note for note in made.manifest.notes)
    assert stripped == (functions == [])


def test_what_is_there_is_not_built_again(bundle, settings):
    given = settings()
    first = build_engine(bundle, "localizer", "fp16", given)
    assert asked(first.folder)["started_from"] == ""
    again = build_engine(bundle, "localizer", "fp16", given)
    assert again.folder == first.folder and not again.new
    said = []
    forced = build_engine(bundle, "localizer", "fp16", replace(given, force=True), said.append)
    assert forced.new and forced.folder == first.folder
    assert asked(forced.folder)["started_from"] == "times of kernels"
    assert "timing cache: started from an earlier build's" in forced.manifest.notes
    assert said[0].endswith("(an earlier build)")
    other = build_engine(bundle, "localizer", "fp16", replace(given, click_buckets=(1,)))
    assert other.folder != first.folder


def test_two_builds_have_the_same_scratch_memory_whatever_is_free(bundle, settings, monkeypatch):
    monkeypatch.setattr(builds, "meminfo_bytes", {"MemTotal": 8 << 30}.get)
    given = settings()
    first = build_engine(bundle, "reference_encoder", "fp16", given)
    monkeypatch.setattr(builds, "build_memory_bytes", lambda: 3 << 30)
    again = build_engine(bundle, "reference_encoder", "fp16", replace(given, force=True))
    assert again.folder == first.folder and again.new
    assert again.manifest.key.flags == ("workspace=512MiB",)
    assert asked(again.folder)["workspace"] == 512 << 20
    monkeypatch.setattr(builds, "meminfo_bytes", {"MemTotal": 32 << 30}.get)
    assert build_engine(bundle, "reference_encoder", "fp16", given).folder != first.folder


def test_a_timing_cache_of_another_content_is_not_used(bundle, settings):
    given = settings()
    first = build_engine(bundle, "localizer", "fp16", given)
    (first.folder / "timing.cache").write_bytes(b"times of another world")
    made = build_engine(bundle, "localizer", "fp16", replace(given, force=True))
    assert asked(made.folder)["started_from"] == ""
    cache = first.folder / "timing.cache"
    assert (
        f"timing cache: {cache} was altered since its build, and is not used" in made.manifest.notes
    )


def test_a_timing_cache_that_does_not_fit(bundle, settings):
    build_engine(bundle, "localizer", "fp16", settings())
    made = build_engine(bundle, "reference_encoder", "fp16", settings(fault="other device's cache"))
    assert asked(made.folder)["started_from"] == ""
    assert any("does not fit this device, started anew" in note for note in made.manifest.notes)


def test_a_full_disk(bundle, settings, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builds, "write_engine", full)
    with pytest.raises(OutputError) as error:
        build_engine(bundle, "reference_encoder", "fp16", settings())
    assert error.value.found == "OSError: No space left on device"
    assert "TILEFIX_ENGINES" in error.value.do


def test_an_engine_that_was_altered_is_not_taken_for_built(bundle, settings):
    given = settings()
    made = build_engine(bundle, "localizer", "fp16", given)
    (made.folder / "engine.plan").write_bytes(b"short")
    with pytest.raises(ExecutorError) as error:
        build_engine(bundle, "localizer", "fp16", given)
    assert "--force" in error.value.do


def test_a_plugin_that_is_inlined_is_a_failure(bundle, settings):
    """The creator is known and the body was taken all the same: only the layers say so."""
    error = refusal(bundle, settings(fault="inlines"))
    assert error.what.startswith("the engine does not use the plugin")
    assert "1 plugin layers for TileAttention attend" in error.expected
    assert error.do.startswith("tilefix plugin build --arch 87 --out ")


def test_without_a_plugin_nothing_starts(bundle, settings):
    error = refusal(bundle, replace(settings(), plugin=None))
    assert error.what.endswith("has custom nodes, and no plugin was given for them")
    assert error.do.startswith("tilefix plugin build --arch 87 --out plugin, and give it: --plugin")


@pytest.mark.parametrize(
    ("fault", "what", "found"),
    [
        ("SIGKILL", "the build ran out of memory", "was killed (SIGKILL)"),
        ("SIGABRT", "the process that builds the engine ended without an answer", "SIGABRT"),
        ("refuse", "TensorRT 10.3.0.30 cannot build an engine from ", "any implementation"),
        ("memory", "the build ran out of memory", "Requested 8 GiB"),
        ("operator", "TensorRT 10.3.0.30 does not support an operator of ", "Det (checkDet)"),
        ("untyped", "TensorRT 10.3.0.30 made a network that chooses its types", "STRONGLY_TYPED"),
        ("slipped", "the engine is not fp16", "2 Float"),
        ("unloadable", "the engine was built, and cannot be loaded", "no reason given"),
        ("no context", "the engine was built, and cannot be loaded", "no reason given"),
        ("lost in profile 2", "the engine does not use the plugin", "no plugin layer"),
        ("nothing said", "it cannot be read whether the engine is fp16", "2 unknown"),
    ],
)
def test_how_a_build_can_end(bundle, settings, fault, what, found):
    error = refusal(bundle, settings(fault=fault))
    assert error.what.startswith(what)
    assert found in error.found
    assert error.do


def test_a_library_without_the_creator(bundle, settings, make_plugin):
    given = replace(settings(), plugin=make_plugin("altered"))
    error = refusal(bundle, given)
    assert error.what.endswith("has no creator for TileAttention")
    assert error.found == "no creator at all"
    assert "tilefix plugin build --arch 87" in error.do


def test_long_builds_say_how_far_they_are(bundle, settings, monkeypatch):
    monkeypatch.setattr(child, "LINE_EVERY_S", 0.05)
    said = []
    build_engine(bundle, "reference_encoder", "fp16", settings(), said.append)
    assert any(
        line.startswith("reference_encoder fp16: ") and " s, expected " in line for line in said
    )


def test_types_come_from_the_weights_where_tensors_say_none(bundle, settings):
    made = build_engine(bundle, "localizer", "fp16", settings(fault="types not said"))
    assert made.manifest.layers.convolutions == {"Half": 2}


def test_the_layer_tables_are_kept_with_the_log(bundle, settings, tmp_path):
    logs = tmp_path / "logs"
    refusal(bundle, settings(fault="nothing said", logs=logs))
    tables = [f"localizer_fp16_layers_profile{k}.json" for k in range(4)]
    assert sorted(path.name for path in logs.iterdir()) == ["localizer_fp16.log", *tables]
    assert "N/A due to dynamic shapes" in (logs / tables[3]).read_text()


def test_the_log_is_kept_where_it_is_asked_for(bundle, settings, tmp_path):
    logs = tmp_path / "logs"
    refusal(bundle, settings(fault="refuse", logs=logs))
    assert "could not find any implementation" in (logs / "localizer_fp16.log").read_text()


def test_a_log_that_cannot_be_kept_costs_no_engine(bundle, settings):
    said = []
    given = settings(logs=Path("/proc/logs"))
    assert build_engine(bundle, "localizer", "fp16", given, said.append).new
    assert said[-1].startswith(
        "localizer fp16: the builder's log cannot be written into /proc/logs"
    )


@pytest.mark.parametrize("place", ["in a file", "read-only"])
def test_a_folder_that_cannot_be_written(bundle, settings, tmp_path, monkeypatch, place):
    (tmp_path / "file").touch()
    root = tmp_path / "file" if place == "in a file" else Path("/proc")
    monkeypatch.setenv("TILEFIX_ENGINES", str(root))
    with pytest.raises(OutputError) as error:
        build_engine(bundle, "localizer", "fp16", settings(fault="SIGKILL"))
    assert error.value.what == f"no engine can be written into {root / 'small'}"
    assert error.value.do.startswith("set TILEFIX_ENGINES to a folder of yours")


def test_too_little_memory(bundle, settings, monkeypatch):
    monkeypatch.setattr(builds, "build_memory_bytes", lambda: 600 << 20)
    error = refusal(bundle, settings())
    assert error.what == "too little memory to build an engine"
    assert error.expected.startswith("about 1500 MB")
    assert error.found == "540 MB, 90% of the 600 MB of memory and free swap"
    assert "sudo systemctl isolate multi-user.target" in error.do


def test_a_graph_that_is_not_what_its_folder_says(tiny, tmp_path, settings):
    wrong = {"fp16/localizer": small_localizer(half=False)}
    bundle = small_bundle(tmp_path / "wrong", tiny.tiny_manifest(), wrong)
    error = refusal(bundle, settings())
    assert error.what.endswith("localizer.onnx is not fp16")
    assert error.found == "of 2: 2 Float"


def test_a_truncated_graph(tiny, tmp_path, settings):
    whole = small_localizer(half=True)
    halved = {"fp16/localizer": whole[: len(whole) // 2]}
    bundle = small_bundle(tmp_path / "cut", tiny.tiny_manifest(), halved)
    with pytest.raises(BundleError) as error:
        build_engine(bundle, "localizer", "fp16", settings())
    assert error.value.what.endswith("localizer.onnx is no ONNX graph, or a truncated one")


def test_small_graphs_run(bundle):
    """The graphs of these tests mean what they say: both precisions agree in ONNX Runtime."""
    from edge.executors.base import open_executor

    random = np.random.default_rng(0)
    window = random.integers(0, 256, (128, 128, 3), np.uint8)
    given = {
        "frame": window[:64, :64].copy(),
        "click_xy_px": np.array([[5, 9], [60, 33]], np.float32),
        "prior_xy_px": np.zeros((2, 2), np.float32),
        "prior_inv_var": np.zeros(2, np.float32),
    }
    peaks = []
    for precision in ("fp32", "fp16"):
        features = open_executor("onnxruntime", bundle, "reference_encoder", precision)
        maps = features.run({"image": window})
        answer = open_executor("onnxruntime", bundle, "localizer", precision).run({**given, **maps})
        peaks.append(answer["peak_similarity"])
    np.testing.assert_allclose(*peaks, rtol=2e-2)
