"""Engines that put out their taps: where their plugin comes from."""

from __future__ import annotations

import msgspec
import pytest
from advised_commands import parsed

from edge.bundle import Bundle, write_bundle
from edge.engine_manifest import ENGINE_FILE, PLUGIN_FILE, engines_folder, read_engine
from edge.errors import ExecutorError
from export.engines.build import build_engine
from export.engines.device import Gpu
from export.verification.tapped_engine import build_tapped

ORIN = Gpu("Orin", 87)


@pytest.fixture
def copy(bundle, tmp_path) -> Bundle:
    """Of another name, as the one with taps is."""
    manifest = msgspec.structs.replace(bundle.manifest, name="small-taps")
    files = {name: bundle.file(name) for name in bundle.manifest.files}
    return write_bundle(tmp_path / "copy", manifest, files)


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr("export.engines.device.local_gpu", lambda: ORIN)


def test_the_plugin_is_that_of_the_engine_which_is_there(bundle, copy, settings, here):
    there = build_engine(bundle, "localizer", "fp16", settings())
    said = []
    build_tapped(copy, bundle, "tensorrt", "fp16", None, said.append)
    assert said[0] == f"tensorrt/fp16: the plugin is that of the engine {there.folder}"
    made = {}
    for path in engines_folder(copy).iterdir():
        manifest = read_engine(path)
        made[manifest.key.kind] = manifest.key.plugin_sha256
    assert made == {
        "reference_encoder": "",
        "localizer": there.manifest.key.plugin_sha256,
    }
    assert len(list(engines_folder(bundle).iterdir())) == 1, "the bundle's own are left alone"


def test_a_plugin_that_is_given_comes_first(bundle, copy, settings, make_plugin, here):
    build_engine(bundle, "localizer", "fp16", settings())
    said = []
    build_tapped(copy, bundle, "tensorrt", "fp16", make_plugin("other"), said.append)
    assert not any("the plugin is that of" in line for line in said)


def test_without_an_engine_the_whole_command_is_named(bundle, copy, full_toolkit, here):
    full_toolkit()
    with pytest.raises(ExecutorError) as error:
        build_tapped(copy, bundle, "tensorrt", "fp16", None, print)
    assert error.value.expected.startswith("--plugin FOLDER, or an engine")
    assert "there is no engine of the localizer in fp16 for this device" in error.value.found
    (first, compiled), (second, built), (third, verified) = parsed(error.value.do)
    assert (first, second, third) == ("plugin build", "build", "verify")
    assert compiled["arch"] == "87" and compiled["out"] == built["plugin"]
    assert built["bundle"] == verified["bundle"] == bundle.path
    assert (verified["taps"], verified["executors"]) == (True, "tensorrt")
    assert built["precision"] == verified["precision"] == "fp16"


@pytest.mark.parametrize("part", [PLUGIN_FILE, ENGINE_FILE])
def test_a_damaged_engine_gives_no_plugin(bundle, copy, settings, here, part):
    there = build_engine(bundle, "localizer", "fp16", settings())
    (there.folder / part).write_bytes(b"other")
    with pytest.raises(ExecutorError) as error:
        build_tapped(copy, bundle, "tensorrt", "fp16", None, print)
    assert f"the engine in {there.folder} cannot be used" in error.value.found
