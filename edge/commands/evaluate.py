"""`tilefix evaluate`: the scores of a bundle on labelled pairs, beside two baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.evaluation import FrameResult, Site, SiteRun
    from edge.predictors import Predictor

PRIORS = ("none", "alignment")
ALIGNMENT_FILE = "alignment/xfeat.onnx"


@click.command()
@click.option(
    "--pairs",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
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
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
def evaluate(
    files: tuple[Path, ...],
    bundle_path: Path | None,
    images: Path | None,
    other_files: tuple[Path, ...],
    json_path: Path | None,
    prior: str | None,
    no_alignment: bool,
    baselines: bool,
    overlay: Path | None,
    threads: int,
) -> None:
    """Score a bundle on labelled frames and maps, beside two baselines.

    Per click, averaged over objects first; 95 % intervals by a bootstrap over objects. The window
    is the whole map: nothing tells the model where to look. `python -m pydoc edge.scoring` defines
    every score, `python -m pydoc edge.pairs` the format of the files.
    """
    import cv2

    from edge.bundle import Bundle, shipped_bundle_path
    from edge.evaluation import median_box_m, open_sites
    from edge.pairs import read_pairs
    from edge.score_report import RowScores, print_scores, score_rows, write_scores

    wanted = _priors(prior, no_alignment)
    cv2.setNumThreads(threads)
    pairs = [read_pairs(path, images) for path in files]  # bad files first: they are quickest
    others_pairs = [read_pairs(path, images) for path in other_files]
    bundle = Bundle.open(bundle_path or shipped_bundle_path())
    spec = bundle.manifest.window
    sites = open_sites(pairs, spec.gsd_m, spec.width_px)
    maps_only = open_sites(others_pairs, spec.gsd_m, spec.width_px, taken=sites)
    models = _models(bundle, wanted, threads)
    runs: list[SiteRun] = []
    boxes_m: dict[str, tuple[float, float]] = {}
    for site in sites:
        others = [each for each in (*sites, *maps_only) if each is not site]
        labelled = [each for each in others if each in sites] or [site]
        boxes_m[site.name] = median_box_m(labelled)
        simple = _baselines(boxes_m[site.name]) if baselines else []
        shown = models[-1].name if overlay is not None else None
        runs += [
            _run(predictor, site, others, overlay if predictor.name == shown else None)
            for predictor in (*models, *simple)
        ]
    rows: list[RowScores] = score_rows(runs)
    print_scores(rows, bundle, boxes_m if baselines else {})
    if json_path is not None:
        write_scores(json_path, rows, models[-1].name, bundle, pairs, boxes_m if baselines else {})
        click.echo(f"scores: {json_path}")
    if overlay is not None:
        click.echo(f"pictures of {models[-1].name}: {overlay}")


def _priors(prior: str | None, no_alignment: bool) -> tuple[str, ...]:
    from edge.errors import UsageError

    if no_alignment and prior == "alignment":
        raise UsageError(
            "--no-alignment and --prior alignment contradict each other",
            expected="one of them, or neither for both rows",
            found="both",
            do="leave one out",
        )
    return ("none",) if no_alignment else (prior,) if prior else PRIORS


def _models(bundle: Bundle, wanted: tuple[str, ...], threads: int) -> list[Predictor]:
    from edge.alignment import Aligner
    from edge.errors import BundleError
    from edge.localizer import Localizer
    from edge.predictors import LitePredictor

    if "alignment" in wanted and ALIGNMENT_FILE not in bundle.manifest.files:
        if wanted == ("alignment",):
            raise BundleError(
                f"the bundle {bundle.manifest.name} cannot align frames",
                expected=f"{ALIGNMENT_FILE} in its manifest",
                found="no such file",
                do="leave --prior alignment out, or give a bundle with that graph",
            )
        click.echo(f"no row with alignment: the bundle has no {ALIGNMENT_FILE}", err=True)
        wanted = ("none",)
    localizer = Localizer.open(bundle, threads=threads)
    models: list[Predictor] = []
    for name in wanted:
        aligner = Aligner.open(bundle, threads=threads) if name == "alignment" else None
        models.append(LitePredictor(localizer, aligner))
    return models


def _baselines(box_wh_m: tuple[float, float]) -> list[Predictor]:
    from edge.baselines import SiftPredictor, WindowCentrePredictor

    return [SiftPredictor(box_wh_m), WindowCentrePredictor(box_wh_m)]


def _run(predictor: Predictor, site: Site, others: list[Site], overlay: Path | None) -> SiteRun:
    """One predictor on one site, with progress on the error stream."""
    from rich.console import Console
    from rich.progress import Progress

    from edge.evaluation import run_site
    from edge.pairs_overlay import save

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{predictor.name}, {site.name}", total=len(site.pairs.frames))

        def on_frame(result: FrameResult) -> None:
            progress.advance(task)
            if overlay is not None:
                save(result, overlay)

        return run_site(predictor, site, others, on_frame=on_frame)
