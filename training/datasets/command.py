"""`tilefix datasets`: make training data, cache frozen features, cluster anchors."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def datasets() -> None:
    """Make and check training data."""


@datasets.command()
@click.option("--kind", type=click.Choice(["orthophoto", "scenes"]), required=True)
@click.option("--mosaics", type=click.Path(path_type=Path), help="Folder of orthophotos.")
@click.option("--site", "sites", multiple=True, help="Only mosaics whose name begins so.")
@click.option("--count", type=int, required=True, help="Samples in all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--window-px", type=int, default=640, show_default=True)
@click.option("--frame-px", type=int, default=512, show_default=True)
@click.option("--gsd-m", type=float, default=0.25, show_default=True)
@click.option(
    "--props-per-hectare",
    type=float,
    default=20.0,
    show_default=True,
    help="Small made-up things pasted onto the mosaics.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that draw; the samples are the same.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def render(
    kind: str,
    mosaics: Path | None,
    sites: tuple[str, ...],
    count: int,
    seed: int,
    window_px: int,
    frame_px: int,
    gsd_m: float,
    props_per_hectare: float,
    jobs: int,
    out: Path,
) -> None:
    """Render samples once, for training to read many times; resumes where it was stopped."""
    import numpy as np
    from rich.progress import track

    from edge.errors import UsageError
    from training.datasets import orthophoto, scene_pairs
    from training.datasets.pair_folder import render as fill
    from training.datasets.sample import PairSample

    if kind == "orthophoto":
        if mosaics is None:
            raise UsageError(
                "orthophoto samples need mosaics",
                expected="--mosaics FOLDER",
                found="no --mosaics",
                do="give a folder with manifest.csv, pictures and *_buildings.json",
            )
        chosen = [
            m
            for m in orthophoto.read_folder(mosaics, props_per_hectare)
            if not sites or m.name.startswith(sites)
        ]

    def draw(index: int) -> PairSample:
        rng = np.random.default_rng((seed, index))
        if kind == "orthophoto":
            return orthophoto.sample_pair(
                chosen, rng, frame_px=(frame_px, frame_px), window_px=window_px, gsd_m=gsd_m
            )
        return scene_pairs.sample_pair(
            rng, frame_px=frame_px, window_px=window_px, gsd_m=gsd_m, first_town=seed * 1000
        )

    made_by: dict[str, object] = {
        "kind": kind,
        "seed": seed,
        "sites": list(sites),
        "window_px": window_px,
        "frame_px": frame_px,
        "gsd_m": gsd_m,
        "props_per_hectare": props_per_hectare if kind == "orthophoto" else 0.0,
    }
    folder = fill(
        out,
        count,
        draw,
        made_by=made_by,
        jobs=jobs,
        progress=lambda lines: track(lines, description="render", total=count),
    )
    click.echo(f"{len(folder)} samples in {out}")


@datasets.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    help="The checkpoint or bundle of lite that training starts from.  [default: ImageNet's]",
)
def cache(folders: tuple[Path, ...], init: Path | None) -> None:
    """Compute the frozen backbone's features of rendered samples once."""
    from rich.progress import track

    from training.checkpoints.start import starting_lite
    from training.datasets.backbone_run import OnnxRun
    from training.datasets.feature_cache import FeatureCache
    from training.datasets.pair_folder import PairFolder
    from training.models.efficientnet_lite import EfficientNetLite0

    if init is None:
        backbone = EfficientNetLite0()
        backbone.load_pretrained()
    else:
        backbone = starting_lite(init).backbone
    run = OnnxRun(backbone)
    for path in folders:
        folder = PairFolder.open(path)
        FeatureCache.build(folder, backbone, lambda r: track(r, description="cache"), run)
        click.echo(f"cached {path}")


@datasets.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--count", type=int, default=9, show_default=True)
@click.option("--name", help="Folders of this data set instead of rendered ones; reads all of it.")
@click.option("--split", default="train", show_default=True, help="With --name.")
def anchors(folders: tuple[Path, ...], count: int, name: str | None, split: str) -> None:
    """Cluster the boxes of samples into anchors, largest first."""
    import numpy as np
    from rich.progress import track

    from training.datasets.anchors import cluster
    from training.datasets.pair_folder import PairFolder
    from training.datasets.registry import open_dataset

    sizes: list[tuple[float, float]] = []
    for path in folders:
        if name is not None:
            source = open_dataset(name, path, split)
            for index in track(range(len(source)), source.name):
                sample = source.read(index)
                boxes = sample.box_xyxy_px[sample.present]
                sizes += map(tuple, (boxes[:, 2:] - boxes[:, :2]).tolist())
            continue
        for line in PairFolder.open(path).lines:
            for box, there in zip(line.box_xyxy_px, line.present, strict=True):
                if there:
                    sizes.append((box[2] - box[0], box[3] - box[1]))
    found, mean_iou = cluster(np.array(sizes), count)
    for width, height in found:
        click.echo(f"({width:.1f}, {height:.1f}),")
    click.echo(f"{len(sizes)} boxes, mean best IoU {mean_iou:.3f}")


@datasets.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--name", "names", multiple=True, help="What it is; see `tilefix datasets list`.")
@click.option("--split", "splits", multiple=True, help="Only these splits.")
@click.option(
    "--show",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Faults of one kind that are spelled out; 0: all.",
)
def check(root: Path, names: tuple[str, ...], splits: tuple[str, ...], show: int) -> None:
    """Say all that is wrong with a download; exit code 12 if anything is.

    Without --name, ROOT is recognised by its layout.
    """
    import sys
    from collections import Counter

    from rich.console import Console
    from rich.progress import track

    from edge.errors import DataError
    from training.datasets.registry import detect, find_kind
    from training.datasets.reports import print_reports

    kinds = [find_kind(name) for name in names] or detect(root)
    shown = Console(stderr=True)
    reports = []
    for kind in kinds:
        for split in splits or dict.fromkeys((*kind.whole, *kind.splits(root))):
            title = f"{kind.name}/{split}"
            reports.append(
                kind.inspect(
                    root,
                    split,
                    lambda r, title=title: track(
                        r, title, console=shown, transient=True, disable=not shown.is_terminal
                    ),
                )
            )
    print_reports(Console(file=sys.stdout), reports, show)
    kinds_of_fault = Counter(f.kind.value for report in reports for f in report.problems)
    if kinds_of_fault or not reports:
        raise DataError(
            f"{root} is not as it should be",
            expected="every record with its pictures, boxes and clicks inside them",
            found=", ".join(f"{kind}: {n}" for kind, n in kinds_of_fault.items()) or "no split",
            do="mend what is listed above, or download the data set again",
        )


@datasets.command("list")
def list_names() -> None:
    """Name the data sets that can be read and checked."""
    from training.datasets.registry import KINDS

    width = max(map(len, KINDS))
    for kind in KINDS.values():
        click.echo(f"{kind.name:{width}}  {kind.about}")
