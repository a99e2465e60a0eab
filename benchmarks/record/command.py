"""`tilefix bench compare`: two records, side by side."""

from __future__ import annotations

import click


@click.command()
def compare() -> None:
    """Compare two records of the same kind of run."""
    raise NotImplementedError
