"""Files of the report: whole or not at all."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.report.drawing import Figure, svg
from benchmarks.report.figures import run_figures, trade_off_figures
from benchmarks.report.raster import write_png
from benchmarks.report.shown import ShownRun
from edge.errors import OutputError


def all_figures(runs: Sequence[ShownRun]) -> tuple[Figure, ...]:
    """Every figure of the page, under names that are used once."""
    several = len(runs) > 1
    found = list(trade_off_figures(runs)[:1])
    for number, shown in enumerate(runs, 1):
        found += run_figures(shown, f"run{number}-" if several else "").all
    return tuple(found)


def export_figures(runs: Sequence[ShownRun], folder: Path) -> tuple[Path, ...]:
    """Write every figure as SVG and as PNG; returns the paths.

    Raises:
        OutputError: the folder cannot be made, or a file in it not be written.
        ModuleNotFoundError: matplotlib is not installed (the extra `report`).
    """
    written: list[Path] = []
    for figure in all_figures(runs):
        drawn, rastered = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
        write_text(drawn, svg(figure, alone=True))
        write_file(rastered, partial(write_png, figure))
        written += [drawn, rastered]
    return tuple(written)


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        OutputError: it cannot be written.
    """
    write_file(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_file(path: Path, write: Callable[[Path], object]) -> None:
    """Have a file written under another name, then give it its own.

    Raises:
        OutputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise OutputError(
            f"{path} cannot be written",
            expected="a folder that can be written to, with room in it",
            found=f"{type(error).__name__}: {error}",
            do="make room, or give another path" if full else "give another path",
        ) from error
