"""`tilefix calibrate` asks the device by itself, after all that can be refused was refused."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from made_plugin import made_plugin

from calibration import calibrate as course
from calibration.calibrate import Step
from calibration.command import calibrate
from calibration.judging.device_latency import DeviceTrial
from calibration.judging.request import JudgeRequest
from calibration.request import CalibrationRequest
from edge.engine_manifest import (
    ENGINE_FILE,
    PLUGIN_FILE,
    EngineKey,
    EngineManifest,
    LayerSummary,
    write_engine,
)
from edge.errors import CalibrationError, ExecutorError, UsageError
from export.plugin.build import LIBRARY


class Enough(Exception):  # noqa: N818 - no error: the course ends where the test has seen it
    pass


@pytest.fixture
def seen(monkeypatch, tmp_path) -> SimpleNamespace:
    """The course with everything made up but its order; it ends when the device is asked."""
    found = SimpleNamespace(order=[], trial=None, steps=[])

    def ranked(request, trial, told) -> None:
        found.order.append("device")
        found.trial = trial
        told("blocks are ranked by MACs: made up", 0, 0)
        raise Enough

    made = SimpleNamespace(ranges={}, selection=None)
    monkeypatch.setattr(course, "open_float", lambda path: "bundle")
    monkeypatch.setattr(course, "float_source", lambda request, bundle: ("bundle", ""))
    monkeypatch.setattr(course, "observe", lambda *_: made)
    monkeypatch.setattr(course, "FloatGraphs", lambda *_: "graphs")
    monkeypatch.setattr(course, "shifts_of", lambda *_: {})
    monkeypatch.setattr(course, "ranked_on_device", ranked)
    monkeypatch.setattr(course, "judge", lambda *_: pytest.fail("the device comes first"))
    monkeypatch.setattr(JudgeRequest, "check", lambda self: found.order.append("check"))
    found.request = CalibrationRequest(Path("bundle"), tmp_path / "out", frames=(), maps=())
    return found


def test_the_device_is_asked_by_itself_once_the_request_was_checked(seen):
    with pytest.raises(Enough):
        course.calibrate(seen.request, seen.steps.append)
    assert seen.order == ["check", "device"]
    assert seen.trial == DeviceTrial(by_macs=False, plugin=None)
    assert seen.steps == [Step("blocks are ranked by MACs: made up", 0, 0)]


def test_what_cannot_be_meant_is_refused_before_engines_are_built(seen, monkeypatch):
    def refuse(self) -> None:
        raise CalibrationError("stale", expected="a", found="b", do="c")

    monkeypatch.setattr(JudgeRequest, "check", refuse)
    with pytest.raises(CalibrationError, match="stale"):
        course.calibrate(seen.request)
    assert seen.order == []


@pytest.mark.parametrize(
    ("words", "trial"),
    [
        ([], DeviceTrial()),
        (["--by-macs"], DeviceTrial(by_macs=True)),
        (["--plugin", "built"], DeviceTrial(plugin=Path("built"))),
    ],
)
def test_the_options_reach_it_and_the_line_is_shown(seen, tmp_path, monkeypatch, words, trial):
    made_plugin(tmp_path / "built")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(calibrate, ["bundle", f"--out={tmp_path / 'int8'}", *words])
    assert isinstance(done.exception, Enough)
    assert seen.trial == trial
    assert "blocks are ranked by MACs: made up\n" in done.output


def test_a_plugin_that_nobody_would_read_is_refused_before_any_work(seen, tmp_path):
    made_plugin(tmp_path / "built")
    words = ["bundle", f"--out={tmp_path / 'int8'}", "--by-macs", f"--plugin={tmp_path / 'built'}"]
    error = CliRunner().invoke(calibrate, words).exception
    assert isinstance(error, UsageError) and not seen.order
    assert error.what == "blocks that are ranked by MACs are not timed, so no plugin is read"
    assert error.expected == "--by-macs or --plugin"
    assert error.do == "leave one of them out"


def test_a_plugin_that_is_none_is_refused_before_any_work(seen, tmp_path):
    """Not after hours, and not in silence: blocks would be ranked by MACs."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("of something else")
    made_plugin(tmp_path / "altered")
    (tmp_path / "altered" / LIBRARY).write_bytes(b"another library")
    for name, found, do in (
        ("missing", "No such file", "build it again: tilefix plugin build"),
        ("empty", "No such file", "build it again: tilefix plugin build"),
        ("full", "No such file", "give the folder of a plugin"),
        ("altered", "sha256 ", "build it again: tilefix plugin build --arch 87"),
    ):
        folder = tmp_path / name
        with pytest.raises(ExecutorError) as caught:
            course.calibrate(dataclasses.replace(seen.request, plugin=folder))
        error = caught.value
        assert error.what == f"the plugin in {folder} cannot be used" and error.expected
        assert found in error.found and error.do.startswith(do), name
    assert seen.order == []


def test_a_plugin_may_be_that_of_an_engine(seen, tmp_path):
    def engine(**key: str) -> Path:
        made = EngineManifest(
            schema="",
            key=EngineKey(
                kind="localizer",
                toolkit="tensorrt",
                toolkit_version="10.3.0",
                onnx_sha256="0" * 64,
                precision="fp16",
                compute_capabilities=("8.7",),
                **key,
            ),
            engine_sha256=hashlib.sha256(b"plan").hexdigest(),
            engine_bytes=4,
            inputs=(),
            outputs=(),
            layers=LayerSummary(layers=0, plugin_layers=0),
        )
        return write_engine(tmp_path, made, {ENGINE_FILE: b"plan", PLUGIN_FILE: b"a library"})

    with_it = engine(plugin_sha256=hashlib.sha256(b"a library").hexdigest())
    with pytest.raises(Enough):
        course.calibrate(dataclasses.replace(seen.request, plugin=with_it))
    with pytest.raises(UsageError, match="has no plugin"):
        course.calibrate(dataclasses.replace(seen.request, plugin=engine()))


def test_a_run_that_only_compares_asks_no_device():
    done = CliRunner().invoke(calibrate, ["--check", "flight", "bundle", "--by-macs"])
    assert done.exit_code and "--by-macs" in str(done.exception)
