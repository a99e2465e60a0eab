"""SIGKILL at every stage, and the same bytes in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_flights import make_flight, make_map, make_video

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tests/support/killable_selection.py"


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("town")
    make_flight(folder / "flight", 10)
    make_video(folder / "film.avi", 10, first_seed=200)
    make_map(folder / "map.mbtiles")
    run(folder, folder / "whole", "never", 0, ends=0)
    return folder


def run(town: Path, out: Path, where: str, count: int, ends: int) -> None:
    names = [town / name for name in ("flight", "film.avi", "map.mbtiles")]
    done = subprocess.run(
        [sys.executable, SCRIPT, *names, out, where, str(count)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{SCRIPT.parent}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == ends, done.stderr


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# 10 pictures and 10 frames of video in shards of 4: the fourth report is inside the video.
# Threads may have written all frames by the third report; the ninth is then the seventh window.
@pytest.mark.slow
@pytest.mark.parametrize(
    "kills",
    [
        [("frames", 1), ("frames", 5), ("windows", 2)],
        [("choosing", 1), ("writing", 3), ("writing", 9)],
        [("half-written", 1), ("half-written", 5), ("half-written", 18)],
        [("renaming", 1), ("renaming", 1)],
    ],
    ids=lambda kills: kills[0][0],
)
def test_killed_again_and_again(town, tmp_path, kills):
    for where, count in kills:
        run(town, tmp_path / "out", where, count, ends=-signal.SIGKILL)
        assert not (tmp_path / "out").exists()
    run(town, tmp_path / "out", "never", 0, ends=0)
    assert content(tmp_path / "out") == content(town / "whole")
    assert not (tmp_path / "out.part").exists()
