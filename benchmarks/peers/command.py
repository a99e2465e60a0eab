"""`tilefix bench table`: the peers of a record, for people and for the README."""

from __future__ import annotations

from pathlib import Path

import click

ANY_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("record", metavar="FILE", type=ANY_PATH)
@click.option("--write", "readme", type=ANY_PATH, help="Put it between its marks in this file.")
def table(record: Path, readme: Path | None) -> None:
    """Print the peers of the last run in FILE, a record or its folder, as a table in Markdown."""
    from benchmarks.peers.table import MARKS, newest_peers
    from benchmarks.peers.table import table as made_of
    from benchmarks.record.file import FILE_NAME, lines

    path = record / FILE_NAME if record.is_dir() else record
    made = made_of(newest_peers(lines(path), str(path)))
    if readme is None:
        click.echo(made)
    else:
        MARKS.write(readme, made)
        click.echo(f"{readme}: table of the peers written")
