"""How long work shows how far it is, and the command that it was started with."""

from __future__ import annotations

import sys
from typing import Any


def progress_bar(unit: str) -> Any:
    """A bar with count and time left, on standard error."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True))


def command_line() -> str:
    """The words that this process was called with, as a shell takes them."""
    import shlex

    return shlex.join(["tilefix", *sys.argv[1:]])
