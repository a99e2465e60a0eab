"""`tilefix evaluate`: the scores of a bundle on labelled pairs, beside two baselines."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.bundle import ALIGNMENT_GRAPH
from edge.commands.evaluate_checks import (
    PRIORS,
    check_noise,
    check_places,
    check_plot,
    is_of_checkpoints,
    refuse_foreign,
    wanted_priors,
)
from edge.commands.executor_options import check_run, device_options, executor_options, tell
from edge.commands.options import THREADS

if TYPE_CHECKING:
    from edge.evaluation import FrameResult, Site, SiteRun
    from edge.localizer import Localizer
    from edge.predictors import Predictor

    Task = tuple[Predictor, Site, list[Site]]  # on the map of the site, and on those of the others

INTERRUPTED = 130


@click.command()
@click.option(
    "--pairs",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Labelled pairs; several times for several sites, each run on the others' maps too.",
)
@click.option("--bundle", "bundle_path", type=click.Path(path_type=Path), help="Default: shipped.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of the images. Default: that of the file, then $TILEFIX_DATA.",
)
@click.option(
    "--other",
    "other_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Another site of which only the map is used: what is accepted there is wrong.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the scores here.")
@click.option("--prior", type=click.Choice(PRIORS), help="Only this row of the bundle.")
@click.option("--no-alignment", is_flag=True, help="The same as --prior none.")
@click.option("--baselines/--no-baselines", default=True, show_default=True)
@click.option("--overlay", type=click.Path(path_type=Path), help="Folder for one PNG per frame.")
@executor_options
@click.option("--threads", type=THREADS, default=2, show_default=True)
@click.option(
    "--click-noise",
    "noise_px",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    metavar="PIXELS",
    help="One more row with clicks off by this sigma in x and y.",
)
@click.option(
    "--plot",
    "plot_path",
    type=click.Path(path_type=Path),
    help="With --click-noise: draw accuracy over the clicks' error here (extra 'report').",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Instead of a bundle: a trained model, beside the papers' rows (extra 'train').",
)
@click.option("--data", type=click.Path(path_type=Path), help="With --checkpoint: root of a set.")
@click.option("--set", "set_name", help="With --checkpoint: its name, such as cvogl_drone.")
@click.option("--split", default="test", show_default=True, help="With --checkpoint.")
@click.pass_context
def evaluate(
    context: click.Context,
    files: tuple[Path, ...],
    bundle_path: Path | None,
    images: Path | None,
    other_files: tuple[Path, ...],
    json_path: Path | None,
    prior: str | None,
    no_alignment: bool,
    baselines: bool,
    overlay: Path | None,
    executor: str,
    precision: str,
    device_backend: str | None,
    no_cuda_graphs: bool,
    threads: int,
    noise_px: tuple[float, ...],
    plot_path: Path | None,
    checkpoints: tuple[Path, ...],
    data: Path | None,
    set_name: str | None,
    split: str,
) -> None:
    """Score a bundle on labelled frames and maps, beside two baselines.

    Per click, averaged over objects first; 95 % intervals by a bootstrap over objects. The window
    is the whole map: nothing tells the model where to look. `python -m pydoc edge.scoring` defines
    every score, `python -m pydoc edge.pairs` the format of the files.

    Ctrl-C ends it early: the frames done until then are scored, and marked as a part.

    With --checkpoint, --data and --set: score trained models on the split of a published data set,
    as the papers do (`python -m pydoc training.evaluation.metrics`), beside the papers' own rows.
    """
    of_checkpoints = is_of_checkpoints(files, checkpoints, data, set_name)
    refuse_foreign(context, of_checkpoints)
    check_noise(noise_px)
    check_places(json_path, plot_path, overlay)
    if plot_path is not None:
        check_plot(plot_path, noise_px)
    if of_checkpoints:
        # by name: nothing here imports torch
        published = importlib.import_module("training.evaluation.published")
        published.tell(checkpoints, data, set_name, split, noise_px, json_path, plot_path)
        return
    import cv2

    from edge.bundle import Bundle, shipped_bundle_path
    from edge.click_noise import CarelessClicks, scores_by_error
    from edge.evaluation import median_box_m, open_sites
    from edge.localizer import Localizer
    from edge.pairs import read_pairs
    from edge.score_report import print_scores, score_rows, write_scores

    wanted = wanted_priors(prior, no_alignment)
    cv2.setNumThreads(threads)
    pairs = [read_pairs(path, images) for path in files]  # bad files first: they are quickest
    others_pairs = [read_pairs(path, images) for path in other_files]
    bundle = Bundle.open(bundle_path or shipped_bundle_path())
    check_run(bundle, executor, precision)
    spec = bundle.manifest.window
    sites = open_sites(pairs, spec.gsd_m, spec.width_px)
    maps_only = open_sites(others_pairs, spec.gsd_m, spec.width_px, taken=sites)
    device = device_options(device_backend, no_cuda_graphs)
    localizer = Localizer.open(bundle, executor, precision, threads, device)
    models = _models(localizer, wanted, threads)
    careless = [CarelessClicks(model, sigma) for model in models for sigma in noise_px]
    boxes_m = {
        site.name: median_box_m([each for each in sites if each is not site] or [site])
        for site in sites
    }
    tasks: list[Task] = [
        (predictor, site, [each for each in (*sites, *maps_only) if each is not site])
        for site in sites
        for predictor in (
            *models,
            *careless,
            *(_baselines(boxes_m[site.name]) if baselines else []),
        )
    ]
    runs, stopped = _run_all(tasks, models[-1], overlay)
    tell(localizer.notes)
    rows = score_rows([run for run in runs if run.frames or not run.partial], len(sites))
    shown_boxes_m = boxes_m if baselines else {}
    if rows:
        print_scores(rows, bundle, shown_boxes_m)
    if rows and json_path is not None:
        name = models[-1].name
        write_scores(json_path, rows, name, bundle, pairs, shown_boxes_m, partial=stopped)
        click.echo(f"scores: {json_path}")
    if plot_path is not None and not stopped:
        drawing = importlib.import_module("training.evaluation.click_noise")
        of = f"{bundle.manifest.name}, {', '.join(site.name for site in sites)}"
        drawing.write_noise_plot(plot_path, scores_by_error(rows, models, noise_px), of)
        click.echo(f"plot: {plot_path}")
    if overlay is not None:
        click.echo(f"pictures of {models[-1].name}: {overlay}")
    if stopped:
        done, total = sum(run.frames for run in runs), sum(site.frames for _, site, _ in tasks)
        kept = "what was scored is above" if rows else "nothing was scored"
        click.echo(f"stopped after {done} of {total} frames of all rows: {kept}", err=True)
        if plot_path is not None:
            click.echo("no plot: a curve needs all frames of all rows", err=True)
        sys.exit(INTERRUPTED)


def _models(localizer: Localizer, wanted: tuple[str, ...], threads: int) -> list[Predictor]:
    from edge.alignment import Aligner
    from edge.errors import BundleError
    from edge.predictors import LitePredictor

    bundle = localizer.bundle
    if "alignment" in wanted and ALIGNMENT_GRAPH not in bundle.manifest.files:
        if wanted == ("alignment",):
            raise BundleError(
                f"the bundle {bundle.manifest.name} cannot align frames",
                expected=f"{ALIGNMENT_GRAPH} in its manifest",
                found="no such file",
                do="leave --prior alignment out, or give a bundle with that graph",
            )
        click.echo(f"no row with alignment: the bundle has no {ALIGNMENT_GRAPH}", err=True)
        wanted = ("none",)
    models: list[Predictor] = []
    for name in wanted:
        aligner = Aligner.open(bundle, threads=threads) if name == "alignment" else None
        models.append(LitePredictor(localizer, aligner))
    return models


def _baselines(box_wh_m: tuple[float, float]) -> list[Predictor]:
    from edge.baselines import SiftPredictor, WindowCentrePredictor

    return [SiftPredictor(box_wh_m), WindowCentrePredictor(box_wh_m)]


def _run_all(
    tasks: list[Task], drawn: Predictor, overlay: Path | None
) -> tuple[list[SiteRun], bool]:
    """Every predictor on every site; True: Ctrl-C ended it early."""
    runs: list[SiteRun] = []
    try:
        for number, (predictor, site, others) in enumerate(tasks, 1):
            title = f"row {number} of {len(tasks)}: {predictor.name}, {site.name}"
            drawn_into = overlay if predictor is drawn else None
            runs.append(_run(title, predictor, site, others, drawn_into))
            if runs[-1].partial:
                return runs, True
    except KeyboardInterrupt:  # between two runs
        return runs, True
    return runs, False


def _run(
    title: str, predictor: Predictor, site: Site, others: list[Site], overlay: Path | None
) -> SiteRun:
    """One predictor on one site, with progress on the error stream: a bar, or a line."""
    from rich.console import Console
    from rich.progress import Progress

    from edge.evaluation import run_site
    from edge.pairs_overlay import save
    from edge.run_summary import counted

    console = Console(stderr=True)
    if not console.is_terminal:
        click.echo(f"{title}, {counted(len(site.pairs.frames), 'frame', 'frames')}", err=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=len(site.pairs.frames))

        def on_frame(result: FrameResult) -> None:
            progress.advance(task)
            if overlay is not None:
                save(result, overlay)

        return run_site(predictor, site, others, on_frame=on_frame)
