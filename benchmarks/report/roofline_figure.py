"""The roofline of the machine, and where the graphs that ran lie below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.record.lines import RooflineLine, Unknown
from benchmarks.report.drawing import (
    MUTED,
    SERIES,
    WARN,
    Dot,
    Figure,
    Mark,
    Stroke,
    Words,
    legend,
    legend_height,
)
from benchmarks.report.scales import across, fitted, upwards

WIDTH, LEFT, RIGHT, TALL = 560.0, 62.0, 16.0, 250.0
READ = (
    "Along: multiply-accumulates for each byte that must move. Upwards: their rate. Nothing can be "
    "above the roof, which was measured on this machine in the same run."
)


@dataclass(frozen=True, slots=True)
class Ran:
    """A graph whose every number is known."""

    label: str
    macs_per_byte: float
    gmac_s: float
    fraction: float
    copy_gb_s: float
    matrix_gmac_s: float


def ran_of(lines: Sequence[RooflineLine]) -> tuple[Ran, ...]:
    """The graphs that can be drawn."""
    found = []
    for line in lines:
        values = (
            line.macs,
            line.compulsory_bytes,
            line.measured_ms,
            line.fraction,
            line.copy_gb_s,
            line.matrix_gmac_s,
        )
        known = [value for value in values if not isinstance(value, Unknown)]
        if len(known) == len(values):
            macs, size, took_ms, fraction, copied, rate = known
            label = graph_words(line)
            per_byte, reached = macs / size, macs / took_ms / 1e6
            found.append(Ran(label, per_byte, reached, fraction, copied, rate))
    return tuple(found)


def graph_words(line: RooflineLine) -> str:
    """ "encoder", or "localizer, 8 clicks"."""
    if not line.clicks:
        return line.graph.replace("reference_", "")
    return f"{line.graph}, {line.clicks} click{'s' if line.clicks > 1 else ''}"


def roofline_figure(name: str, title: str, ran: Sequence[Ran]) -> Figure:
    """Roof and graphs, over logarithmic axes; at least one graph."""
    entries = [
        (f"{each.label}: {each.fraction:.0%} of its bound", SERIES[n % len(SERIES)])
        for n, each in enumerate(ran)
    ]
    top = legend_height(entries, WIDTH - LEFT - RIGHT) + 14
    bottom = top + TALL
    copied, rate = ran[0].copy_gb_s, ran[0].matrix_gmac_s
    ridge = rate / copied
    per_byte = [each.macs_per_byte for each in ran]
    x = fitted([*per_byte, ridge / 6, ridge * 2], LEFT, WIDTH - RIGHT, logarithmic=True)
    y = fitted([*(e.gmac_s for e in ran), rate, x.low * copied], bottom, top, logarithmic=True)
    marks: list[Mark] = [
        *across(x, top, bottom, "MACs a byte"),
        *upwards(y, LEFT, WIDTH - RIGHT, "GMAC/s"),
    ]
    roof = [(x.low, x.low * copied), (ridge, rate), (x.high, rate)]
    marks.append(Stroke(tuple((x.at(a), y.at(b)) for a, b in roof), WARN, 2.5))
    marks.append(Words(x.at(x.high) - 4, y.at(rate) - 7, f"{rate:.0f} GMAC/s", WARN, anchor="end"))
    slope = (x.low * ridge) ** 0.5
    words = f"{copied:.1f} GB/s"
    marks.append(Words(x.at(slope) - 10, y.at(slope * copied) - 6, words, WARN, anchor="end"))
    for (words, colour), each in zip(entries, ran, strict=True):
        at = x.at(each.macs_per_byte), y.at(each.gmac_s)
        bound = y.at(min(each.macs_per_byte * each.copy_gb_s, each.matrix_gmac_s))
        marks.append(Stroke((at, (at[0], bound)), MUTED, 1, (3, 3)))
        marks.append(Dot(at[0], at[1], 5.5, colour, hint=words))
    marks += legend(entries, LEFT, 0, WIDTH - LEFT - RIGHT)
    return Figure(name, title, WIDTH, bottom + 42, tuple(marks), READ)
