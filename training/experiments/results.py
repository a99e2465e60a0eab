"""What came of an experiment: means over seeds, a table, a plot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from edge.errors import OutputError
from training.evaluation.measured_files import where_and_when, write_json
from training.evaluation.published_results import CELLS, MEASURED, PAPER, PublishedRow
from training.experiments.variants import Outcome

SCHEMA = "tilefix-experiment/1"
KEYS = ("acc@0.5", "acc@0.25", "accI@0.25", "mean_iou", "centre_accuracy")
PLOTTED = ("acc@0.5", "acc@0.25")
WIDTH = 120


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
    """One summary per label, in the order of their first appearance."""
    rows = []
    for label in dict.fromkeys(o.label for o in outcomes):
        own = [o for o in outcomes if o.label == label]
        mean: dict[str, float | None] = {}
        low: dict[str, float | None] = {}
        high: dict[str, float | None] = {}
        for key in KEYS:
            values = [v for o in own if (v := o.scores.get(key)) is not None]
            mean[key] = float(np.mean(values)) if values else None
            if len(own) > 1:
                low[key] = min(values, default=None)
                high[key] = max(values, default=None)
            else:
                low[key], high[key] = (own[0].scores.get(f"{key}{end}") for end in ("_lo", "_hi"))
        rows.append(Summary(series, label, own[0].x, len(own), mean, low, high))
    return rows


def results_table(
    title: str, rows: Sequence[Summary], published: Sequence[PublishedRow] = ()
) -> Table:
    """Ours, and above them the papers' where there are any. Percent."""
    table = Table(title=title, title_justify="left")
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
        cells = [_cell(summary, key) for key in KEYS]
        table.add_row(name, MEASURED, str(summary.seeds), *cells)
    return table


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
        draw(out / "plot.png", name, rows, x_label)
    except OSError as error:
        raise OutputError(
            f"the results cannot be written to {out}",
            expected="a folder that can be written to",
            found=str(error),
            do="make room or correct --out, and run the same command again",
        ) from error


def draw(path: Path, title: str, rows: Sequence[Summary], x_label: str | None) -> None:
    """Curves of accuracy over x for each series, or bars; whiskers from low to high."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5))
    if x_label is None:
        places = np.arange(len(rows))
        for n, key in enumerate(PLOTTED):
            height, ends = _heights(rows, key)
            axis.bar(places + 0.4 * n - 0.2, height, 0.38, yerr=ends, capsize=3, label=key)
        axis.set_xticks(places, [r.label for r in rows], rotation=20, ha="right", fontsize=8)
    else:
        for series in dict.fromkeys(r.series for r in rows):
            own = sorted(
                (r for r in rows if r.series == series and r.x is not None), key=lambda r: r.x or 0
            )
            for n, key in enumerate(PLOTTED):
                height, ends = _heights(own, key)
                name = f"{series}, {key}" if series else key
                style = "-o" if n == 0 else "--o"
                axis.errorbar(
                    [r.x for r in own], height, ends, fmt=style, ms=4, lw=1.2, capsize=3, label=name
                )
        axis.set_xlabel(x_label)
    axis.set_ylabel("accuracy, %")
    axis.set_ylim(0, 100)
    axis.set_title(title)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _heights(rows: Sequence[Summary], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and the lengths of the whiskers below and above, percent; NaN where unknown."""
    mean, low, high = (
        np.array([getattr(r, part)[key] for r in rows], float) * 100
        for part in ("mean", "low", "high")
    )
    return mean, np.clip(np.nan_to_num([mean - low, high - mean]), 0, None)


def _cell(row: Summary, key: str) -> str:
    mean, low, high = row.mean[key], row.low[key], row.high[key]
    if mean is None:
        return "-"
    ends = "" if low is None or high is None else f" ({100 * low:.1f}..{100 * high:.1f})"
    return f"{100 * mean:.2f}{ends}"
