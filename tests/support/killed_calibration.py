"""`tilefix calibrate` in a process of its own, killed where its work folder shows something."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

Lines = dict[str, list[str]]  # name of a line file in the judge's folder -> keys of whole lines


def killed_when(words: Sequence[str], reached: Callable[[], bool], limit_s: float = 300) -> None:
    """Run the command and end it with SIGKILL as soon as `reached`.

    Raises:
        RuntimeError: it ended by itself, or took too long.
    """
    command = [sys.executable, "-m", "edge.cli", "calibrate", *words]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    end_s = time.monotonic() + limit_s
    try:
        while not reached():
            if process.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError(f"not killed in its midst: {process.poll()}")
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def judge_lines(work: Path) -> Lines:
    """What the judge has finished so far."""
    found = {}
    for path in sorted((work / "judge").glob("*.jsonl")):
        whole = path.read_bytes().rpartition(b"\n")[0]
        found[path.name] = [json.loads(line)["key"] for line in whole.splitlines()]
    return found
