"""Scores side by side: means over seeds, or single measurements, in rows of a table or a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.markup import escape
from rich.table import Table

from edge.scoring import Scores
from training.evaluation.published_results import CELLS, MEASURED, PAPER, PublishedRow

KEYS = ("acc@0.25", "acc@0.5", "accI@0.25", "mean_iou", "centre_accuracy")
LEARNT_SIGMA = "learnt_sigma"  # of the click map, fraction of the diagonal; beside scores


@dataclass(frozen=True, slots=True)
class Outcome:
    """One measurement."""

    label: str
    x: float | None  # its place on the axis of a plot
    seed: int
    scores: Scores


@dataclass(frozen=True, slots=True)
class Summary:
    """One row: the mean over seeds, and from where to where it goes.

    With several seeds the ends are their smallest and largest value: what a single run may show.
    With one they are the 95 % interval over images, which knows nothing of other seeds.
    """

    series: str
    label: str
    x: float | None
    seeds: int
    mean: dict[str, float | None]
    low: dict[str, float | None]
    high: dict[str, float | None]


def summarise(outcomes: Sequence[Outcome], series: str = "") -> list[Summary]:
    """One summary per label, in the order of their first appearance.

    `LEARNT_SIGMA` is among the keys of those that learnt one; x is the mean where it differs.
    """
    rows = []
    for label in dict.fromkeys(o.label for o in outcomes):
        own = [o for o in outcomes if o.label == label]
        mean: dict[str, float | None] = {}
        low: dict[str, float | None] = {}
        high: dict[str, float | None] = {}
        learnt = any(LEARNT_SIGMA in o.scores for o in own)
        for key in (*KEYS, LEARNT_SIGMA) if learnt else KEYS:
            values = [v for o in own if (v := o.scores.get(key)) is not None]
            mean[key] = float(np.mean(values)) if values else None
            if len(own) > 1:
                low[key] = min(values, default=None)
                high[key] = max(values, default=None)
            else:
                low[key], high[key] = (own[0].scores.get(f"{key}{end}") for end in ("_lo", "_hi"))
        rows.append(Summary(series, label, _mean_x(own), len(own), mean, low, high))
    return rows


def _mean_x(outcomes: Sequence[Outcome]) -> float | None:
    known = [o.x for o in outcomes if o.x is not None]
    if len(set(known)) > 1:
        return float(np.mean(known))
    return known[0] if known else None


def summary_table(
    title: str, rows: Sequence[Summary], published: Sequence[PublishedRow] = ()
) -> Table:
    """Ours, and above them the papers' where there are any. Percent."""
    table = Table(title=escape(title), title_justify="left")
    for name in ("", "from", "seeds"):
        table.add_column(name)
    for key in KEYS:
        table.add_column(key, justify="right", no_wrap=True)
    for row in published:
        stated = {key: getattr(row, field) for field, key in CELLS.items()}
        cells = ["-" if (v := stated.get(key)) is None else f"{v:.2f}" for key in KEYS]
        table.add_row(f"{row.model} {row.variant}".strip(), PAPER, "-", *cells)
    for summary in rows:
        name = f"{summary.series}: {summary.label}" if summary.series else summary.label
        if LEARNT_SIGMA in summary.mean:
            name += f": sigma {_cell(summary, LEARNT_SIGMA)}"
        cells = [_cell(summary, key) for key in KEYS]
        table.add_row(escape(name), MEASURED, str(summary.seeds), *cells)
    return table


def _cell(row: Summary, key: str) -> str:
    mean, low, high = (part.get(key) for part in (row.mean, row.low, row.high))
    if mean is None:
        return "-"
    factor, digits, end_digits = (1, 4, 4) if key == LEARNT_SIGMA else (100, 2, 1)
    ends = ""
    if low is not None and high is not None:
        ends = f" ({factor * low:.{end_digits}f}..{factor * high:.{end_digits}f})"
    return f"{factor * mean:.{digits}f}{ends}"
