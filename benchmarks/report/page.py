"""The report of one or more runs: one HTML file without scripts, links, or anything to load."""

from __future__ import annotations

import html
from collections.abc import Sequence

from benchmarks.record.lines import Unknown
from benchmarks.report.cross_checks import cross_check_table
from benchmarks.report.doubts import doubts_of
from benchmarks.report.drawing import Figure, svg
from benchmarks.report.fact_tables import (
    accuracy_table,
    bundle_table,
    environment_table,
    peer_table,
)
from benchmarks.report.figures import run_figures, trade_off_figures
from benchmarks.report.headline import doubt_box, headline, verdict_of
from benchmarks.report.latency_tables import latency_table, overview_table, punctuality_table
from benchmarks.report.resource_tables import resource_table
from benchmarks.report.roofline_tables import prediction_table, roofline_table
from benchmarks.report.shown import ShownRun
from benchmarks.report.unknowns import unknowns_of
from edge.errors import BenchmarkError
from edge.page_parts import Cell, document, footer, section, table

# Nothing may be loaded from anywhere, and nothing may run.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
MORE_STYLE = """
main{max-width:1400px}
h1 b.plain{color:var(--ink)}h1 b.good{color:var(--right)}h1 b.warn{color:var(--missed)}
h1 b.bad{color:var(--wrong)}h3{font-size:15px;margin:0 0 8px;font-weight:600}
.none{color:#6d7a8c}.scroll{max-height:none;overscroll-behavior-x:contain}
.figures{display:grid;gap:16px;grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr))}
.figure{background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:16px;
min-width:0}
.figure svg text{stroke:none;font-weight:400}.figure svg text.b{font-weight:650}
.narrow{display:none}@media(max-width:700px){.narrow{display:block}.wide{display:none}}
.doubts{border:1px solid var(--missed);border-radius:12px;padding:14px 18px;margin:18px 0;
background:#241d12}.doubts b{color:var(--missed)}.doubts ul{margin:6px 0 0}
.doubts.grave{border:2px solid var(--wrong);background:#2a1418}.doubts.grave>b{color:var(--wrong);
font-size:18px}.doubts li.bad{color:#ff9a9a}
.guess-mark{margin:0;padding:10px 16px;max-width:none;background:var(--missed);color:#1b1406;
font-weight:650}
.guess td{font-style:italic}.guess tbody{background:repeating-linear-gradient(135deg,#1d2028 0 10px,
transparent 10px 20px)}.guess td.l{font-style:normal}
.run{margin-top:40px;border-top:2px solid var(--line)}.run>summary{font-size:20px;padding:16px 0;
color:var(--ink)}.run h2{font-size:18px;margin-top:28px}
.tile b{font-size:26px;overflow-wrap:anywhere}
th,td{padding:6px 8px}td.marks{white-space:normal;font-weight:650}th{vertical-align:bottom}
.roof{display:grid;gap:16px;grid-template-columns:minmax(0,5fr) minmax(0,7fr);align-items:start}
.roof th{white-space:normal}.roof .panel{min-width:0}
@media(max-width:1150px){.roof{grid-template-columns:minmax(0,1fr)}}
.pair{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));
align-items:start}.pair .panel{min-width:0}td.v,td.w{white-space:normal;overflow-wrap:anywhere}
td.w{min-width:160px}
@media(max-width:600px){main{padding:24px 14px 48px}h1{font-size:25px}.tile b{font-size:20px}
.tile{padding:12px}
.tiles{grid-template-columns:repeat(auto-fit,minmax(140px,1fr))}th,td{padding:6px 8px}}
@media print{.run{break-before:page}}
"""


