"""`python -m training.scenes`: render a flight, a labelled pair, or a town's map."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edge.errors import TilefixError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def scenes() -> None:
    """Procedural towns: pictures with truth."""


@scenes.command()
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make.")
@click.option("--extent", type=float, default=600.0, show_default=True, help="Metres.")
def flight(seed: int, out: Path, extent: float) -> None:
    """Render a map and a flight over it with clicks, telemetry and truth."""
    from training.scenes.flight_files import make_flight

    sizes = make_flight(seed, out, extent)
    total = sum(sizes.values())
    largest = sizes["map.mbtiles"]
    click.echo(f"{out}: {len(sizes)} files, {total / 1e6:.2f} MB, map {largest / 1e6:.2f} MB")


@scenes.command()
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG file to write.")
def pair(seed: int, out: Path) -> None:
    """Draw one training pair with its clicks and boxes."""
    import cv2
    import numpy as np

    from training.scenes.pair import sample_pair
    from training.scenes.picture import draw_pair

    drawn = sample_pair(np.random.default_rng(seed))
    cv2.imwrite(str(out), draw_pair(drawn)[..., ::-1])
    click.echo(f"{out}: {len(drawn.clicks)} clicks")


@scenes.command()
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--style", default=None, help="suburb, grid, village, centre, works or rural.")
@click.option("--size", "size_px", type=int, default=1024, show_default=True, help="Pixels.")
@click.option("--gsd", "gsd_m", type=float, default=0.3, show_default=True, help="Metres a pixel.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="PNG file to write.")
def town(seed: int, style: str | None, size_px: int, gsd_m: float, out: Path) -> None:
    """Draw the map of a town."""
    import cv2

    from training.scenes.render import render_map
    from training.scenes.season import Appearance
    from training.scenes.town import Town

    made = Town.generate(seed, style=style)
    picture = render_map(made, Appearance(), gsd_m, size_px=(size_px, size_px))
    cv2.imwrite(str(out), picture.image[..., ::-1])
    click.echo(f"{out}: {made.style}, {len(made.objects)} objects")


if __name__ == "__main__":
    try:
        scenes()
    except TilefixError as error:
        click.echo(f"scenes: {error}", err=True)
        sys.exit(error.exit_code)
