"""`tilefix demo`: fly the bundled flight, or any pairs file, and show its fixes against truth."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.commands.options import FilledCommand
from edge.result_folder import check_folder

INTERRUPTED = 130


@click.command(cls=FilledCommand)
@click.option("--out", default="tilefix-demo", show_default=True, help="Folder for the results.")
@click.option("--pairs", help="A tilefix-pairs/1 file instead of the bundled flight.")
@click.option("--images", help="Folder of the images of --pairs.")
@click.option("--bundle", type=click.Path(), help="Folder of a bundle; default: the shipped one.")
@click.option(
    "--prior",
    type=click.Choice(["alignment", "none"]),
    default="alignment",
    show_default=True,
    help="none: the head decides alone, without alignment, tracks and telemetry.",
)
@click.option("--all", "every_fix", is_flag=True, help="A row for every fix, not for every object.")
def demo(
    out: str,
    pairs: str | None,
    images: str | None,
    bundle: str | None,
    prior: str,
    every_fix: bool,
) -> None:
    """Fly the bundled flight and show its fixes against truth.

    Needs no network and no arguments. Writes index.html, overlay.png, fixes.geojson and fixes.jsonl
    into --out.
    """
    import time

    from rich.console import Console
    from rich.markup import escape

    from edge.assembly import PriorChoice, open_bundle
    from edge.demo_flight import bundled_flight, pairs_flight
    from edge.demo_loop import fly
    from edge.demo_report import demo_score, fix_table, object_table, summary_line
    from edge.demo_results import write_results
    from edge.errors import UsageError
    from edge.run_summary import counted

    if images is not None and pairs is None:
        raise UsageError(
            "--images says where the pictures of --pairs lie",
            expected="--pairs FILE with it",
            found="--images alone",
            do="add --pairs, or leave --images out",
        )
    folder = Path(out)
    check_folder(folder)
    console = Console(highlight=False)
    start_s = time.perf_counter()
    opened = open_bundle(bundle)
    choice = PriorChoice(prior)
    if pairs is None:
        flight = bundled_flight(opened, choice)
    else:
        flight = pairs_flight(opened, choice, Path(pairs), Path(images) if images else None)
    console.print(f"[bold]{escape(flight.title)}[/]: {escape(flight.words)}")
    try:
        frames, came = fly(flight, folder)
        stopped = came < flight.count
        ending = f"Stopped after {came} of {flight.count} frames." if stopped else ""
        score = demo_score(frames)
        spent_s = time.perf_counter() - start_s
        files = write_results(folder, flight, frames, score, spent_s, ending)
    except KeyboardInterrupt:
        click.echo(f"stopped at once, amid a frame: the fixes before it are in {folder}", err=True)
        sys.exit(INTERRUPTED)
    finally:
        flight.assembly.close()
    if not frames:
        why = "stopped before the first frame" if flight.clicks else "no frame has clicks"
        click.echo(f"{why}: no page was written to {folder}", err=True)
        sys.exit(INTERRUPTED if flight.clicks else 0)
    console.print(fix_table(frames) if every_fix else object_table(frames))
    if ending:
        console.print(f"[yellow]{ending}[/]")
    console.print(f"[bold]{summary_line(score)}[/]")
    console.print(
        f"{counted(len(frames), 'frame', 'frames')} in {time.perf_counter() - start_s:.1f} s, "
        f"bundle {escape(opened.manifest.name)} {escape(opened.manifest.version)}"
    )
    console.print(f"written: {', '.join(files)}", soft_wrap=True)
    page = escape(str((folder / "index.html").resolve()))
    console.print(f"open it: [bold]{page}[/]", soft_wrap=True)
    if stopped:
        sys.exit(INTERRUPTED)
