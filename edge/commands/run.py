"""`tilefix run`: locate the clicked objects of pictures, videos and cameras."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.commands.executor_options import check_run, device_options, executor_options, tell
from edge.commands.options import THREADS, FilledCommand
from edge.result_folder import check_folder

INTERRUPTED = 130


@click.command(cls=FilledCommand)
@click.option("--bundle", type=click.Path(), help="Folder of a bundle; default: the shipped one.")
@click.option("--tiles", required=True, help="MBTiles, PMTiles, XYZ folder or GeoTIFF.")
@click.option(
    "--source",
    required=True,
    help="Picture, folder of pictures, video, camera index, or RTSP URL.",
)
@click.option("--clicks", required=True, help="CSV or JSON lines: frame or time, id, x, y.")
@click.option("--position", help="LON,LAT[,sigma_m] of what the frames show, roughly.")
@click.option("--telemetry", help="CSV: frame or time, lon, lat, sigma_m, yaw_deg, gsd_m.")
@click.option("--store", help="Folder of encoded windows: tilefix tiles encode.")
@click.option("--out", default="tilefix-run", show_default=True, help="Folder for the results.")
@click.option("--overlay", is_flag=True, help="Also write overlay.png, and overlay.mp4 of several.")
@click.option(
    "--prior",
    type=click.Choice(["alignment", "none"]),
    default="alignment",
    show_default=True,
    help="none: the head decides alone, without alignment, tracks and telemetry.",
)
@executor_options
@click.option(
    "--threads",
    type=THREADS,
    default=2,
    show_default=True,
    help="Of each graph on the CPU. Live, fewer than there are cores leave one to the rest: "
    "quicker for small frames.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def run(
    bundle: str | None,
    tiles: str,
    source: str,
    clicks: str,
    position: str | None,
    telemetry: str | None,
    store: str | None,
    out: str,
    overlay: bool,
    prior: str,
    executor: str,
    precision: str,
    device_backend: str | None,
    no_cuda_graphs: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Locate the clicked objects of pictures, videos and cameras.

    Writes fixes.jsonl while it runs and fixes.geojson at the end into --out. Ctrl-C ends it after
    the frame at work and keeps what was done; a second one ends it at once. The exit code is 130
    then; one Ctrl-C on a live source, which ends no other way, gives 0. Pictures of a folder that
    cannot be read are left out and named, and the exit code is 5; of files it is 4 where no frame
    with clicks lies on the map.

    The same object keeps its id: in videos and live sources an id that was fixed speaks for the
    next five seconds. Another object needs another id.

    `time` in click and telemetry files is in seconds from the first frame of a video (the pictures
    of a folder count as one a second); for live sources it is Unix time, seconds since 1970 by the
    clock of this machine. A frame without a line of telemetry has a pose interpolated between two
    lines with a time that are up to five seconds apart, or that of a line within one second; lines
    with a frame need its index and a time for that. Without yaw_deg and gsd_m the first frame of a
    file at a place that is not found there may take half a minute.
    """
    from edge.cores import import_numpy_on_one_thread, put_frame_path_first, staying_on

    import_numpy_on_one_thread()
    from edge.assembly import ExecutorChoice, PriorChoice, assemble_on_map, open_bundle
    from edge.clicks import ClickSchedule
    from edge.commands.run_start import check_start
    from edge.errors import SourceError, WindowError
    from edge.frames import open_source
    from edge.left_out import LeftOutPictures
    from edge.run_loop import RunLoop
    from edge.run_summary import counted, print_json, print_summary
    from edge.telemetry import Telemetry, parse_position

    # What is quick to check comes first: a slip of the keyboard must not cost a model's loading.
    check_folder(Path(out))
    fallback = parse_position(position) if position else None
    poses = Telemetry.read(telemetry) if telemetry else None
    schedule = ClickSchedule.read(clicks)
    device = device_options(device_backend, no_cuda_graphs)
    opened = open_bundle(bundle)
    check_run(opened, executor, precision)
    left_out = LeftOutPictures()
    frames = open_source(source, left_out.add)
    if frames.live:
        put_frame_path_first()
    if frames.live and store is None:
        click.echo(
            "note: a live source without --store: every new window costs seconds when it is first "
            "met; encode them before the flight with tilefix tiles encode",
            err=True,
        )
    loop: RunLoop | None = None
    try:
        assembly = assemble_on_map(
            opened,
            tiles,
            store_path=store,
            prior=PriorChoice(prior),
            live=frames.live,
            executor=ExecutorChoice(executor, precision, threads, device),
        )
        tell(assembly.localizer.notes)
        try:
            for warning in check_start(assembly.windows, fallback, poses):
                click.echo(f"warning: {warning}", err=True)
            loop = RunLoop(
                assembly, schedule, poses, fallback, Path(out), left_out.errors, overlay=overlay
            )
            with staying_on(assembly.cores):
                summary = loop.run(frames, show_progress=not as_json)
        finally:
            assembly.close()
    except KeyboardInterrupt:
        kept = counted(loop.fixes if loop is not None else 0, "fix", "fixes")
        click.echo(f"stopped at once, amid a frame: {kept} before it, in {out}", err=True)
        sys.exit(INTERRUPTED)
    finally:
        frames.close()
    if as_json:
        print_json(summary)
    else:
        print_summary(summary)
    if summary.stopped and not frames.live:
        sys.exit(INTERRUPTED)
    if left_out.errors:
        sys.exit(SourceError.exit_code)
    if summary.nowhere and not frames.live:
        sys.exit(WindowError.exit_code)
