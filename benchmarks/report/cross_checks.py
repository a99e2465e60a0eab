"""The engine's time against that of the toolkit's own program, as the report shows it."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.record.lines import CrossCheckLine, Unknown
from benchmarks.report.numbers import ms, unknown
from edge.page_parts import Cell, table


def cross_check_table(lines: Sequence[CrossCheckLine]) -> str:
    """One row for each graph and number of clicks; empty where nothing was checked."""
    head = ("graph", "clicks", "tool", "engine here, ms", "engine there, ms", "apart", "allowed")
    return table(head, [_row(line) for line in lines], words=3) if lines else ""


def cross_check_words(line: CrossCheckLine) -> str:
    """A check in one sentence: "localizer, 8 clicks: 3.200 ms here, 2.900 ms by trtexec"."""
    clicks = f", {line.clicks} click{'s' if line.clicks > 1 else ''}" if line.clicks else ""
    ours, theirs = line.ours_ms, line.theirs_ms
    for value in (ours, theirs):
        if isinstance(value, Unknown):
            return f"{line.graph}{clicks}: not checked by {line.tool}: {value.reason}"
    return (
        f"{line.graph}{clicks}: {ours:.3f} ms here, {theirs:.3f} ms by {line.tool}, "
        f"{apart(line):.1%} apart"
    )


def apart(line: CrossCheckLine) -> float | None:
    """By how much our time differs, as a share of theirs; None: one of both is not known."""
    ours, theirs = line.ours_ms, line.theirs_ms
    if isinstance(ours, Unknown) or isinstance(theirs, Unknown):
        return None
    return abs(ours - theirs) / theirs


def _row(line: CrossCheckLine) -> list[str | Cell]:
    far = apart(line)
    kind = "good" if line.passed else "bad"
    return [
        line.graph,
        str(line.clicks) if line.clicks else "-",
        line.tool,
        *(unknown(e) if isinstance(e, Unknown) else ms(e) for e in (line.ours_ms, line.theirs_ms)),
        Cell("not checked" if far is None else f"{far:.1%}", kind),
        f"{line.tolerance:.0%}",
    ]
