"""The advised command can be run as it stands: the real verbs parse it."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
import pytest
from advised_commands import parsed

from edge.engine_command import build_command, rebuild_command, replay_command
from edge.engine_manifest import EngineKey
from edge.precisions import short_name

BUNDLE = Path("/data/my bundles/it's lite")
KEY = EngineKey(
    kind="localizer",
    toolkit="tensorrt_rtx",
    toolkit_version="1.7",
    onnx_sha256="",
    precision="fp16",
    compute_capabilities=("8.6", "12.0"),
    plugin_sha256="aa",
    click_buckets=(1, 8),
)


def test_a_plain_precision_is_one_command():
    text = build_command(BUNDLE, "fp32", toolkit="tensorrt_rtx", target="sm86,sm89", force=True)
    ((verb, told),) = parsed(text)
    assert verb == "build"
    assert (told["bundle"], told["precision"]) == (BUNDLE, "fp32")
    assert (told["toolkit"], told["target"], told["force"]) == ("tensorrt-rtx", "sm86,sm89", True)
    assert told["plugin"] is None


@pytest.mark.parametrize("precision", ["fp16", "int8", "auto"])
def test_the_plugin_is_built_first_where_there_is_none(precision):
    text = build_command(BUNDLE, precision, capabilities=("8.7", "11.0"), buckets=(1, 8))
    (first, compiled), (second, told) = parsed(text)
    assert (first, second) == ("plugin build", "build")
    assert (compiled["arch"], compiled["out"]) == ("87,110", told["plugin"])
    assert (told["precision"], told["buckets"], told["target"]) == (precision, "1,8", "local")
    assert not told["force"]


def test_a_plugin_that_is_there_is_given():
    ((verb, told),) = parsed(build_command(BUNDLE, "fp16", plugin=Path("/opt/my plugin")))
    assert verb == "build"
    assert told["plugin"] == Path("/opt/my plugin")


def test_what_could_not_be_run_would_be_found_out():
    for text in ("tilefix plugin build", "tilefix build --colour red", "tilefix bake"):
        with pytest.raises(click.UsageError):
            parsed(text)


def test_an_engine_is_built_again_as_it_was():
    (_, compiled), (_, told) = parsed(rebuild_command(BUNDLE, KEY))
    assert compiled["arch"] == "86,120"
    assert (told["bundle"], told["precision"], told["toolkit"]) == (BUNDLE, "fp16", "tensorrt-rtx")
    assert (told["target"], told["buckets"]) == ("sm86,sm120", "1,8")
    assert told["force"] and told["graph"] is None


def test_an_encoder_without_the_plugin_is_built_again_alone():
    key = msgspec.structs.replace(
        KEY, kind="reference_encoder", toolkit="tensorrt", plugin_sha256="", click_buckets=()
    )
    ((verb, told),) = parsed(rebuild_command(BUNDLE, key))
    assert verb == "build"
    assert (told["graph"], told["target"], told["plugin"]) == ("encoder", "local", None)


def test_int8_is_asked_for_by_its_short_name():
    """Folders are named int8+fp16; the verbs know which form an executor takes."""
    key = msgspec.structs.replace(KEY, precision="int8+fp16")
    (_, (_, told)) = parsed(rebuild_command(BUNDLE, key))
    assert told["precision"] == "int8"
    assert [short_name(each) for each in ("int8+fp32", "int8", "fp16")] == ["int8", "int8", "fp16"]


def test_a_replay_finds_the_very_engine():
    key = msgspec.structs.replace(KEY, precision="int8+fp16")
    command = replay_command(BUNDLE, key, Path("/data/engines/0123"), selection=True)
    ((verb, told),) = parsed(command)
    assert (verb, told["precision"], told["target"]) == ("build", "int8", "sm86,sm120")
    assert (told["plugin"], told["buckets"]) == (Path("/data/engines/0123"), "1,8")
    assert told["replay"] == Path(f"{BUNDLE}.work/selection")
    assert not told["force"] and told["graph"] is None
    plain = msgspec.structs.replace(key, plugin_sha256="", toolkit="tensorrt")
    command = replay_command(BUNDLE, plain, Path("/data/engines/0123"), selection=False)
    ((_, told),) = parsed(command)
    assert (told["plugin"], told["target"]) == (None, "local")
    assert told["replay"] is None, "the bundle carries the pictures"
