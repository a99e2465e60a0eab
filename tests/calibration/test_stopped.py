"""Ctrl-C in `tilefix calibrate`: exit code 130, and where the work is kept."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import calibration.calibrate as course
import calibration.flight_check
from edge.cli import INTERRUPTED, tilefix
from edge.errors import DataError


def stopped(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("name", "more"), [("calibrate", []), ("observe_shard", ["--shard=0"])])
def test_it_says_where_the_work_is_kept_and_how_to_go_on(tmp_path, monkeypatch, name, more):
    monkeypatch.setattr(course, name, stopped)
    (tmp_path / "kept").mkdir()
    words = ["calibrate", "bundle", f"--out={tmp_path / 'out'}", f"--work={tmp_path / 'kept'}"]
    done = CliRunner().invoke(tilefix, [*words, *more])
    assert done.exit_code == INTERRUPTED == 130
    kept = f"what was done is kept in {tmp_path / 'kept'}: the same command goes on there"
    assert done.output.splitlines()[-2:] == [kept, "tilefix: interrupted"]


def test_where_nothing_was_done_yet_nothing_is_promised(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "calibrate", stopped)
    done = CliRunner().invoke(tilefix, ["calibrate", "bundle", f"--out={tmp_path / 'out'}"])
    assert (done.exit_code, done.output) == (INTERRUPTED, "tilefix: interrupted\n")


def test_a_check_keeps_nothing_and_promises_nothing(monkeypatch):
    monkeypatch.setattr(calibration.flight_check, "check_flight", stopped)
    done = CliRunner().invoke(tilefix, ["calibrate", "bundle", "--check=flight"])
    assert (done.exit_code, done.output) == (INTERRUPTED, "tilefix: interrupted\n")


def test_after_an_error_what_is_left_is_named(tmp_path, monkeypatch):
    """Only what this call made: a folder that was there may be anything."""
    work = tmp_path / "kept"

    def failed(request, told):
        work.mkdir(exist_ok=True)
        raise DataError("too few frames", expected="32", found="5", do="give more")

    monkeypatch.setattr(course, "calibrate", failed)
    words = ["calibrate", "bundle", f"--out={tmp_path / 'out'}", f"--work={work}"]
    done = CliRunner().invoke(tilefix, words)
    assert isinstance(done.exception, DataError)
    assert done.output == f"what was done until then is in {work}\n"
    assert CliRunner().invoke(tilefix, words).output == ""
