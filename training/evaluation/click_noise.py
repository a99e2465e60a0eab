"""Robustness to careless clicks: accuracy against the error of the clicks, table and curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from edge.scoring import Scores
from training.evaluation.accuracy_plot import write_plot
from training.evaluation.published_results import MEASURED, interval
from training.evaluation.summaries import KEYS, Outcome, Summary, summarise

NAME = "click-noise"
X_LABEL = "error of the click, one sigma in x and y, pixels of the frame"
ByError = Mapping[str, Mapping[float, Scores]]  # what was measured -> sigma in pixels -> its scores


def noise_rows(measured: ByError) -> list[Summary]:
    """One row for each model and error."""
    return [
        row
        for series, scores in measured.items()
        for row in summarise([Outcome(f"{s:g} px", s, 0, scores[s]) for s in scores], series)
    ]


def noise_table(measured: ByError, what: str) -> Table:
    """All models and errors in one table; `what` they were measured on is in its title."""
    title = f"{NAME}: {what}, {MEASURED}, percent"
    table = Table(title=escape(title), title_justify="left")
    table.add_column("model", overflow="fold")
    for name in ("clicks off by", *KEYS):
        table.add_column(name, justify="right", no_wrap=True)
    for series, scores in measured.items():
        for number, (sigma, own) in enumerate(scores.items()):
            cells = [interval(own, key) for key in KEYS]
            table.add_row("" if number else escape(series), f"{sigma:g} px", *cells)
        table.add_section()
    return table


def write_noise_plot(path: Path, measured: ByError, what: str) -> None:
    """A curve of accuracy over the clicks' error for each model.

    Raises:
        OutputError: the file cannot be written.
    """
    write_plot(path, f"{NAME}: {what}", noise_rows(measured), X_LABEL)
