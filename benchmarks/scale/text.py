"""The costs of large areas for people: what is measured, what is extrapolated, and by what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.scale.areas import RECTANGLE_FORMULA, SEARCHED_FORMULA
from benchmarks.scale.estimate import (
    BYTES_FORMULA,
    HOURS_FORMULA,
    SEARCH_FORMULA,
    AreaCost,
    SearchCost,
)
from benchmarks.scale.sample import Spread, WindowCost
from edge.tiles.lattice import STEP_PX


@dataclass(frozen=True, slots=True)
class ScaleReport:
    """All that was measured and what follows from it."""

    schema: str
    command: str
    machine: str
    date: str
    load_average: float | None  # at the start; None: the machine does not say
    bundle: str
    threads: int
    gsd_m: float
    gsd_from: str
    sampled_map: str
    sampled_map_formula_windows: float
    measured: WindowCost
    areas: tuple[AreaCost, ...]
    searches: tuple[SearchCost, ...]


def words(report: ScaleReport) -> Iterable[str]:
    """The report, line by line."""
    cost = report.measured
    step_m = STEP_PX * report.gsd_m
    where = f"{report.machine}, {report.threads} threads, {report.date}, {load_words(report)}"
    yield f"{where}; bundle {report.bundle}"
    yield ""
    yield f"MEASURED on {cost.windows} windows of {report.sampled_map}, mean (least to most):"
    for name, spread in (
        ("read tiles", cost.read),
        ("encode", cost.encode),
        ("write", cost.write),
        ("a window in all", cost.whole),
        ("load from the store", cost.load),
        ("locate 8 clicks in it", cost.locate),
    ):
        yield f"  {name:<22}{_spread(spread)}"
    sizes = f"FP16 {size(cost.record_bytes)}, INT8 {size(cost.int8_record_bytes)}"
    yield f"  bytes in the store    {sizes}"
    yield (
        f"  windows of this map   {cost.map_windows} counted by the lattice, "
        f"{report.sampled_map_formula_windows:.1f} by the formula below"
    )
    yield ""
    yield (
        f"EXTRAPOLATED, s = {STEP_PX} px x {report.gsd_m:.4g} m = {step_m:.4g} m "
        f"({report.gsd_from}):"
    )
    yield f"  {RECTANGLE_FORMULA}; {HOURS_FORMULA}; {BYTES_FORMULA}"
    yield ""
    yield from _columns(_area_rows(report.areas))
    yield ""
    yield from _sparse(report.areas)
    yield ""
    yield f"SEARCH, extrapolated: {SEARCHED_FORMULA}; {SEARCH_FORMULA}"
    yield ""
    yield from _columns(_search_rows(report.searches))


def _area_rows(areas: Sequence[AreaCost]) -> list[list[str]]:
    rows = [["area", "km2", "windows"]]
    first = areas[0].hours if areas else ()
    rows[0] += [f"hours, {each.count} x {each.device}" for each in first]
    rows[0] += ["FP16", "INT8", "sparse FP16", "sparse INT8", "sparse hours"]
    for each in areas:
        row = [each.area, f"{each.km2:,.0f}", f"{each.windows:,.0f}"]
        row += [hours(own.dense) for own in each.hours]
        sizes = (each.float16_bytes, each.int8_bytes)
        row += [size(value) for value in sizes]
        row += [size(each.sparse_float16_bytes), size(each.sparse_int8_bytes)]
        rows.append([*row, hours(each.hours[0].sparse)])
    return rows


def _sparse(areas: Sequence[AreaCost]) -> Iterable[str]:
    for share in dict.fromkeys(each.kept_share for each in areas):
        yield (
            f"Sparse: only the windows where an object can be, a share of {share:g}, which is "
            "given (--kept-share), not measured. Sparse hours: of the first column of hours."
        )
    given = dict.fromkeys(h.device for each in areas for h in each.hours if not h.measured)
    for name in given:
        yield f"{name}: its time for a window is given (--device), not measured here."


def _search_rows(searches: Sequence[SearchCost]) -> list[list[str]]:
    rows = [["sigma", "windows", "ms here"]]
    rows += [[f"{s.sigma_m:g} m", f"{s.windows:,.1f}", f"{s.ms:,.0f}"] for s in searches]
    return rows


def _columns(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    wide = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        first, *rest = (cell for cell in row)
        cells = [f"{first:<{wide[0]}}", *(f"{c:>{w}}" for c, w in zip(rest, wide[1:], strict=True))]
        yield "  ".join(cells).rstrip()


def _spread(spread: Spread) -> str:
    return f"{spread.mean_ms:,.1f} ms ({spread.least_ms:,.1f} to {spread.most_ms:,.1f})"


def load_words(report: ScaleReport) -> str:
    """How busy the machine was."""
    load = report.load_average
    return "load not known" if load is None else f"load {load:.1f} at the start"


def hours(value: float) -> str:
    """Hours with three digits, as far as they are before the point."""
    return f"{value:,.0f}" if value >= 99.5 else f"{value:.3g}"


def size(value: float) -> str:
    """Bytes in the unit that leaves one to three digits before the point."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
        value /= 1000
    raise AssertionError
