"""Starts the process of a build, says how far it is, and survives whatever becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

import export
from edge.errors import ExecutorError
from export.engines.builder_errors import no_memory
from export.engines.job import JOB_FILE, LOG_FILE, REPORT_FILE, BuildJob, BuildReport
from export.engines.memory import taken_bytes

WORKER = "export.engines.worker"
PATH = "PYTHONPATH"
STEP_S = 0.1
LINE_EVERY_S = 5.0
TAIL_LINES = 3
KILLED = signal.SIGKILL


def run_job(
    job: BuildJob,
    environment: dict[str, str],
    *,
    title: str,
    expected_s: float,
    progress: Callable[[str], None],
    worker: str = WORKER,
) -> BuildReport:
    """Run one build in a process of its own and wait for it.

    Args:
        job: what to build; its folder exists.
        environment: variables beside those of this process.
        title: "localizer fp16", for people.
        expected_s: how long it should take.
        progress: takes a line every few seconds.
        worker: module to run.

    Raises:
        ExecutorError: the build was refused, took more memory than its limit, or its process ended
            without a report.
    """
    folder = Path(job.folder)
    (folder / JOB_FILE).write_bytes(msgspec.json.encode(job))
    # The very copy of tilefix that runs here, however it was found.
    paths = [str(Path(export.__file__).resolve().parent.parent), *filter(None, [os.getenv(PATH)])]
    start_s = time.monotonic()
    with (folder / "stderr.txt").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", worker, str(folder / JOB_FILE)],
            cwd=folder,  # python -m looks there first: a folder of the user's may have an `edge`
            env={**os.environ, **environment, PATH: os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C comes here first, and ends it below
        )
        next_line_s = start_s + LINE_EVERY_S
        try:
            while process.poll() is None:
                time.sleep(STEP_S)
                taken = taken_bytes(process.pid)
                if job.limit_bytes is not None and taken > job.limit_bytes:
                    raise no_memory(job, f"it took {taken >> 20} MB, and was ended")
                if time.monotonic() >= next_line_s:
                    progress(f"{title}: {next_line_s - start_s:.0f} s, expected {expected_s:.0f} s")
                    next_line_s += LINE_EVERY_S
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    report = folder / REPORT_FILE
    if process.returncode != 0 or not report.is_file():
        raise _ended(job, process.returncode, folder)
    done = msgspec.json.decode(report.read_bytes(), type=BuildReport)
    if done.failure is not None:
        failure = done.failure
        raise ExecutorError(
            failure.what, expected=failure.expected, found=failure.found, do=failure.do
        )
    return done


def _ended(job: BuildJob, code: int, folder: Path) -> ExecutorError:
    """The process is gone and left no report."""
    last = _tail(folder / "stderr.txt") or "it said nothing"
    if code in (-KILLED, 128 + KILLED):
        return no_memory(
            job, "its process was killed (SIGKILL), as the kernel does for want of memory"
        )
    if "bad_alloc" in last or "MemoryError" in last:
        return no_memory(job, last)
    how = f"ended with exit code {code}"
    if code < 0:
        how = f"was ended by {signal.Signals(-code).name}"
    logged = _tail(folder / LOG_FILE) or "the builder's log is empty"
    return ExecutorError(
        "the process that builds the engine ended without an answer",
        expected="an engine, or a reason why there is none",
        found=f"it {how}: {last}; the log ends: {logged}",
        do="run again with --logs FOLDER and report its end, with the version of TensorRT",
    )


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return " | ".join(line.strip()[:200] for line in lines[-TAIL_LINES:])
