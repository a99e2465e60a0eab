"""Accuracy as curves over what was varied, or as bars."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import OutputError
from training.evaluation.summaries import LEARNT_SIGMA, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOTTED = ("acc@0.25", "acc@0.5")


def check_drawing() -> None:
    """Make sure, before all work, that `write_plot` can draw.

    Raises:
        ModuleNotFoundError: matplotlib, of the extra 'report', is not installed.
    """
    importlib.import_module("matplotlib")


def write_plot(path: Path, title: str, rows: Sequence[Summary], x_label: str | None) -> None:
    """Draw curves over x for each series, or bars; whiskers from low to high.

    Args:
        path: whose end names the format; written under a temporary name and renamed.
        title: above the plot.
        rows: what to draw; with `x_label`, those that have an x.
        x_label: what x is; None: bars.

    Raises:
        OutputError: the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.5))
    if x_label is None:
        _draw_bars(axis, rows)
    else:
        _draw_curves(axis, rows)
        axis.set_xlabel(x_label)
    axis.set_ylabel("accuracy, %")
    axis.set_ylim(0, 100)
    axis.set_title(title)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.tmp")
        figure.savefig(temporary, dpi=120, format=path.suffix.removeprefix("."))
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"the plot {path} cannot be written",
            expected="a folder that can be written to",
            found=str(error),
            do="make room, or give another path",
        ) from error
    finally:
        plt.close(figure)


def _draw_bars(axis: Axes, rows: Sequence[Summary]) -> None:
    places = np.arange(len(rows))
    for n, key in enumerate(PLOTTED):
        height, ends = _heights(rows, key)
        axis.bar(places + 0.4 * n - 0.2, height, 0.38, yerr=ends, capsize=3, label=key)
    axis.set_xticks(places, [r.label for r in rows], rotation=20, ha="right", fontsize=8)


def _draw_curves(axis: Axes, rows: Sequence[Summary]) -> None:
    for series in dict.fromkeys(r.series for r in rows):
        own = [r for r in rows if r.series == series and r.x is not None]
        own.sort(key=lambda r: r.x or 0)
        chosen = [r for r in own if LEARNT_SIGMA not in r.mean]
        learnt = [r for r in own if LEARNT_SIGMA in r.mean]  # found by training: no point of a line
        for n, key in enumerate(PLOTTED):
            name = f"{series}, {key}" if series else key
            _draw_points(axis, chosen, key, "-o" if n == 0 else "--o", name)
            if learnt:
                _draw_points(axis, learnt, key, "*" if n == 0 else "x", f"{name}, learnt")


def _draw_points(axis: Axes, rows: Sequence[Summary], key: str, style: str, name: str) -> None:
    height, ends = _heights(rows, key)
    size = 4 if "o" in style else 9
    axis.errorbar(
        [r.x for r in rows], height, ends, fmt=style, ms=size, lw=1.2, capsize=3, label=name
    )


def _heights(rows: Sequence[Summary], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Means and the lengths of the whiskers below and above, percent; NaN where unknown."""
    mean, low, high = (
        np.array([getattr(r, part)[key] for r in rows], float) * 100
        for part in ("mean", "low", "high")
    )
    return mean, np.clip(np.nan_to_num([mean - low, high - mean]), 0, None)
