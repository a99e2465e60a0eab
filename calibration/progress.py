"""How far a long calibration is: a bar on a terminal, a line now and then without one."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Told = Callable[[str, int, int], None]  # what, done, in all (0: not known)
EVERY_S = 30.0  # between two lines about one step


@contextmanager
def shown_progress() -> Iterator[Told]:
    """Yield a function that is told of every step."""
    if sys.stderr.isatty():
        with _bars() as told:
            yield told
    else:
        yield _lines()


def _lines() -> Told:
    current, last_s = "", 0.0

    def told(name: str, done: int, total: int) -> None:
        nonlocal current, last_s
        now_s = time.monotonic()
        if name == current and done < total and now_s - last_s < EVERY_S:
            return
        if name == current and not total:
            return
        current, last_s = name, now_s
        click.echo(f"{name}: {done} of {total}" if total else name, err=True)

    return told


@contextmanager
def _bars() -> Iterator[Told]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def told(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total or None)
            progress.update(tasks[name], completed=done, total=total or None)

        yield told
