"""`tilefix bench scale`: what encoding a large area costs, in hours, bytes and searches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks.finite import AnyFinite, Finite
from edge.commands.options import THREADS

if TYPE_CHECKING:
    from benchmarks.scale.text import ScaleReport

ANY_PATH = click.Path(path_type=Path)
AREAS = ("10x10", "100x100", "country:Switzerland_41285")
SIGMAS_M = (5.0, 20.0, 100.0, 500.0)
LARGEST_SIGMA_M = 2e7  # half way round the Earth
MOST_DEVICES = 1_000_000


@click.command()
@click.option(
    "--area",
    "areas",
    multiple=True,
    default=AREAS,
    show_default=True,
    help="WIDTHxHEIGHT in km, or country:NAME_KM2; several times for several.",
)
@click.option("--bundle", "bundle_path", type=ANY_PATH, help="Bundle; default: the shipped one.")
@click.option("--tiles", "map_path", type=ANY_PATH, help="Map to sample; default: the demo's.")
@click.option("--sample", type=click.IntRange(1), default=8, show_default=True, help="Windows.")
@click.option("--threads", type=THREADS, default=2, show_default=True)
@click.option(
    "--gsd-m",
    type=AnyFinite(),
    help="Metres per pixel, more than 0; default: that of the bundle.",
)
@click.option(
    "--latitude",
    type=AnyFinite(),
    help="Of the area, degrees from -85 to 85: counts in pixels of the nearest zoom of a tile map "
    "there.",
)
@click.option(
    "--devices",
    "counts",
    type=click.IntRange(1, MOST_DEVICES),
    multiple=True,
    default=(1, 8),
    show_default=True,
    help="How many share the work; several times for several.",
)
@click.option(
    "--device",
    "given",
    metavar="NAME=MS",
    multiple=True,
    help="Another device and its milliseconds for a window, as you know them.",
)
@click.option(
    "--kept-share",
    type=Finite(0, 1, min_open=True),
    default=0.3,
    show_default=True,
    help="Of the windows, where an object can be: an assumption, for the sparse store.",
)
@click.option(
    "--sigma-m",
    "sigmas",
    type=Finite(0, LARGEST_SIGMA_M),
    multiple=True,
    default=SIGMAS_M,
    show_default=True,
    help="Of a position that is searched; several times for several.",
)
@click.option("--out", type=ANY_PATH, help="Also write all of it to this JSON file.")
def scale(
    areas: tuple[str, ...],
    bundle_path: Path | None,
    map_path: Path | None,
    sample: int,
    threads: int,
    gsd_m: float | None,
    latitude: float | None,
    counts: tuple[int, ...],
    given: tuple[str, ...],
    kept_share: float,
    sigmas: tuple[float, ...],
    out: Path | None,
) -> None:
    """What a large area costs: windows, hours, bytes, and what a search in it touches.

    Encodes some windows of a map here, and extrapolates by the formulas that it prints.
    """
    from benchmarks.scale.areas import parse_area
    from benchmarks.scale.study import Wanted, given_device, study
    from benchmarks.scale.text import words
    from edge.result_folder import check_file

    if out is not None:  # not after all the work
        check_file(out, name="scale.json")
    wanted = Wanted(
        areas=tuple(parse_area(text) for text in areas),
        bundle_path=bundle_path,
        map_path=map_path,
        sample=sample,
        threads=threads,
        gsd_m=gsd_m,
        latitude_deg=latitude,
        counts=counts,
        given=tuple(given_device(text) for text in given),
        kept_share=kept_share,
        sigmas_m=sigmas,
    )
    report = study(wanted, progress=lambda done: click.echo(f"window {done} of {sample}", err=True))
    for line in words(report):
        click.echo(line)
    if out is not None:
        _write(out, report)


def _write(out: Path, report: ScaleReport) -> None:
    import msgspec

    from edge.sinks import write_whole

    write_whole(out, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
