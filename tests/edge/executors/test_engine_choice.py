"""Which engine is opened, and what is said where none fits or one cannot be read."""

from __future__ import annotations

import gc
import os

import pytest
from advised_commands import parsed
from fake_engines import PLUGIN, write_fake_engine

from edge.bundle import LOCALIZER
from edge.engine_manifest import ENGINES_VARIABLE
from edge.errors import ExecutorError
from edge.executors.base import open_executor


def assert_nothing_is_left(gpu):
    gc.collect()
    gpu.assert_all_is_given_back()
    assert gpu.retained == 0


def advised(caught):
    """The commands in the advice of an error, parsed by the verbs that they name."""
    text = caught.value.do
    return parsed(text[text.index("tilefix ") :])


@pytest.fixture
def engines(tmp_path, monkeypatch, rig):
    """An empty folder in place of that with the fitting engines."""
    monkeypatch.setenv(ENGINES_VARIABLE, str(tmp_path / "others"))
    return tmp_path / "others" / "tiny"


def test_no_engine_is_an_error_with_the_command_that_builds_it(rig, engines):
    with pytest.raises(ExecutorError, match="no engine of the localizer in fp32") as caught:
        rig.open()
    assert caught.value.expected == f"an engine in {engines}"
    ((verb, told),) = advised(caught)
    assert (verb, told["bundle"], told["precision"]) == ("build", rig.bundle.path, "fp32")
    assert (told["toolkit"], told["target"]) == ("tensorrt", "local")
    assert rig.trt.knobs.log == [], "and nothing is built"
    assert_nothing_is_left(rig.gpu)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"compute_capabilities": ("8.6",), "gpu_name": ""}, "compute_capabilities 8.6"),
        ({"toolkit_version": "10.7.0"}, "toolkit_version 10.7.0"),
        ({"onnx_sha256": "ab" * 32}, f"onnx_sha256 {'ab' * 32}"),
    ],
)
def test_an_engine_of_something_else_is_refused_field_by_field(rig, engines, change, text):
    write_fake_engine(rig.bundle, LOCALIZER, plugin=PLUGIN, flags=("a=1",), **change)
    with pytest.raises(ExecutorError, match="the nearest one differs") as caught:
        rig.open()
    assert caught.value.found == text, "and in nothing that only a build decides"
    assert advised(caught)[0][0] == "build"
    assert rig.trt.knobs.log == []


def test_all_that_differs_is_listed(rig, engines):
    other = {"compute_capabilities": ("7.2",), "gpu_name": "Xavier", "toolkit_version": "8.5.2"}
    write_fake_engine(rig.bundle, LOCALIZER, **other)
    with pytest.raises(ExecutorError) as caught:
        rig.open()
    found = "toolkit_version 8.5.2; compute_capabilities 7.2; gpu_name Xavier"
    assert caught.value.found == found
    assert "compute_capabilities 8.7; gpu_name Fake GPU" in caught.value.expected


def test_an_engine_of_another_board_of_the_same_capability_runs_with_a_note(rig, engines):
    write_fake_engine(rig.bundle, LOCALIZER, gpu_name="Orin Nano")
    with rig.open() as executor:
        (note,) = executor.notes
    assert "'Orin Nano'" in note
    assert "'Fake GPU (16 SM)'" in note
    assert "capability 8.7" in note
    assert parsed(note[note.index("tilefix ") :])[0][1]["target"] == "local"


def test_an_engine_of_this_board_comes_before_a_newer_one_of_another(rig, engines):
    write_fake_engine(rig.bundle, LOCALIZER, click_buckets=(1, 2))
    write_fake_engine(rig.bundle, LOCALIZER, gpu_name="Orin Nano")
    with rig.open() as executor:
        assert executor.notes == ()
        assert executor._engine.contexts.buckets.sizes == (1, 2)


def test_the_engine_of_most_clicks_comes_first_and_then_the_newest(rig, engines):
    large = write_fake_engine(rig.bundle, LOCALIZER, click_buckets=(1, 8))
    small = write_fake_engine(rig.bundle, LOCALIZER, click_buckets=(1, 2))
    other = write_fake_engine(rig.bundle, LOCALIZER, click_buckets=(2, 8))
    for seconds, folder in ((2, large), (3, small), (1, other)):
        os.utime(folder / "engine.json", (seconds, seconds))
    with rig.open() as executor:
        assert executor._engine.contexts.buckets.sizes == (1, 8)
    os.utime(other / "engine.json", (4, 4))
    with rig.open() as executor:
        assert executor._engine.contexts.buckets.sizes == (2, 8)


def test_a_folder_that_cannot_be_read_blocks_no_engine_and_is_named(rig, engines):
    damaged = write_fake_engine(rig.bundle, LOCALIZER, flags=("a=1",))
    (damaged / "engine.json").write_text("{")
    with pytest.raises(ExecutorError, match="no engine of the localizer") as caught:
        rig.open()
    said = f"{damaged} cannot be read by this version of tilefix: delete it"
    assert caught.value.found == f"none of this graph; {said}"
    ((verb, told),) = advised(caught)
    assert (verb, told["force"]) == ("build", True), "it may lie where the new one goes"
    write_fake_engine(rig.bundle, LOCALIZER)
    with rig.open() as executor:
        assert executor.notes == (said,)


def test_options_of_a_gpu_are_refused_where_there_is_none(tiny_bundle):
    from edge.devices.base import DeviceOptions

    with pytest.raises(ExecutorError, match="onnxruntime runs on no GPU") as caught:
        open_executor("onnxruntime", tiny_bundle, LOCALIZER, device=DeviceOptions("pycuda"))
    assert caught.value.expected.endswith("tensorrt, tensorrt-rtx")
