"""What `tilefix bench` does without a subcommand: measure, score, and say what came of it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from benchmarks.cross_check import cross_check_run, find_tool
from benchmarks.record.file import FILE_NAME, RecordFile
from benchmarks.record.lines import CacheState, Scenario, Settings
from benchmarks.record.runs import Run, read_runs
from benchmarks.scenarios.flights import open_flight
from benchmarks.scenarios.measured import device_for
from benchmarks.scenarios.memory_need import check_memory
from benchmarks.scenarios.plan import Planned, plan
from benchmarks.scenarios.session import Done, Session
from benchmarks.scenarios.summary import print_run
from benchmarks.sensors.sampler import Sampler
from edge.assembly import ExecutorChoice, open_bundle
from edge.commands.executor_options import check_run, device_options, tell
from edge.executors.base import ON_DEVICE
from edge.graceful_stop import GracefulStop
from edge.result_folder import check_folder

INTERRUPTED = 130
IDLE_S, QUICK_IDLE_S = 10.0, 2.0


def measure_command(
    *,
    quick: bool,
    out: Path,
    bundle: str | None,
    executor: str,
    precision: str,
    device_backend: str | None,
    no_cuda_graphs: bool,
    threads: int,
    pairs: Path | None,
    clicks: int,
    rate_hz: float,
    hit_rate: float,
    scenarios: tuple[str, ...],
    states: tuple[str, ...],
    peers: bool,
    redo: tuple[str, ...],
    cross_check: bool,
    minutes: float | None,
    soak_minutes: float,
    seed: int,
) -> None:
    """Measure as the options say. Ends the process with 130 after Ctrl-C.

    Raises:
        TilefixError: see the parts.
    """
    import cv2

    check_folder(out)
    planned = plan([Scenario(s) for s in scenarios], [CacheState(s) for s in states], clicks)
    opened = open_bundle(bundle)
    check_run(opened, executor, precision)
    if cross_check:
        find_tool(executor)  # not after an hour
    cv2.setNumThreads(threads)
    device = device_for(executor, device_options(device_backend, no_cuda_graphs))
    choice = ExecutorChoice(executor, precision, threads, device)
    flight = open_flight(pairs)
    settings = Settings(
        quick=quick,
        seed=seed,
        clicks=clicks,
        hit_rate=hit_rate,
        rate_hz=rate_hz,
        pairs=flight.name,
        pairs_sha256=flight.sha256,
        minutes=minutes,
        soak_minutes=soak_minutes,
    )
    check_memory(planned, settings, len(flight.shots))
    command = shlex.join(["tilefix", *sys.argv[1:]])
    idle_s = QUICK_IDLE_S if quick else IDLE_S
    with (
        RecordFile(out / FILE_NAME) as record,
        Sampler(idle_s=idle_s, gpu=executor in ON_DEVICE) as sampler,
        GracefulStop("query") as stop,
    ):
        parts = flight, opened, choice, settings, command, record, sampler, stop, _say
        session = Session(*parts)
        tell(session.measuring.localizer.notes)
        try:
            done = _run(session, planned, stop, peers=peers, redo=redo)
            stopped = stop.requested
            (run,) = [each for each in read_runs(out) if each.line.run_id == session.run.run_id]
            print_run(run)
            if cross_check and not stopped:
                cross_check_run(session.measuring.localizer, run, device, session.keep, _say)
            if not done.measurements and run.measurements:
                click.echo(_earlier_words(run, session.added))
        finally:
            session.close()
    click.echo(f"record: {out / FILE_NAME}")
    if stopped:
        click.echo("stopped: the same command goes on where this one was", err=True)
        sys.exit(INTERRUPTED)


def _run(
    session: Session,
    planned: tuple[Planned, ...],
    stop: GracefulStop,
    *,
    peers: bool,
    redo: tuple[str, ...],
) -> Done:
    """All parts of a run, as far as no stop is asked for amid them."""
    session.accuracy()
    done = session.measure(planned)
    if done.skipped:
        _say(f"{done.skipped} measurements of an earlier call were kept")
    if not stop.requested:
        session.roofline()
    if peers and not stop.requested:
        session.peers(redo)
    return done


def _earlier_words(run: Run, added: int) -> str:
    """Whose the latencies of the table are, where this call has none of its own.

    Args:
        run: as it is now.
        added: lines of this call.
    """
    times = sorted(line.started_utc[:16].replace("T", " ") for line in run.measurements)
    when = " to ".join(dict.fromkeys((times[0], times[-1])))
    what = "no latency" if added else "nothing"
    return (
        f"{what} was measured now: the table is what was measured before, {when} UTC. To measure "
        "anew, give another folder with --out"
    )


def _say(line: str) -> None:
    click.echo(line, err=True)
