"""`tilefix bench report`: records become one HTML file."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from edge.result_folder import check_file, check_folder

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("records", type=PATH, nargs=-1, required=True, metavar="RECORD...")
@click.option(
    "--out",
    type=PATH,
    default=Path("report.html"),
    show_default=True,
    help="The page; what is there is replaced.",
)
@click.option(
    "--export",
    "export_folder",
    type=PATH,
    help="Also write every figure as SVG and PNG into this folder (needs the extra 'report').",
)
def report(records: tuple[Path, ...], out: Path, export_folder: Path | None) -> None:
    """Show runs on one page without scripts or links, to be opened from disk or sent along.

    A RECORD is a file of `tilefix bench`, a folder with a bench.jsonl, or else one of such files.
    The first run stands on top; several are compared by accuracy and latency.
    """
    _check(out, export_folder)
    from benchmarks.report.files import export_figures, write_text
    from benchmarks.report.page import page
    from benchmarks.report.shown import read_shown

    runs = read_shown(records)
    write_text(out, page(runs))
    click.echo(f"{out}: {len(runs)} run{'s' if len(runs) != 1 else ''}")
    if export_folder is not None:
        paths = export_figures(runs, export_folder)
        click.echo(f"{export_folder}: {len(paths) // 2} figures as SVG and PNG")


def _check(out: Path, export_folder: Path | None) -> None:
    """Refuse before all work what could not be written.

    Raises:
        OutputError: a folder where the page should be, or a file in a folder's place.
        ModuleNotFoundError: matplotlib is not installed.
    """
    check_file(out, name="report.html")
    if export_folder is not None:
        check_folder(export_folder, "--export")
        importlib.import_module("matplotlib")
