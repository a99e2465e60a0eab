"""What `tilefix calibrate` is given in tests: a small `lite`, a flight and a map."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result
from exported_once import settled_graphs
from made_once import MadeOnce

from calibration.command import calibrate
from edge.bundle import LOCALIZER
from export.localizer_parts import localizer_parts
from tests.support.made_flights import make_flight, make_map
from tests.support.settled_lite import settled_bundle

FRAMES, WINDOWS = 32, 16


def make_places(home: Path, once: MadeOnce) -> Path:
    """Fill a folder with bundle/, flight/ and map.mbtiles."""
    _, graphs = settled_graphs(once)
    whole = graphs[f"graphs/fp32/{LOCALIZER}.onnx"].read_bytes()
    settled_bundle({**graphs, **localizer_parts(whole, "fp32")}, home / "bundle")
    make_flight(home / "flight", FRAMES + 4)
    make_map(home / "map.mbtiles", side_tiles=7)
    return home


def words_of(home: Path, out: Path, *more: str) -> list[str]:
    """The command's words: the bundle, all of the flight and of the map."""
    return [
        str(home / "bundle"),
        f"--frames={home / 'flight'}",
        f"--tiles={home / 'map.mbtiles'}",
        f"--out={out}",
        f"--frame-count={FRAMES}",
        f"--window-count={WINDOWS}",
        "--threads=1",
        *more,
    ]


def run(home: Path, out: Path, *more: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(calibrate, words_of(home, out, *more), catch_exceptions=False)
