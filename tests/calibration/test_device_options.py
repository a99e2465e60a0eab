"""`tilefix calibrate` asks the device by itself, after all that can be refused was refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from calibration import calibrate as course
from calibration.calibrate import Step
from calibration.command import calibrate
from calibration.judging.device_latency import DeviceTrial
from calibration.judging.request import JudgeRequest
from calibration.request import CalibrationRequest
from edge.errors import CalibrationError


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
def test_the_options_reach_it_and_the_line_is_shown(seen, tmp_path, words, trial):
    done = CliRunner().invoke(calibrate, ["bundle", f"--out={tmp_path / 'int8'}", *words])
    assert isinstance(done.exception, Enough)
    assert seen.trial == trial
    assert "blocks are ranked by MACs: made up\n" in done.output


def test_a_run_that_only_compares_asks_no_device():
    done = CliRunner().invoke(calibrate, ["--check", "flight", "bundle", "--by-macs"])
    assert done.exit_code and "--by-macs" in str(done.exception)
