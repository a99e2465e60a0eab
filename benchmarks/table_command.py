"""`tilefix bench table`: what records say, as tables for people and for the README."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.readme_table import Marks

ANY_PATH = click.Path(path_type=Path)
KINDS = ("peers", "periodic", "scale")


@click.command()
@click.argument("records", metavar="RECORD...", type=ANY_PATH, nargs=-1, required=True)
@click.option("--of", "kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True)
@click.option("--write", "readme", type=ANY_PATH, help="Put it between its marks in this file.")
def table(records: tuple[Path, ...], kind: str, readme: Path | None) -> None:
    """Print a table in Markdown: peers of a record, open loops of several, or costs of areas.

    RECORD is a file of `tilefix bench` or its folder; with --of periodic also a folder of such
    files without a bench.jsonl; with --of scale the file that `tilefix bench scale --out` wrote.
    """
    marks, made = made_of(kind, records)
    if readme is None:
        click.echo(made)
    else:
        marks.write(readme, made)
        click.echo(f"{readme}: {marks.what} written")


def made_of(kind: str, records: tuple[Path, ...]) -> tuple[Marks, str]:
    """The table of a kind, and where it belongs in a README.

    Raises:
        UsageError: several records where one is wanted.
        BenchmarkError: a record that is missing, broken, or has nothing of the kind.
    """
    if kind == "periodic":
        from benchmarks.report import periodic_table

        return periodic_table.MARKS, periodic_table.table(periodic_table.flown_of(records))
    record = _only(kind, records)
    if kind == "scale":
        from benchmarks.scale import table as scale_table

        return scale_table.MARKS, scale_table.table(scale_table.read_report(record))
    from benchmarks.peers import table as peer_table
    from benchmarks.record.file import lines
    from benchmarks.record.runs import record_path

    path = record_path(record)
    return peer_table.MARKS, peer_table.table(peer_table.newest_peers(lines(path), str(path)))


def _only(kind: str, records: tuple[Path, ...]) -> Path:
    if len(records) > 1:
        from edge.errors import UsageError

        raise UsageError(
            f"--of {kind} takes one record",
            expected="one RECORD",
            found=", ".join(map(str, records)),
            do="give one of them",
        )
    return records[0]
