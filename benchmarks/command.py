"""`tilefix bench`: measure a bundle on this machine, compare records, report."""

from __future__ import annotations

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measure a bundle on this machine, compare records, report."""
