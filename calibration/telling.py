"""What `tilefix calibrate` says in the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from calibration.calibrate import Calibrated
    from calibration.ranges.drift import Drift

SHOWN_TENSORS = 8


def tell_calibrated(made: Calibrated, work: Path) -> None:
    """Verdict, reasons, and where all is."""
    from calibration.int8_bundle import REPORT
    from calibration.judging.verdict import headline, latency_sentences
    from calibration.replay_index import carries_pictures
    from edge.precisions import TENSORRT_FORM

    judgement = made.judgement
    selection = made.seen.selection.selection
    for note in (*selection.notes, *made.seen.ranges[judgement.method].notes):
        click.echo(f"note: {note}", err=True)
    click.echo(f"{headline(judgement)}, ranges by {judgement.method}")
    for block in judgement.left_float:
        click.echo(f"  float16: {block}")
    for reason in (*judgement.reasons, *latency_sentences(judgement.latency_ratio)):
        click.echo(f"  {reason}")
    click.echo(f"bundle: {made.bundle.path}")
    click.echo(f"report: {made.bundle.path / REPORT}")
    if TENSORRT_FORM not in made.bundle.precisions or carries_pictures(made.bundle):
        click.echo(f"work, which can be removed now: {work}")
        return
    click.echo(
        f"no pictures for engines: keep {work / 'selection'}, and give it to `tilefix build "
        "--replay` on the device; until then `tilefix run` warns of INT8"
    )
    click.echo(f"the rest of the work, which can be removed now: {work}")


def tell_drift(drift: Drift, encoder: bool) -> None:
    """Whether the ranges fit the flight, and what saturates most.

    Args:
        drift: of the flight.
        encoder: whether windows were looked at too.
    """
    click.echo(f"{drift.advice.value} ({drift.images} pictures, {len(drift.tensors)} tensors)")
    for reason in drift.reasons:
        click.echo(f"  {reason}")
    if not encoder:
        click.echo("  windows were not looked at: give the new map with --tiles")
    click.echo("saturates most:")
    for each in drift.worst[:SHOWN_TENSORS]:
        click.echo(
            f"  {each.graph} {each.tensor}: {each.saturated_share:.3%} beyond the range "
            f"({each.calibrated_share:.3%} when calibrated), reaches {each.reach:.2f} times as far"
        )
