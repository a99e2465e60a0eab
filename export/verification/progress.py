"""How far a comparison is: a bar on a terminal, and a line now and then in a file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import track

LINE_EVERY_S = 10.0
T = TypeVar("T")


def told(items: Iterable[T], total: int | None) -> Iterator[T]:
    """Hand the items on, and say on standard error how many were done.

    Args:
        items: in their order.
        total: how many there will be; None: unknown.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(items, description="compare", total=total, console=console, transient=True)
        return
    of = "" if total is None else f" of {total}"
    next_line_s = time.monotonic() + LINE_EVERY_S
    for number, item in enumerate(items, 1):
        yield item
        if time.monotonic() >= next_line_s:
            click.echo(f"compared {number}{of} frames", err=True)
            next_line_s += LINE_EVERY_S
