"""Run by a test: select, and be killed where it says: `STAGE COUNT`, or `half-written COUNT`."""

import os
import signal
import sys
from pathlib import Path

from made_flights import make_request

import calibration.selection.scan as scan
import calibration.selection.windows as windows
import calibration.selection.working_folder as working_folder
from calibration.selection.selector import select

flight, video, tiles, out, where, count = sys.argv[1:]
scan.SHARD = windows.SHARD = 4  # the same in every run of the test
calls = {"all": 0}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def progress(at) -> None:
    if at.stage == where:
        calls["all"] += 1
        if calls["all"] == int(count):
            die()


def half_written(target: Path, data: bytes) -> None:
    calls["all"] += 1
    if calls["all"] == int(count):
        target.with_name(target.name + ".part").write_bytes(data[: len(data) // 2])
        die()
    whole(target, data)


whole = working_folder.write_whole
if where == "half-written":
    working_folder.write_whole = half_written
if where == "renaming":
    Path.rename = lambda self, target: die()
select(make_request([flight, video], [tiles]), Path(out), progress)
