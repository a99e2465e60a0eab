"""What was measured on a published data set, as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.scoring import Scores
from training.evaluation.click_noise import noise_table
from training.evaluation.published_results import (
    CELLS,
    MEASURED,
    PAPER,
    interval,
    rows_of,
    table_beside,
)

# Scores that the papers' tables lack: key, title, factor, decimals
MORE = (
    ("mean_iou", "mean IoU, %", 100.0, 2),
    ("centre_accuracy", "centre accuracy, %", 100.0, 2),
    ("centre_error_px_median", "median centre error, px", 1.0, 1),
    ("centre_error_m_median", "median centre error, m", 1.0, 1),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One row that was measured here."""

    label: str
    click_sigma_px: float
    scores: Scores


def tables(rows: Sequence[Measured], set_name: str, split: str) -> list[Table]:
    """The papers' rows beside ours; then ours alone.

    Exact clicks in detail: further scores, by group and class, by number of objects. Then, where
    clicks were moved, one table by their error.
    """
    exact = [row for row in rows if row.click_sigma_px == 0]
    what = f"{set_name}, {split}"
    beside = table_beside(
        what, rows_of(set_name, split, ablations=True), [(row.label, row.scores) for row in exact]
    )
    found = [beside, _more(exact)]
    found += [detail for row in exact if (detail := _details(row)) is not None]
    if len(exact) < len(rows):
        found.append(noise_table(by_error(rows), what))
    return found


def by_error(rows: Sequence[Measured]) -> dict[str, dict[float, Scores]]:
    """Scores by label and by the error of the clicks."""
    found: dict[str, dict[float, Scores]] = {}
    for row in rows:
        found.setdefault(row.label, {})[row.click_sigma_px] = row.scores
    return found


def _more(rows: Sequence[Measured]) -> Table:
    table = Table(title=f"further scores, {MEASURED}", title_justify="left")
    table.add_column("model")
    for title in ("objects", "images", *(title for _, title, _, _ in MORE)):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        counts = [str(row.scores[f"n_{what}"]) for what in ("objects", "images")]
        cells = [interval(row.scores, key, factor, digits) for key, _, factor, digits in MORE]
        table.add_row(escape(row.label), *counts, *cells)
    return table


def _details(row: Measured) -> Table | None:
    scores = row.scores
    counts = [k.removeprefix("n_images_") for k in scores if k.startswith("n_images_")]
    parts = [
        (f"{kind} {name}", f"_{kind}_{name}", scores[f"n_{kind}_{name}"])
        for kind in ("group", "class")
        for name in (k.removeprefix(f"n_{kind}_") for k in scores if k.startswith(f"n_{kind}_"))
    ]
    if scores["n_images"] != scores["n_objects"]:
        parts += [(f"{c} objects", f"_objects_{c}", scores[f"n_objects_{c}"]) for c in counts]
    parts = [part for part in parts if part[2]]
    if not parts:
        return None
    table = Table(title=escape(f"{row.label}, {MEASURED}"), title_justify="left")
    for title in ("", "objects", *CELLS.values()):
        table.add_column(title, justify="right" if title else "left", no_wrap=bool(title))
    for title, end, count in parts:
        cells = [interval(scores, f"{key}{end}") for key in CELLS.values()]
        table.add_row(escape(title), str(count), *cells)
    return table


def print_tables(found: Sequence[Table], console: Console | None = None) -> None:
    """Print tables and what their numbers mean."""
    out = console or Console(width=None if sys.stdout.isatty() else 150)
    for table in found:
        out.print(table)
    out.print(
        f'"{PAPER}": stated by a paper, on its own runs. "{MEASURED}": with 95 % intervals by a '
        "bootstrap over images. IoU strictly greater than the threshold. Centre accuracy: the "
        "box's centre lies in the cell of the true one.",
        style="dim",
    )
