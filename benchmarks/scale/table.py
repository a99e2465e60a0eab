"""What large areas cost, as a Markdown table for the README."""

from __future__ import annotations

from pathlib import Path

import msgspec

from benchmarks.readme_table import Marks
from benchmarks.scale.estimate import SEARCH_FORMULA
from benchmarks.scale.text import ScaleReport, hours, load_words, size
from edge.errors import BenchmarkError
from edge.tiles.lattice import STEP_PX

MARKS = Marks(
    "<!-- table of tilefix bench table --of scale -->",
    "<!-- end of the table of tilefix bench table --of scale -->",
    "the table of areas",
)


def read_report(path: Path) -> ScaleReport:
    """What `tilefix bench scale --out` wrote.

    Raises:
        BenchmarkError: it is not there, or is something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=ScaleReport)
    except (OSError, msgspec.MsgspecError) as error:
        raise BenchmarkError(
            f"there are no costs of areas at {path}",
            expected="a file that tilefix bench scale --out FILE wrote",
            found=f"{type(error).__name__}: {error}",
            do="make it again: tilefix bench scale --out FILE",
        ) from error


def table(report: ScaleReport) -> str:
    """Markdown: areas, searches, and what they are extrapolated from."""
    cost, first = report.measured, report.areas[0].hours
    heads = ["area", "windows", *(f"hours, {each.count} x {each.device}" for each in first)]
    heads += ["FP16", "INT8", "sparse FP16"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for area in report.areas:
        cells = [area.area, f"{area.windows:,.0f}", *(hours(each.dense) for each in area.hours)]
        cells += [size(area.float16_bytes), size(area.int8_bytes), size(area.sparse_float16_bytes)]
        lines.append("| " + " | ".join(cells) + " |")
    searches = "; ".join(
        f"{each.sigma_m:g} m: {each.windows:,.1f} windows, {each.ms:,.0f} ms"
        for each in report.searches
    )
    share = report.areas[0].kept_share
    where = f"{report.machine}, {report.threads} threads, {report.date}, {load_words(report)}"
    lines += [
        "",
        f"A search with 8 clicks from a position of one sigma ({SEARCH_FORMULA}): {searches}.",
        "",
        f"Extrapolated from {cost.windows} windows of {report.sampled_map} that took "
        f"{cost.whole.mean_ms:,.0f} ms each on average ({cost.whole.least_ms:,.0f} to "
        f"{cost.whole.most_ms:,.0f}) on {where}; "
        f"a window stands for {STEP_PX * report.gsd_m:.4g} m each way. Sparse: a share of "
        f"{share:g} of the windows, which is given, not measured. `{report.command}`",
    ]
    return "\n".join(lines)
