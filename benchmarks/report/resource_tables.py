"""Memory, energy and heat of each measurement."""

from __future__ import annotations

from benchmarks.record.lines import Energy, Heat, Memory, Unknown
from benchmarks.report.doubts import MOST_GROWTH
from benchmarks.report.numbers import mib, unknown
from benchmarks.report.shown import Measured, ShownRun
from edge.page_parts import Cell, table

FACTS_FROM = 3  # the column after those that name a measurement
HEAD = (
    "scenario",
    "window",
    "clicks",
    "memory at first",
    "at last",
    "grown",
    "peak",
    "energy a frame",
    "mean power",
    "idle",
    "rail",
    "start °C",
    "most °C",
    "hottest",
    "throttled",
)


def resource_table(shown: ShownRun) -> str:
    """One row for each measurement; empty where there is none."""
    rows = [_row(each) for each in shown.measured]
    if not rows:
        return ""
    # Columns that say nothing in any row: of what is not known, the first one says so.
    facts = range(FACTS_FROM, len(HEAD))
    empty = {place for place in facts if not any(_says(row[place]) for row in rows)}
    shorter = [[cell for n, cell in enumerate(row) if n not in empty] for row in rows]
    head = [name for n, name in enumerate(HEAD) if n not in empty]
    return table(head, shorter, words=2)


def _says(cell: str | Cell) -> bool:
    return bool(cell.words if isinstance(cell, Cell) else cell)


def _row(each: Measured) -> list[str | Cell]:
    line = each.line
    clicks = str(line.clicks) if line.clicks else "-"
    head: list[str | Cell] = [line.scenario.value, line.state.value, clicks]
    return [*head, *_memory(line.memory), *_energy(line.energy), *_heat(line.heat)]


def _memory(found: Memory | Unknown) -> list[str | Cell]:
    if isinstance(found, Unknown):
        return _missing(found, 4)
    grown = found.growth
    tenths = found.first_bytes is not None and found.last_bytes is not None
    hint = "last tenth of the samples by the first" if tenths else "last reading by the first"
    words = Cell(f"{grown:+.1%}", "warn" if grown > MOST_GROWTH else "", hint)
    return [mib(found.start_bytes), mib(found.end_bytes), words, mib(found.peak_bytes)]


def _energy(found: Energy | Unknown) -> list[str | Cell]:
    if isinstance(found, Unknown):
        return _missing(found, 4)
    hint = f"{found.samples:,} samples at {found.rate_hz:g} Hz, idle subtracted"
    joule = Cell(f"{1e3 * found.joule_per_frame:,.1f} mJ", "", hint)
    return [joule, f"{found.mean_w:.1f} W", f"{found.idle_w:.1f} W", found.rail]


def _heat(found: Heat | Unknown) -> list[str | Cell]:
    if isinstance(found, Unknown):
        return _missing(found, 4)
    words = {True: Cell("YES", "bad"), False: Cell("no"), None: Cell("not said", "none")}
    return [
        f"{found.start_deg_c:.0f}",
        f"{found.max_deg_c:.0f}",
        found.hottest_zone,
        words[found.throttled],
    ]


def _missing(found: Unknown, cells: int) -> list[str | Cell]:
    return [unknown(found), *[""] * (cells - 1)]
