"""`tilefix bench compare`: two records, side by side."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.record.compare import SCENARIOS, compare_runs
from benchmarks.record.comparison_text import comparison_text
from benchmarks.record.kinds import HOW, MACHINE, SETTINGS
from benchmarks.record.runs import Run, read_runs, record_path

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("first", type=PATH, metavar="A")
@click.argument("second", type=PATH, metavar="B")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice([*MACHINE, *HOW, *SETTINGS, SCENARIOS]),
    help="A kind that differs on purpose; may be given several times.",
)
def compare(first: Path, second: Path, allow: tuple[str, ...]) -> None:
    """Compare the last runs of two records: ratios of latencies with 95 % intervals.

    A and B are files of `tilefix bench`, or folders with a bench.jsonl or one other record. Runs of
    different machines, executors, settings or scenarios are refused; their differences are listed.
    """
    comparison = compare_runs(_last(first, "A"), _last(second, "B"), allow)
    click.echo(comparison_text(comparison))


def _last(path: Path, name: str) -> Run:
    runs = read_runs(path)
    if len(runs) > 1:
        click.echo(f"{name}: the last of {len(runs)} runs in {record_path(path)}", err=True)
    return runs[-1]
