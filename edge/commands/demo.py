"""`tilefix demo`: fly the bundled flight, or any pairs file, and show its fixes against truth."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
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

    from edge.assembly import PriorChoice, open_bundle
    from edge.demo_flight import bundled_flight, pairs_flight
    from edge.demo_loop import fly
    from edge.demo_report import demo_score, fix_table, object_table, summary_line
    from edge.demo_results import write_results

    console = Console(highlight=False)
    start_s = time.perf_counter()
    opened = open_bundle(bundle)
    choice = PriorChoice(prior)
    if pairs is None:
        flight = bundled_flight(opened, choice)
    else:
        flight = pairs_flight(opened, choice, Path(pairs), Path(images) if images else None)
    console.print(f"[bold]{flight.title}[/]: {flight.words}")
    folder = Path(out)
    try:
        frames = fly(flight, folder)
        score = demo_score(frames)
        files = write_results(folder, flight, frames, score, time.perf_counter() - start_s)
    finally:
        flight.assembly.close()
    console.print(fix_table(frames) if every_fix else object_table(frames))
    console.print(f"[bold]{summary_line(score)}[/]")
    console.print(
        f"{len(frames)} frames in {time.perf_counter() - start_s:.1f} s, "
        f"bundle {opened.manifest.name} {opened.manifest.version}"
    )
    console.print(f"written: {', '.join(files)}", soft_wrap=True)
    console.print(f"open it: [bold]{(folder / 'index.html').resolve()}[/]", soft_wrap=True)
