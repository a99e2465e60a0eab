"""`tilefix tiles merge`: the shards of a feature store put together."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from edge.commands.progress import command_line, progress_bar

INTERRUPTED = 130
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("shards", metavar="SHARD...", type=FOLDER, nargs=-1, required=True)
@click.option("--store", type=FOLDER, required=True, help="Folder of the store; new or empty.")
def merge(shards: tuple[Path, ...], store: Path) -> None:
    """Put the shards of a feature store together: tilefix tiles merge DIR/shard-* --store OUT.

    All shards must be there and finished. Every window is copied as it is, and checked against its
    checksum before and after. The shards stay; a merge that is stopped leaves nothing.
    """
    from edge.feature_merge import merge_shards

    try:
        with ExitStack() as shown:
            bar = progress_bar("windows")

            def step(done: int, total: int) -> None:
                if not bar.tasks:  # shards that are refused are an error without a bar above it
                    shown.enter_context(bar).add_task(store.name, total=total)
                bar.update(bar.tasks[0].id, completed=done)

            merged = merge_shards(shards, store, resume_command=command_line(), progress=step)
    except KeyboardInterrupt:
        click.echo("stopped: nothing was written", err=True)
        sys.exit(INTERRUPTED)
    size_mb = merged.data_bytes / 1e6
    click.echo(f"{store}: {merged.windows} windows of {merged.shards} shards, {size_mb:.1f} MB")
