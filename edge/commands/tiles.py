"""`tilefix tiles`: import a map, look at one, encode one into a feature store."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.commands.executor_options import check_run, device_options, executor_options, tell

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.encoding import EncodeCount
    from edge.tiles.geotiff import GeoTiffMap
    from edge.tiles.lattice import WindowPlace
    from edge.tiles.pyramid import TilePyramid
    from edge.tiles.window import PixelGrid

INTERRUPTED = 130
FOLDER = click.Path(path_type=Path, file_okay=False)
ANY_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def tiles() -> None:
    """Import, inspect and encode maps."""


@tiles.command("import")
@click.argument("source", type=ANY_PATH)
@click.option("--out", type=ANY_PATH, required=True, help="The MBTiles file to write.")
@click.option("--zoom", type=int, help="Finest zoom; default: nearest to the file's resolution.")
@click.option("--min-zoom", type=int, help="Coarsest zoom; default: the last of at most 1 m/px.")
@click.option("--quality", type=int, default=85, show_default=True, help="JPEG quality.")
@click.option("--imagery-ce90-m", type=float, help="Accuracy of the imagery, 90 % circle, metres.")
@click.option("--name", help="Name of the map; default: that of the file.")
@click.option("--replace", is_flag=True, help="Overwrite the output.")
def import_map(
    source: Path,
    out: Path,
    zoom: int | None,
    min_zoom: int | None,
    quality: int,
    imagery_ce90_m: float | None,
    name: str | None,
    replace: bool,
) -> None:
    """Make an MBTiles map of a GeoTIFF in any coordinate system (needs the extra 'geo')."""
    from edge.tiles.importer import check_values, plan_import, run_import
    from edge.tiles.mbtiles_writer import check_output
    from edge.tiles.opening import open_map

    check_output(out, replace=replace)
    check_values(quality, imagery_ce90_m)
    plan = plan_import(source, zoom, min_zoom)
    click.echo(
        f"{source}: {plan.native_gsd_m:.3g} m/px, zooms {plan.min_zoom} to {plan.zoom},"
        f" about {plan.tiles} tiles"
    )
    try:
        with _progress("tiles") as bar:
            task = bar.add_task(out.name, total=plan.tiles)
            run_import(
                plan,
                out,
                quality=quality,
                imagery_ce90_m=imagery_ce90_m,
                name=name,
                replace=replace,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except KeyboardInterrupt:
        click.echo("stopped: nothing was written", err=True)
        sys.exit(INTERRUPTED)
    with_map = open_map(out)
    click.echo(f"{out}: {_megabytes(out.stat().st_size)}, map_id {with_map.map_id[:16]}")
    with_map.close()


@tiles.command()
@click.argument("path", metavar="MAP", type=ANY_PATH)
def info(path: Path) -> None:
    """Say what a map holds: format, bounds, zooms, resolution, accuracy, identity."""
    from edge.tiles.geotiff import GeoTiffMap
    from edge.tiles.opening import open_map
    from edge.tiles.pyramid import TilePyramid

    opened = open_map(path)
    west, south, east, north = opened.bounds_lon_lat_deg
    ce90_m = opened.imagery_ce90_m
    rows = [
        ("map", str(path)),
        ("kind", opened.kind),
        ("bounds", f"W {west:.6f}  S {south:.6f}  E {east:.6f}  N {north:.6f}"),
    ]
    if isinstance(opened, TilePyramid):
        rows += _pyramid_rows(opened)
    elif isinstance(opened, GeoTiffMap):
        rows += _raster_rows(opened)
    rows += [
        (
            "accuracy",
            "not stated: error radii leave it out" if ce90_m is None else f"CE90 {ce90_m:g} m",
        ),
        ("map_id", opened.map_id),
    ]
    for label, text in rows:
        click.echo(f"{label:<10}{text}")
    opened.close()


@tiles.command()
@click.option("--bundle", "bundle_path", type=FOLDER, help="Bundle; default: the shipped one.")
@click.option("--tiles", "map_path", type=ANY_PATH, required=True, help="The map.")
@click.option("--store", type=FOLDER, required=True, help="Folder of the store, new or begun.")
@click.option("--bbox", metavar="W,S,E,N", help="Only this part of the map, degrees.")
@click.option("--gsd-m", type=float, help="Metres per pixel; default: that of the bundle.")
@click.option(
    "--features",
    type=click.Choice(("float16", "int8")),
    default="float16",
    show_default=True,
    help="How the store holds them; int8 halves it.",
)
@executor_options
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
def encode(
    bundle_path: Path | None,
    map_path: Path,
    store: Path,
    bbox: str | None,
    gsd_m: float | None,
    features: str,
    executor: str,
    precision: str,
    device_backend: str | None,
    no_cuda_graphs: bool,
    threads: int,
) -> None:
    """Encode the windows of a map into a feature store. Run it again to go on after a stop."""
    from edge.bundle import Bundle, shipped_bundle_path
    from edge.encoding import BundleEncoder, EncodeCount, encode_windows
    from edge.tiles.opening import open_map
    from edge.tiles.window import check_gsd

    if gsd_m is not None:
        check_gsd(gsd_m)
    bundle = Bundle.open(bundle_path or shipped_bundle_path())
    check_run(bundle, executor, precision)
    opened = open_map(map_path)
    grid = opened.grid(bundle.manifest.window.gsd_m if gsd_m is None else gsd_m)
    places, total = _places(grid, bbox, bundle)
    window = bundle.manifest.window
    click.echo(f"{map_path}: {total} windows of {window.width_px} px at {grid.gsd_m:.3g} m/px")
    device = device_options(device_backend, no_cuda_graphs)
    encoder = BundleEncoder(bundle, executor, precision, threads, device, features)
    count = EncodeCount()
    try:
        with _progress("windows") as bar:
            task = bar.add_task(store.name, total=total)

            def step(so_far: EncodeCount) -> None:
                nonlocal count
                count = so_far
                bar.update(task, completed=so_far.done)

            count = encode_windows(
                grid,
                opened.map_id,
                places,
                encoder,
                store,
                window_px=(window.width_px, window.height_px),
                resume_command=_command_line(),
                progress=step,
            )
    except KeyboardInterrupt:
        click.echo(f"stopped: {_summary(count)}; to go on: {_command_line()}", err=True)
        sys.exit(INTERRUPTED)
    finally:
        opened.close()
    tell(encoder.notes)
    click.echo(f"{store}: {_summary(count)}")


def _places(grid: PixelGrid, bbox: str | None, bundle: Bundle) -> tuple[Iterator[WindowPlace], int]:
    """The windows to encode, and how many they are."""
    from edge.errors import UsageError
    from edge.tiles.lattice import all_windows, count_windows, in_bbox

    size_px = bundle.manifest.window.width_px
    if bbox is None:
        return all_windows(grid, size_px), count_windows(grid, size_px)
    try:
        west, south, east, north = map(float, bbox.split(","))
    except ValueError as error:
        raise UsageError(
            "--bbox cannot be read",
            expected="four numbers W,S,E,N in degrees, such as 11.57,48.12,11.60,48.15",
            found=bbox,
            do="correct --bbox; for a negative west write --bbox=-1.5,50,-1.4,51",
        ) from error
    box = (west, south, east, north)
    return in_bbox(grid, *box, size_px), sum(1 for _ in in_bbox(grid, *box, size_px))


def _pyramid_rows(opened: TilePyramid) -> list[tuple[str, str]]:
    rows, total = [], 0
    for zoom in opened.zooms:
        here = opened.source.count(zoom)
        total += here
        rows.append(("zoom", f"{zoom:>2}  {opened.at_zoom(zoom).gsd_m:8.3f} m/px  {here} tiles"))
    return [*rows, ("size", f"{_megabytes(opened.source.size_bytes)}, {total} tiles")]


def _raster_rows(opened: GeoTiffMap) -> list[tuple[str, str]]:
    wide, high = opened.size_px
    return [
        ("system", f"EPSG:{opened.native.epsg}"),
        ("pixels", f"{wide} x {high} at {opened.native_gsd_m:.3g} m/px"),
        ("size", _megabytes(opened.size_bytes)),
    ]


def _summary(count: EncodeCount) -> str:
    text = (
        f"{count.encoded} windows encoded, {count.kept} were there, {count.empty} without imagery"
    )
    return text + (f" ({count.redone} were corrupt and encoded again)" if count.redone else "")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"


def _command_line() -> str:
    import shlex

    return shlex.join(["tilefix", *sys.argv[1:]])


def _progress(unit: str) -> Any:
    """A bar with count and time left, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))
