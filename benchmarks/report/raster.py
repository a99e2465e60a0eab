"""Figures as PNG, mark by mark, by matplotlib (the extra `report`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.report.drawing import INK, MARGIN, PANEL, Box, Dot, Figure, Mark, Stroke, Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAD_PX, DPI = 34.0, 200  # the title's line; pixels of the file for 100 of the figure: 200
FONTS = ["DejaVu Sans"]  # comes with matplotlib, so that a file is the same everywhere
POINTS = 0.72  # points for a pixel where an inch has 100


def write_png(figure: Figure, path: Path) -> None:
    """Draw the figure with its title on its background; `path` is written in place.

    Raises:
        OSError: it cannot be written.
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    wide, high = figure.width + 2 * MARGIN, figure.height + 2 * MARGIN + HEAD_PX
    with matplotlib.rc_context({"font.family": FONTS, "text.parse_math": False}):
        canvas = plt.figure(figsize=(wide / 100, high / 100), facecolor=PANEL)
        axes = canvas.add_axes((0, 0, 1, 1))
        axes.set_xlim(-MARGIN, wide - MARGIN)
        axes.set_ylim(high - MARGIN - HEAD_PX, -MARGIN - HEAD_PX)
        axes.axis("off")
        try:
            _draw(axes, Words(0, -HEAD_PX + 16, figure.title, INK, 16, bold=True), 0)
            for order, mark in enumerate(figure.marks, 1):
                _draw(axes, mark, order)
            canvas.savefig(path, dpi=DPI, format="png", facecolor=PANEL)
        finally:
            plt.close(canvas)


def _draw(axes: Axes, mark: Mark, order: int) -> None:
    from matplotlib.patches import Circle, FancyBboxPatch

    if isinstance(mark, Box):
        corner = min(mark.radius, mark.width / 2, mark.height / 2)
        style = f"round,pad=0,rounding_size={max(corner, 0):g}"
        place = (mark.x, mark.y)
        axes.add_patch(
            FancyBboxPatch(
                place,
                mark.width,
                mark.height,
                boxstyle=style,
                facecolor=mark.fill,
                edgecolor="none",
                alpha=mark.opacity,
                zorder=order,
            )
        )
    elif isinstance(mark, Stroke):
        dashes: Any = "-"
        if mark.dashes:
            dashes = (0, tuple(part / max(mark.width, 1) for part in mark.dashes))
        xs, ys = zip(*mark.points, strict=True)
        axes.plot(
            xs,
            ys,
            color=mark.colour,
            linewidth=mark.width * POINTS,
            linestyle=dashes,
            alpha=mark.opacity,
            solid_joinstyle="round",
            zorder=order,
        )
    elif isinstance(mark, Dot):
        face = PANEL if mark.hollow else mark.colour
        edge = mark.colour if mark.hollow else "none"
        axes.add_patch(
            Circle(
                (mark.x, mark.y),
                mark.radius,
                facecolor=face,
                edgecolor=edge,
                linewidth=2 * POINTS,
                zorder=order,
            )
        )
    else:
        axes.text(
            mark.x,
            mark.y,
            mark.text,
            color=mark.colour,
            fontsize=mark.size * POINTS,
            ha={"start": "left", "middle": "center", "end": "right"}[mark.anchor],
            va="baseline",
            fontweight="bold" if mark.bold else "normal",
            rotation=90 if mark.turned else 0,
            rotation_mode="anchor",
            zorder=order,
        )
