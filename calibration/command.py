"""The verb `tilefix calibrate`."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.core import ParameterSource

from calibration.defaults import CANDIDATES, FRAMES_PER_WINDOW
from calibration.selection.request import FRAMES, WINDOWS
from edge.commands.options import THREADS
from edge.errors import TilefixError, UsageError

PATH = click.Path(path_type=Path)
READ_BY_CHECK = ("bundle", "check", "tiles", "seed", "threads")


@click.command()
@click.argument("bundle", type=PATH, required=False)
@click.option(
    "--frames",
    multiple=True,
    help="Pictures, a folder of them or of videos, or a video; PATH or SITE=PATH. Repeatable.",
)
@click.option(
    "--telemetry",
    multiple=True,
    metavar="SITE=FILE",
    help="Heights of a site's frames, for equal shares: the CSV that `tilefix run --telemetry` "
    "reads (frame or time, alt_m). SITE is a name of --frames, else its folder's. Repeatable.",
)
@click.option(
    "--season",
    multiple=True,
    metavar="SITE=NAME",
    help="Season of a site's frames, any word; default: the quarter of each picture's date, such "
    "as Mar-May. Repeatable.",
)
@click.option("--tiles", multiple=True, help="A map that the bundle shall work on. Repeatable.")
@click.option("--out", type=PATH, help="Folder of the INT8 bundle.")
@click.option(
    "--method",
    type=click.Choice(("best", "entropy", "percentile", "mse", "minmax")),
    default="best",
    show_default=True,
    help="Of the ranges; best tries all and keeps the winner.",
)
@click.option(
    "--tuned-from",
    type=PATH,
    help="BUNDLE is the export of `tilefix train --qat`: keep the ranges of the INT8 bundle that "
    "it was given, with which it was trained.",
)
@click.option(
    "--budget",
    type=float,
    default=1.0,
    show_default=True,
    help="Points of acc@0.25 that INT8 may cost.",
)
@click.option(
    "--samples",
    type=PATH,
    multiple=True,
    help="Labelled, held-out samples (`tilefix datasets render --window-px`) to judge on.",
)
@click.option("--every", type=click.IntRange(1), default=1, help="Judge on every n-th sample only.")
@click.option("--pairs", type=PATH, multiple=True, help="Labelled real frames to judge on.")
@click.option("--images", type=PATH, help="Folder of the pairs' images; default: $TILEFIX_DATA.")
@click.option("--frame-count", type=int, default=FRAMES, show_default=True)
@click.option("--window-count", type=int, default=WINDOWS, show_default=True)
@click.option(
    "--candidates",
    type=int,
    default=CANDIDATES,
    show_default=True,
    help="Frames to look at, over all sources, at least --frame-count; each is run once.",
)
@click.option(
    "--int8-features", is_flag=True, help="Judge a store of `tiles encode --features int8` too."
)
@click.option(
    "--frames-per-window",
    type=float,
    default=FRAMES_PER_WINDOW,
    show_default=True,
    help="Frames that one run of the encoder serves: what its blocks save is shared among them.",
)
@click.option(
    "--by-macs",
    is_flag=True,
    help="Rank blocks by multiply-accumulates, also where a GPU and TensorRT could time them.",
)
@click.option(
    "--plugin",
    type=PATH,
    help="Folder of `tilefix plugin build`, for the engines that blocks are timed with on a GPU; "
    "default: that of the bundle's engine. Not with --by-macs.",
)
@click.option("--equalise", is_flag=True, help="Cross-layer equalisation first.")
@click.option("--correct-bias", is_flag=True, help="Take off what rounding adds to means.")
@click.option(
    "--no-replay-pictures",
    is_flag=True,
    help="Leave pictures of the flights out of the bundle: those that `tilefix build` replays, and "
    "the report's sheet. `tilefix run` then warns of INT8 engines until `build --replay FOLDER`.",
)
@click.option("--work", type=PATH, help="Folder for work in progress; default: OUT.work")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=THREADS, default=2, show_default=True)
@click.option(
    "--provider",
    type=click.Choice(("cpu", "cuda")),
    default="cpu",
    show_default=True,
    help="Of ONNX Runtime, for the ranges.",
)
@click.option(
    "--shards",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Spread the pictures over so many runs with --shard; the one without it merges them.",
)
@click.option("--shard", type=click.IntRange(0), help="Find ranges on this shard only, from 0.")
@click.option(
    "--check", help="Only look whether the ranges of an INT8 bundle fit this flight; PATH."
)
def calibrate(
    bundle: Path | None,
    frames: tuple[str, ...],
    telemetry: tuple[str, ...],
    season: tuple[str, ...],
    tiles: tuple[str, ...],
    out: Path | None,
    method: str,
    tuned_from: Path | None,
    budget: float,
    samples: tuple[Path, ...],
    every: int,
    pairs: tuple[Path, ...],
    images: Path | None,
    frame_count: int,
    window_count: int,
    candidates: int,
    int8_features: bool,
    frames_per_window: float,
    by_macs: bool,
    plugin: Path | None,
    equalise: bool,
    correct_bias: bool,
    no_replay_pictures: bool,
    work: Path | None,
    seed: int,
    threads: int,
    provider: str,
    shards: int,
    shard: int | None,
    check: str | None,
) -> None:
    """Make INT8 graphs of BUNDLE (the shipped one by default) from recorded flights.

    Representative frames and windows are chosen, ranges found on them, Q/DQ written for ONNX
    Runtime and for TensorRT, and the result is judged against float32: on labelled samples where
    they are given, else by agreement. Blocks that cost too much stay float16. The bundle that is
    written carries the verdict, its report and a few of the pictures, on which `tilefix build`
    compares INT8 engines; a stopped run goes on with the same command.

    `--check FLIGHT BUNDLE` ends with 1 where the bundle should be calibrated again.
    """
    from calibration.progress import shown_progress
    from calibration.selection.request import parse_source
    from calibration.selection.told import with_told
    from calibration.telling import tell_calibrated, tell_drift
    from edge.bundle import shipped_bundle_path

    path = bundle or shipped_bundle_path()
    maps = tuple(parse_source(text) for text in tiles)
    if check is not None:
        _refuse_unread()
        from calibration.flight_check import FlightCheck, check_flight

        with shown_progress() as progress:
            asked = FlightCheck(path, (parse_source(check),), maps, seed, threads)
            drift = check_flight(asked, progress)
        tell_drift(drift, encoder=bool(maps))
        sys.exit(1 if drift.reasons else 0)
    if out is None:
        raise UsageError(
            "there is no place for the INT8 bundle",
            expected="--out FOLDER",
            found="no --out",
            do="name a new folder",
        )
    from calibration.calibrate import Step, observe_shard
    from calibration.calibrate import calibrate as run
    from calibration.request import CalibrationRequest

    request = CalibrationRequest(
        bundle=path,
        out=out,
        frames=with_told(tuple(parse_source(text) for text in frames), telemetry, season),
        maps=maps,
        method=method,
        tuned_from=tuned_from,
        budget_points=budget,
        samples=samples,
        pairs=pairs,
        images=images,
        frame_count=frame_count,
        window_count=window_count,
        candidates=candidates,
        int8_features=int8_features,
        equalise=equalise,
        correct_bias=correct_bias,
        every=every,
        frames_per_window=frames_per_window,
        by_macs=by_macs,
        plugin=plugin,
        replay_pictures=not no_replay_pictures,
        seed=seed,
        threads=threads,
        provider=provider,
        shards=shards,
        shard=shard,
        work=work,
        command=shlex.join(["tilefix", *sys.argv[1:]]),
    )
    with _kept_told(request.work_folder), shown_progress() as progress:

        def told(step: Step) -> None:
            progress(step.name, step.done, step.total)

        if shard is not None:
            for graph, count in observe_shard(request, told).items():
                click.echo(f"{graph}: {count} pictures of shard {shard} of {shards}")
            return
        made = run(request, told)
    tell_calibrated(made, request.work_folder)


@contextlib.contextmanager
def _kept_told(work: Path) -> Iterator[None]:
    """Say on Ctrl-C what exit code 130 means here, and after an error what is left."""
    new = not work.exists()
    try:
        yield
    except KeyboardInterrupt:
        if work.is_dir():
            click.echo(f"what was done is kept in {work}: the same command goes on there", err=True)
        raise
    except TilefixError:
        if new and work.is_dir():
            click.echo(f"what was done until then is in {work}", err=True)
        raise


def _refuse_unread() -> None:
    """Refuse options that --check would not read; it looks at the whole flight, in one run.

    Raises:
        UsageError: one was given.
    """
    context = click.get_current_context()
    given = [
        each.opts[0]
        for each in context.command.params
        if each.name not in READ_BY_CHECK
        and context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UsageError(
            "--check only compares, so there is nothing to make",
            expected="--check FLIGHT BUNDLE, with --tiles where the map is new too, --seed, "
            "--threads",
            found=", ".join(given),
            do="leave it out, or leave --check out",
        )
