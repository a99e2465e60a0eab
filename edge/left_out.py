"""Pictures of a folder that cannot be read: told when they are met, and kept for the summary."""

from __future__ import annotations

import click

from edge.errors import SourceError

MOST_TOLD = 10  # where a disk was unplugged, the rest of a flight is unreadable


class LeftOutPictures:
    """Warns of the first ones on the error stream."""

    def __init__(self) -> None:
        self.errors: list[SourceError] = []

    def add(self, error: SourceError) -> None:
        """Take note of one more."""
        self.errors.append(error)
        if len(self.errors) <= MOST_TOLD:
            click.echo(f"warning: left out: {error.what} ({error.found})", err=True)
        elif len(self.errors) == MOST_TOLD + 1:
            click.echo("warning: more pictures are left out, and not named here", err=True)