def page(runs: Sequence[ShownRun]) -> str:
    """The whole page as HTML; the first run stands on top.

    Raises:
        BenchmarkError: there is no run.
    """
    if not runs:
        raise BenchmarkError(
            "there is nothing to report",
            expected="at least one run",
            found="none",
            do="measure first: tilefix bench --out DIR",
        )
    first, more = runs[0], len(runs) - 1
    body = [headline(first, more)]
    if more:
        body.append(section("All runs", overview_table(runs)))
    traded = trade_off_figures(runs)
    if traded:
        sized = zip(("wide", "narrow"), traded, strict=True)
        drawn = "".join(f'<div class="figure {kind}">{svg(each)}</div>' for kind, each in sized)
        inside = f"<p>{html.escape(traded[0].words)}</p>{drawn}"
        body.append(section(traded[0].title, inside, panel=False))
    for number, shown in enumerate(runs):
        body.append(_details(shown, number) if more else _run(shown))
    body.append(footer(_made(runs)))
    title = f"{first.label}: {verdict_of(first).words}"
    return document(title, "".join(body), MORE_STYLE, POLICY)


def _details(shown: ShownRun, number: int) -> str:
    """One of several runs: the first one is open, the doubts of the others stand in them."""
    state = "" if number else " open"
    doubts = doubt_box(doubts_of(shown)) if number else ""
    title = f"{shown.label}: {verdict_of(shown).words}"
    summary = f"<summary>{html.escape(title)}</summary>"
    return f'<details class="run"{state}>{summary}{doubts}{_run(shown)}</details>'


def _run(shown: ShownRun) -> str:
    line, figures = shown.run.line, run_figures(shown)
    board = line.environment.board
    name = "" if isinstance(board, Unknown) else board
    flown = [x for x in shown.run.rooflines if x.clicks in (0, 1, line.settings.clicks)]
    predicted = prediction_table(flown)
    late, resources = punctuality_table(shown), resource_table(shown)
    checked = cross_check_table(shown.run.cross_checks)
    parts = [
        section("Latency", latency_table(shown)) if shown.measured else "",
        _figures("Distributions", figures.tails),
        _figures("Where the time goes", figures.waterfalls),
        _figures("Over the course of the measurement", figures.drifts),
        section("Punctuality", late) if late else "",
        section("Memory, energy, heat", resources) if resources else "",
        section("Accuracy", accuracy_table(shown)) if shown.run.accuracy else "",
        section("Engine time, checked", checked) if checked else "",
        _roofline(shown, figures.rooflines, name),
        section("Other boards", predicted) if predicted else "",
        section("Peers, in the same run", peer_table(shown.run.peers)) if shown.run.peers else "",
        _facts(shown),
        _unknowns(shown),
    ]
    return "".join(parts)


def _figures(title: str, figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    shown = "".join(
        f'<div class="figure"><h3>{html.escape(each.title)}</h3>{svg(each)}</div>'
        for each in figures
    )
    words = f"<p>{html.escape(figures[0].words)}</p>"
    return section(title, f'{words}<div class="figures">{shown}</div>', panel=False)


def _roofline(shown: ShownRun, figures: Sequence[Figure], board: str) -> str:
    lines = shown.run.rooflines
    if not lines:
        return ""
    drawn = "".join(
        f'<div class="figure"><h3>{html.escape(each.title)}</h3>{svg(each)}</div>'
        for each in figures
    )
    words = f"<p>{html.escape(figures[0].words)}</p>" if figures else ""
    facts = f'<div class="panel">{roofline_table(lines, board)}</div>'
    inside = f'{words}<div class="roof">{drawn}{facts}</div>'
    return section("Roofline", inside, panel=False)


def _facts(shown: ShownRun) -> str:
    line = shown.run.line
    inside = (
        f'<div class="pair"><div class="panel">{environment_table(line)}</div>'
        f'<div class="panel">{bundle_table(line)}</div></div>'
    )
    return section("Machine, bundle, settings", inside, panel=False)


def _unknowns(shown: ShownRun) -> str:
    found = unknowns_of(shown)
    if not found:
        return ""
    rows = [[Cell(what, "v"), Cell(why, "w")] for what, why in found]
    return section("Not known, and why", table(("what", "why"), rows, words=2))


def _made(runs: Sequence[ShownRun]) -> list[str]:
    """How the numbers came about."""
    found = [
        f"{shown.label}: {call.command} (run {call.run_id}, {call.started_utc})"
        for shown in runs
        for call in shown.run.calls
    ]
    found.append(
        "Percentiles are latencies that occurred (no interpolation), and only those that ten "
        "slower queries support. Every number of this page is in the record."
    )
    return found
