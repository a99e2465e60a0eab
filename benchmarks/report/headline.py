"""What stands on top of the report: the numbers that decide, and what speaks against them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.record.lines import (
    AccuracyLine,
    CacheState,
    Energy,
    FlownAccuracy,
    Memory,
    Scenario,
    Unknown,
)
from benchmarks.record.percentiles import too_few
from benchmarks.report.doubts import MOST_MISSED, Doubt, doubts_of, gravely_disturbed
from benchmarks.report.numbers import mib, missed_share, ms, took
from benchmarks.report.shown import Measured, ShownRun
from edge.page_parts import Tile, tiles

DISTURBED = ", on a disturbed machine"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The report in a few words."""

    words: str
    kind: str  # "good", "warn", "bad", or "" where there is nothing to judge


def verdict_of(shown: ShownRun) -> Verdict:
    """Whether the camera's rate was held; without an open loop, the median alone.

    Where others had much of the cores, it says so: such a rate is not what this machine holds.
    """
    best, flown = shown.headline, shown.open_loop
    if best is None or best.summary is None:
        return Verdict("nothing was measured", "bad")
    late = flown.line.punctuality if flown is not None else None
    if flown is None or late is None:
        middle = best.summary.median_ms
        said = too_few(50.0) if middle is None else f"{ms(middle)} ms at the median"
        words = f"{said}, {best.words}"
        return Verdict(words + DISTURBED, "warn") if gravely_disturbed(best) else Verdict(words, "")
    share = late.missed / late.scheduled if late.scheduled else 1.0
    missed = f"{missed_share(late.missed, late.scheduled)} of the frames missed"
    missed += DISTURBED if gravely_disturbed(flown) else ""
    if share > MOST_MISSED:
        return Verdict(f"{late.rate_hz:g} Hz not held, {missed}", "bad")
    words = f"{late.rate_hz:g} Hz held, {missed}"
    if any(doubt.grave for doubt in doubts_of(shown)):
        return Verdict(f"{words}, with doubts", "warn")
    return Verdict(words, "good")


def headline(shown: ShownRun, others: int) -> str:
    """Heading, sentence, doubts and tiles of a run, as HTML.

    Args:
        shown: the run on top.
        others: how many more runs the page has.
    """
    line, said = shown.run.line, verdict_of(shown)
    bundle = line.bundle
    sentence = (
        f"{bundle.name} in {bundle.executor}, {bundle.precision}, {bundle.threads} threads, frames "
        f"of {bundle.frame_px[0]} x {bundle.frame_px[1]} px, on {shown.machine}. Accuracy and "
        f"latency are of the same bundle on the same pairs ({line.settings.pairs}). Measured from "
        f"{line.started_utc[:16].replace('T', ' ')} UTC on."
    )
    if others:
        sentence += f" {others} more run{'s' if others > 1 else ''} on this page."
    heading = (
        f'<h1>{html.escape(bundle.name)}: <b class="{said.kind or "plain"}">'
        f"{html.escape(said.words)}</b></h1><p>{html.escape(sentence)}</p>"
    )
    return heading + doubt_box(doubts_of(shown)) + tiles(_tiles(shown))


def doubt_box(doubts: Sequence[Doubt]) -> str:
    """The doubts of a run, grave ones in red; nothing where there are none."""
    if not doubts:
        return ""
    grave = [doubt for doubt in doubts if doubt.grave]
    title = "Do not rely on these numbers as they are" if grave else "To be known beforehand"
    lines = "".join(
        f"<li{' class=bad' if doubt.grave else ''}>{html.escape(doubt.words)}</li>"
        for doubt in doubts
    )
    kind = "doubts grave" if grave else "doubts"
    return f'<div class="{kind}" role="note"><b>{title}</b><ul>{lines}</ul></div>'


def _tiles(shown: ShownRun) -> list[Tile]:
    best = shown.headline
    if best is None or best.summary is None:
        return []
    found = best.summary
    marked = "warn" if not best.complete or best.unstable or gravely_disturbed(best) else ""
    made = [
        Tile(took(found.median_ms, too_few(50.0)), f"p50, {best.words}", marked),
        Tile(took(found.p99_ms, too_few(99.0)), "p99 of the same", marked),
        Tile(took(found.max_ms, ""), f"slowest of {found.count:,}", marked),
    ]
    late = shown.open_loop.line.punctuality if shown.open_loop is not None else None
    if late is not None:
        kind = "good" if late.missed <= MOST_MISSED * late.scheduled else "bad"
        words = f"frames missed at {late.rate_hz:g} Hz: {late.missed:,} of {late.scheduled:,}"
        made.append(Tile(missed_share(late.missed, late.scheduled), words, kind))
    made += _worth(shown, best)
    made += _more(shown, best)
    return made


def _worth(shown: ShownRun, best: Measured) -> list[Tile]:
    worth = shown.worth(best.line)
    if not isinstance(worth, AccuracyLine | FlownAccuracy):
        why = "accuracy of this bundle on these pairs" if worth is None else worth.reason
        return [Tile("not scored", why, "bad")]
    of = "of this flight" if isinstance(worth, FlownAccuracy) else "no prior"
    return [
        _share(worth.acc25, f"acc@0.25, {of}"),
        _share(worth.acc50, f"acc@0.5, {of}"),
        _share(worth.coverage, "accepted (coverage)"),
        _share(worth.wrong_rate, "of the accepted are wrong", digits=1),
    ]


def _share(value: float | Unknown, words: str, digits: int = 0) -> Tile:
    if isinstance(value, Unknown):
        return Tile("-", value.reason)
    return Tile(f"{value:.{digits}%}", words)


def _more(shown: ShownRun, best: Measured) -> list[Tile]:
    line, made = best.line, []
    for scenario in (line.scenario, Scenario.MULTI_STREAM):
        cold = shown.find(scenario, CacheState.COLD, line.clicks)
        if cold is None or cold is best or cold.summary is None:
            continue
        middle = cold.summary.median_ms
        if middle is not None:
            made.append(Tile(took(middle, ""), f"p50, {scenario.value}, window new (cold)"))
            break
    peaks = [each.line.memory for each in shown.measured if isinstance(each.line.memory, Memory)]
    if peaks:
        made.append(Tile(mib(max(each.peak_bytes for each in peaks)), "most memory"))
    if isinstance(line.energy, Energy):
        joule = f"{1e3 * line.energy.joule_per_frame:.0f} mJ"
        made.append(Tile(joule, f"a frame, idle subtracted ({line.energy.rail})"))
    return made
