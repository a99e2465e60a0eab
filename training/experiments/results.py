"""What came of an experiment: a table, JSON and a plot in its folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge.errors import OutputError
from training.evaluation.accuracy_plot import write_plot
from training.evaluation.measured_files import where_and_when, write_json
from training.evaluation.summaries import Summary

SCHEMA = "tilefix-experiment/1"
WIDTH = 150


def write_results(
    out: Path,
    name: str,
    rows: Sequence[Summary],
    table: Table,
    *,
    x_label: str | None = None,
    more: dict[str, Any] | None = None,
) -> None:
    """Write results.json, table.txt and plot.png.

    Args:
        out: the experiment's folder.
        name: of the experiment.
        rows: to plot: curves over `x_label`, or bars without it.
        table: to print.
        x_label: what x is.
        more: further keys of results.json.

    Raises:
        OutputError: a file that cannot be written.
    """
    values: dict[str, Any] = {"schema": SCHEMA, "experiment": name, **where_and_when()}
    values |= more or {}
    values["rows"] = [
        {
            "series": r.series,
            "label": r.label,
            "x": r.x,
            "seeds": r.seeds,
            "mean": r.mean,
            "low": r.low,
            "high": r.high,
        }
        for r in rows
    ]
    write_json(out / "results.json", values)
    text = io.StringIO()
    Console(file=text, width=WIDTH).print(table)
    try:
        (out / "table.txt").write_text(text.getvalue())
    except OSError as error:
        raise OutputError(
            f"the results cannot be written to {out}",
            expected="a folder that can be written to",
            found=str(error),
            do="make room or correct --out, and run the same command again",
        ) from error
    write_plot(out / "plot.png", name, rows, x_label)
