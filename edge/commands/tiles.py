"""`tilefix tiles`: import a map, look at one; encoding and merging have files of their own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.commands.progress import progress_bar
from edge.commands.tiles_encode import encode
from edge.commands.tiles_merge import merge

if TYPE_CHECKING:
    from edge.tiles.geotiff import GeoTiffMap
    from edge.tiles.pyramid import TilePyramid

INTERRUPTED = 130
ANY_PATH = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def tiles() -> None:
    """Import, inspect and encode maps."""


tiles.add_command(encode)
tiles.add_command(merge)


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
        with progress_bar("tiles") as bar:
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


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
