"""`tilefix calibrate --check` refuses what it would not read."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import calibration.flight_check
from calibration.command import READ_BY_CHECK, calibrate
from edge.errors import CalibrationError, SourceError, UsageError
from tests.support.made_flights import make_flight


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--shards=2"], "--shards"),
        (["--shard=0"], "--shard"),
        (["--shards=2", "--shard=1"], "--shards, --shard"),
        (["--frames=flight", "--out=x"], "--frames, --out"),
        (["--shards=1"], "--shards"),  # the default, and yet it was asked for
        (["--int8-features"], "--int8-features"),
        (["--provider=cuda", "--tiles=map", "--seed=3"], "--provider"),
    ],
)
def test_what_a_check_does_not_read_is_refused(words, found):
    done = CliRunner().invoke(calibrate, ["nowhere", "--check=flight", *words])
    error = done.exception
    assert isinstance(error, UsageError)
    assert error.what == "--check only compares, so there is nothing to make"
    assert error.expected.startswith("--check FLIGHT BUNDLE, with --tiles")
    assert error.found == found
    assert error.do == "leave it out, or leave --check out"


def test_what_a_check_reads_is_handed_on(monkeypatch):
    asked = []

    def stop(request, progress):
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(calibration.flight_check, "check_flight", stop)
    words = ["bundle", "--check=flight", "--tiles=map", "--seed=3", "--threads=1"]
    CliRunner().invoke(calibrate, words)
    (request,) = asked
    assert (request.seed, request.threads) == (3, 1)
    names = {each.name for each in calibrate.params}
    assert names >= set(READ_BY_CHECK), "each is an option"


@pytest.mark.parametrize("count", [0, 3])
def test_what_is_wrong_with_the_flight_is_told_of_check(monkeypatch, tmp_path, count):
    """And not of --frames, which it does not take."""
    flight = tmp_path / "flight"
    if count:
        make_flight(flight, count)
    spec = SimpleNamespace(
        frame=SimpleNamespace(width_px=64, height_px=64),
        window=SimpleNamespace(width_px=128, height_px=128, gsd_m=0.25),
    )
    bundle = SimpleNamespace(manifest=spec)
    monkeypatch.setattr(calibration.flight_check.Bundle, "open", lambda path: bundle)
    monkeypatch.setattr(calibration.flight_check, "ranges_of", lambda bundle: None)
    monkeypatch.setattr(calibration.flight_check, "calibrated_graphs", lambda *given: bundle)
    done = CliRunner().invoke(calibrate, ["bundle", f"--check={flight}"])
    error = done.exception
    assert isinstance(error, CalibrationError if count else SourceError)
    assert "with --check" in error.do and "--frames" not in error.do
