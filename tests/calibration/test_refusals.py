"""What `tilefix calibrate` refuses, by the entry point of the console command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge.cli import main
from tests.support.made_flights import make_flight
from tests.support.small_calibration import make_places

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, once) -> Path:
    """bundle/, flight/ and map.mbtiles."""
    return make_places(tmp_path_factory.mktemp("refusals"), once)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--frames=nowhere", "--tiles=map.mbtiles", "--out=x"], 5, "nowhere"),
        (["--tiles=map.mbtiles", "--out=x"], 2, "no frames were given"),
        (["--frames=flight", "--tiles=map.mbtiles"], 2, "no place for the INT8 bundle"),
        (["--frames=flight", "--out=x"], 2, "no map was given"),
        (["--frames=flight", "--tiles=map.mbtiles", "--out=flight"], 14, "is already there"),
        (["--check=flight", "--out=x"], 2, "nothing to make"),
        (["--check=flight"], 15, "was not calibrated"),
        (["--frames=few", "--tiles=map.mbtiles", "--out=x"], 15, "too few frames"),
        (["--frames=black", "--tiles=map.mbtiles", "--out=x"], 15, "black"),
        (["--frames=flight", "--tiles=map.mbtiles", "--out=x", "--budget=-1"], 2, "budget"),
        (["--frames=flight", "--tiles=map.mbtiles", "--out=x", "--samples=none"], 2, "none"),
        (["--frames=flight", "--tiles=map.mbtiles", "--out=x", "--samples=flight"], 12, "rendered"),
        (["--frames=flight", "--out=x", "--telemetry=fligt=t.csv"], 2, "--telemetry flight=t.csv"),
        (["--frames=flight", "--out=x", "--season=fligt=wet"], 2, "--season flight=wet"),
        (
            ["--frames=flight", "--tiles=map.mbtiles", "--out=x", "--telemetry=flight=t.csv"],
            13,
            "t.csv",
        ),
        (
            [
                *("--frames=flight", "--tiles=map.mbtiles", "--out=x"),
                *("--frame-count=3", "--window-count=2"),
            ],
            2,
            "--frame-count 32 --window-count 16",
        ),
        (
            [
                *("--frames=flight", "--tiles=map.mbtiles", "--out=x"),
                *("--frame-count=4", "--window-count=16", "--candidates=8"),
            ],
            2,
            "give --frame-count 32",
        ),
        (["--frames=flight", "--out=x", "--shards=2", "--shard=2"], 2, "no such shard"),
        (["--frames=flight", "--out=x", "--shards=2", "--equalise"], 2, "not observed in shards"),
        (["--frames=flight", "--out=x", "--frames-per-window=0"], 2, "cannot serve"),
        (["--frames=flight", "--tiles=map.mbtiles", "--out=x", "--provider=cuda"], 9, "provider"),
    ],
)
def test_refusals(places, words, code, text, monkeypatch, tmp_path, capsys) -> None:
    """Through the entry point of the console command, which turns errors into exit codes."""
    monkeypatch.chdir(places)
    if "--frames=few" in words:
        make_flight(places / "few", 5)
    if "--frames=black" in words:
        make_flight(places / "black", 40, mean=0, spread=0)
    words = [word.replace("--out=x", f"--out={tmp_path / 'x'}") for word in words]
    monkeypatch.setattr(sys, "argv", ["tilefix", "calibrate", "bundle", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, text in said) == (code, True), said
    assert "expected:" in said
    assert not (tmp_path / "x").exists()
