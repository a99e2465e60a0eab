"""The plugin of an engine: verified, and fit for what it is built for."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from edge.engine_manifest import PLUGIN_FILE
from edge.errors import ExecutorError
from export.engines.build import build_engine
from export.engines.graph_facts import read_graph
from export.engines.plugin_choice import choose_plugin
from export.plugin.build import LIBRARY, sha256_of


@pytest.fixture
def facts(bundle):
    return read_graph(bundle.graph("localizer", "fp16"))[1]


@pytest.fixture
def target(full_toolkit):
    return full_toolkit()


def test_a_plugin_that_fits(facts, target, make_plugin):
    folder = make_plugin()
    found = choose_plugin(folder, facts, target)
    assert found is not None
    assert found.library == (folder / LIBRARY).resolve()
    assert found.sha256 == sha256_of(folder / LIBRARY) and found.notes == ()


def test_an_engine_brings_its_plugin(bundle, facts, settings, target):
    there = build_engine(bundle, "localizer", "fp16", settings())
    found = choose_plugin(there.folder, facts, target)
    assert found is not None and found.library == (there.folder / PLUGIN_FILE).resolve()
    assert found.sha256 == sha256_of(found.library)
    copied = shutil.copytree(there.folder, bundle.path.parent / "a copy of another name")
    assert choose_plugin(copied, facts, target).sha256 == found.sha256
    with pytest.raises(ExecutorError) as error:
        choose_plugin(there.folder, facts, replace(target, capabilities=(87, 110)))
    assert (error.value.expected, error.value.found) == ("a plugin for 8.7, 11.0", "8.7")
    plain = build_engine(bundle, "reference_encoder", "fp16", settings("10.3.0.31"))
    with pytest.raises(ExecutorError) as error:
        choose_plugin(plain.folder, facts, target)
    assert error.value.found == "an engine without one"


def test_gpus_that_the_kernels_cannot_run_on(facts, target, make_plugin):
    """Before Ampere there is no cp.async; a graph without custom nodes asks for no kernel."""
    old = replace(target, capabilities=(75, 86))
    with pytest.raises(ExecutorError) as error:
        choose_plugin(make_plugin(archs=[75, 86]), facts, old)
    assert error.value.what == "the plugin has no kernels for sm75"
    assert error.value.expected.startswith("sm80 or newer, for TileAttention")
    assert "--precision fp32" in error.value.do
    assert choose_plugin(None, replace(facts, custom_nodes=()), old) is None


def test_a_graph_without_custom_nodes_takes_none(facts, target, make_plugin):
    plain = replace(facts, custom_nodes=())
    assert choose_plugin(None, plain, target) is None
    assert choose_plugin(make_plugin(), plain, target) is None


def test_code_that_is_compiled_when_loaded_is_a_note(facts, target, make_plugin):
    target = replace(target, capabilities=(87, 120))
    found = choose_plugin(make_plugin(archs=[80, 87]), facts, target)
    assert found is not None and len(found.notes) == 1
    assert found.notes[0].startswith("the plugin has no machine code for sm120: the driver")


@pytest.mark.parametrize(
    ("changed", "expected", "found"),
    [
        ({"archs": [90, 110]}, "code for sm87", "code for sm90, sm110 alone"),
        ({"target": "riscv64"}, "a library for ", "riscv64"),
        ({"tensorrt_headers": None}, "a plugin with the TensorRT shell", "kernels only"),
    ],
)
def test_a_plugin_that_does_not_fit(facts, target, make_plugin, changed, expected, found):
    folder = make_plugin(**changed)
    with pytest.raises(ExecutorError) as error:
        choose_plugin(folder, facts, target)
    assert error.value.what == f"the plugin in {folder} does not fit this build"
    assert error.value.expected.startswith(expected) and error.value.found == found
    assert error.value.do == (
        f"tilefix plugin build --arch 87 --out {folder}, and give it: --plugin {folder}"
    )


def test_an_altered_plugin(facts, target, make_plugin):
    folder = make_plugin()
    (folder / LIBRARY).write_bytes(b"another library")
    with pytest.raises(ExecutorError) as error:
        choose_plugin(folder, facts, target)
    assert error.value.what == f"the plugin in {folder} cannot be used"
    assert error.value.do == f"build it again: tilefix plugin build --arch 87 --out {folder}"


def test_a_folder_without_a_plugin(facts, target, tmp_path):
    with pytest.raises(ExecutorError) as error:
        choose_plugin(tmp_path / "nothing", facts, target)
    assert error.value.do == (
        f"build it again: tilefix plugin build --arch 87 --out {tmp_path / 'nothing'}"
    )


def test_what_is_no_plugin_is_not_built_over(bundle, facts, target, make_plugin):
    """A bundle, a file of some kind, the library itself."""
    made = "tilefix plugin build --arch 87 --out plugin"
    for path in (bundle.path, bundle.graph("localizer", "fp16")):
        with pytest.raises(ExecutorError) as error:
            choose_plugin(path, facts, target)
        assert error.value.do == f"give the folder of a plugin; {made} makes one"
    library = make_plugin() / LIBRARY
    with pytest.raises(ExecutorError) as error:
        choose_plugin(library, facts, target)
    assert error.value.do == f"give the folder that it is in: --plugin {library.parent}"
