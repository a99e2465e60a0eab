"""The process that times the layers of two engines: `python -m export.engines.layer_timing JOB`.

It is a process of its own because a library or a driver that aborts, or a device that hangs, may
end this measurement and nothing else: whoever asks for it has hours of other work in its hands.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

import export
from edge.devices.base import open_device
from edge.engine_manifest import read_engine
from edge.errors import ExecutorError, TilefixError
from edge.executors.engine_choice import ChosenEngine
from edge.executors.trt_runtime import load_tensorrt
from export.engines.job import Failure
from export.engines.layer_times import RUNS, EngineTimes, time_layers

WORKER = "export.engines.layer_timing"
JOB_FILE, REPORT_FILE, STDERR_FILE = "timing.json", "times.json", "timing.stderr"
TIMEOUT_S = 600.0  # a hundred runs take seconds: it hangs
PATH = "PYTHONPATH"


class TimingJob(msgspec.Struct, frozen=True, kw_only=True):
    """Engines of one graph that shall run by turns."""

    toolkit: str  # "tensorrt", "tensorrt_rtx"
    engines: tuple[str, ...]  # absolute paths of their folders
    features: tuple[str, ...]  # names of the inputs that stay on the device
    clicks: int  # of a run
    runs: int = RUNS


class TimingReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a job."""

    failure: Failure | None = None
    engines: tuple[EngineTimes, ...] = ()  # in the order of the job


def run_timing(
    job: TimingJob, folder: Path, worker: str = WORKER, timeout_s: float = TIMEOUT_S
) -> tuple[EngineTimes, ...]:
    """Time engines in a process of its own and wait for it.

    Args:
        job: which engines.
        folder: for its files; it exists.
        worker: module to run.
        timeout_s: after which it is ended.

    Raises:
        ExecutorError: the measurement was refused, failed or hung, or its process died.
    """
    (folder / JOB_FILE).write_bytes(msgspec.json.encode(job))
    report = folder / REPORT_FILE
    report.unlink(missing_ok=True)
    # The very copy of tilefix that runs here, however it was found.
    paths = [str(Path(export.__file__).resolve().parent.parent), *filter(None, [os.getenv(PATH)])]
    with (folder / STDERR_FILE).open("w") as said:
        try:
            done = subprocess.run(
                [sys.executable, "-m", worker, str((folder / JOB_FILE).resolve())],
                cwd=folder,  # python -m looks there first: the user's may have an `edge`
                env={**os.environ, PATH: os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=timeout_s,
                check=False,
                start_new_session=True,  # Ctrl-C comes here first, and ends it as well
            )
        except subprocess.TimeoutExpired as error:
            raise _ended(f"it said nothing for {timeout_s:g} s, and was ended") from error
    if done.returncode != 0 or not report.is_file():
        raise _ended(_how(done.returncode, folder / STDERR_FILE))
    found = msgspec.json.decode(report.read_bytes(), type=TimingReport)
    if found.failure is not None:
        failed = found.failure
        raise ExecutorError(failed.what, expected=failed.expected, found=failed.found, do=failed.do)
    return found.engines


def time_engines(job: TimingJob) -> tuple[EngineTimes, ...]:
    """Time engines in this process.

    Raises:
        ExecutorError: no library, driver or GPU; an engine that is damaged or does not load; see
            `time_layers`.
    """
    trt = load_tensorrt(job.toolkit, job.toolkit.replace("_", "-"))
    folders = [Path(each) for each in job.engines]
    chosen = [ChosenEngine(each, read_engine(each), rebuild=f"remove {each}") for each in folders]
    device = open_device()
    try:
        return time_layers(trt, device, chosen, job.features, job.clicks, job.runs)
    finally:
        with suppress(ExecutorError):  # a device that failed refuses all that follows
            device.close()


def main(path: str) -> None:
    """Time what a job file says and write the report beside it."""
    job = msgspec.json.decode(Path(path).read_bytes(), type=TimingJob)
    try:
        report = TimingReport(engines=time_engines(job))
    except TilefixError as error:
        report = TimingReport(failure=Failure.of(error))
    Path(path).with_name(REPORT_FILE).write_bytes(msgspec.json.encode(report))


def _how(code: int, said: Path) -> str:
    lines = said.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}: {last[:200]}"
    return f"it ended with exit code {code}: {last[:200]}"


def _ended(found: str) -> ExecutorError:
    return ExecutorError(
        "the process that times the engine's layers ended without an answer",
        expected="the time of every layer, or a reason why there is none",
        found=found,
        do="check the device with `tilefix doctor`",
    )


if __name__ == "__main__":
    main(sys.argv[1])
