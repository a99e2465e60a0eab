"""The report of a calibration: what came out, what it costs, which layers, which ranges."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from calibration.judging.path_words import without_folders
from calibration.judging.record import Judgement, Outcome
from calibration.judging.verdict import headline
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.record import Ranges
from calibration.report.accuracy import FLIES, accuracy_charts, each_precision
from calibration.report.agreement import agreement_charts, float32_bytes, kept_median
from calibration.report.charts import (
    KEPT,
    LEFT,
    METHOD_COLOURS,
    Bar,
    bars,
    range_chart,
)
from calibration.report.tables import agreement_table, ranking_part, real_table, score_table
from edge.page_parts import Tile, document, footer, items, section, tiles

MORE_STYLE = """
.ranges{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:14px;padding:16px}
.ranges div{min-width:0}.ranges b{font-size:13px;font-weight:550;display:block;overflow:hidden;
text-overflow:ellipsis;white-space:nowrap}.ranges span{font-size:12px;color:var(--muted)}
.swatch{display:inline-block;width:18px;border-top:3px solid;margin:0 7px 4px 0}
.sheet{display:block;width:100%}
.tile b{font-size:26px}.fit table{font-size:13px}.fit th,.fit td{white-space:normal;padding:6px 6px}
.fit th{vertical-align:bottom}.fit .scroll{max-height:none}
"""
OPEN_RANGES = 24  # of each graph, those that saturate most; the others are folded away


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the page shows."""

    bundle: str  # "lite 3"
    judgement: Judgement
    ranges: Mapping[str, Ranges]  # by method
    histograms: Sequence[TensorHistograms]
    sheet_jpeg: bytes = b""  # the selected pictures
    command: str = ""


def page(shown: Evidence) -> str:
    """The whole page as HTML."""
    judgement = shown.judgement
    words = {Outcome.ACCEPTED: "good", Outcome.MIXED: "warn", Outcome.REJECTED: "bad"}
    sections = [
        _tiles(judgement),
        section("Why", items(judgement.reasons), panel=False),
        _scores(judgement),
        _sensitivity(judgement),
        _real(judgement),
        _ranges(shown),
        _sheet(shown),
    ]
    outcome, colour = headline(judgement), words[judgement.outcome]
    if outcome != judgement.outcome.value:  # with a reservation
        colour = "warn"
    title = f"{shown.bundle} in INT8: {outcome}"
    facts = [*(f"{key}: {value}" for key, value in judgement.environment.items())]
    facts.append(f"judged in {judgement.seconds:.0f} s; samples: {', '.join(judgement.samples)}")
    if shown.command:
        facts.append(without_folders(shown.command))
    name = html.escape(shown.bundle)
    heading = f'<h1>{name} in INT8: <b class="{colour}">{html.escape(outcome)}</b></h1>'
    return document(title, f"{heading}{''.join(sections)}{footer(facts)}", MORE_STYLE)


def _tiles(judgement: Judgement) -> str:
    shown = [
        Tile(judgement.method, "ranges by"),
        Tile(str(len(judgement.left_float)), "blocks left in float16"),
    ]
    if judgement.cpu_form is not None and judgement.cpu_form.holds:
        count = str(len(judgement.cpu_form.left_float))
        shown.append(Tile(count, "blocks left in float32 in ONNX Runtime's form"))
    elif judgement.cpu_form is not None:
        shown.append(Tile("float32", "is the one to run in ONNX Runtime"))
    scored = {each.precision: each for each in each_precision(judgement)}
    flies = scored.get(FLIES)  # the form that decides
    for regime in flies.regimes if flies else ():
        change = regime.change_25
        interval = f"({change.low:+.1f} to {change.high:+.1f})"
        words = f"points of acc@0.25, {regime.regime} {interval}"
        shown.append(Tile(f"{change.mean:+.2f}", words))
    median = kept_median(judgement)
    if median is not None:
        shown.append(Tile(f"{median:.3f}", "median IoU with float32's boxes, selected pictures"))
    if flies is not None and float32_bytes(judgement):
        share = flies.file_bytes / float32_bytes(judgement)
        shown.append(Tile(f"{share:.0%}", "of the float32 graphs' size"))
    for graph, share in judgement.int8_share_of_macs.items():
        shown.append(Tile(f"{share:.0%}", f"of the multiply-accumulates in INT8, {graph}"))
    for graph, ratio in judgement.latency_ratio.items():
        shown.append(Tile(f"{ratio:.2f}x", f"float32's time over INT8's, {graph}"))
    return tiles(shown)


def _scores(judgement: Judgement) -> str:
    parts = []
    if judgement.base is not None:
        parts.append(score_table((judgement.base, *judgement.candidates)))
        parts.append(accuracy_charts(judgement))
    if judgement.agreement:
        parts.append(agreement_table(judgement.agreement))
        parts.append(agreement_charts(judgement))
    if not parts:
        return ""
    title = "Agreement with float32" if judgement.base is None else "Accuracy"
    return section(title, "".join(parts))


def _sensitivity(judgement: Judgement) -> str:
    if not judgement.sensitivity:
        return ""
    left = set(judgement.left_float)
    on_cpu = set(judgement.cpu_form.left_float if judgement.cpu_form else ()) - left
    lines = [
        Bar(
            each.block,
            each.relative_error,
            f"{each.relative_error:.4f}, {each.macs / 1e6:,.0f} MMAC"
            + (f", saves {each.latency_ms:.3f} ms" if each.latency_ms is not None else "")
            + (", left in float16" if each.block in left else "")
            + (", left in float32 in ONNX Runtime's form" if each.block in on_cpu else ""),
            LEFT if each.block in left else KEPT,
        )
        for each in judgement.sensitivity
    ]
    words = (
        "<p>Relative error of a graph's worst output when this block alone is in INT8; MMAC: "
        "million multiply-accumulates of one run. One run of the encoder counts for as "
        f"many frames as a window serves: {judgement.frames_per_window:g}.</p>"
    )
    if judgement.ranking is not None:
        words += ranking_part(judgement.ranking)
    return section(
        "Sensitivity by block", f'{words}<div class="panel pad">{bars(lines)}</div>', panel=False
    )


def _real(judgement: Judgement) -> str:
    return "" if judgement.real is None else section("Real frames", real_table(judgement.real))


def _ranges(shown: Evidence) -> str:
    kept = shown.judgement.method
    known = {
        (each.graph, each.tensor): {} for ranges in shown.ranges.values() for each in ranges.entries
    }
    saturated = dict.fromkeys(known, 0.0)
    for method, ranges in shown.ranges.items():
        for each in ranges.entries:
            known[each.graph, each.tensor][method] = each.amax
            if method == kept:
                saturated[each.graph, each.tensor] = each.saturated_share
    parts = []
    for one in shown.histograms:
        graph = one.identity.graph
        charts = {
            name: _range(
                name, range_chart(histogram, known[graph, name], kept), saturated[graph, name]
            )
            for name, histogram in one.tensors.items()
            if known.get((graph, name))
        }
        first = sorted(charts, key=lambda name, graph=graph: -saturated[graph, name])[:OPEN_RANGES]
        rest = [name for name in charts if name not in first]
        legend = _legend(kept, tuple(shown.ranges))
        parts.append(
            f'<h2>Ranges of {html.escape(graph)}</h2><div class="panel">{legend}'
            f'<div class="ranges">{"".join(charts[name] for name in first)}</div>'
            + (
                f"<details><summary>{len(rest)} more</summary>"
                f'<div class="ranges">{"".join(charts[name] for name in rest)}</div></details>'
                if rest
                else ""
            )
            + "</div>"
        )
    return "".join(parts)


def _range(name: str, chart: str, saturated: float) -> str:
    words = html.escape(name)
    caption = f"<span>{saturated:.3%} beyond the range</span>"
    return f'<div><b title="{words}">{words}</b>{chart}{caption}</div>'


def _legend(kept: str, methods: Sequence[str]) -> str:
    swatches = "".join(
        f'<span><i class="swatch" style="border-color:{colour}"></i>{name}'
        f"{' (kept)' if name == kept else ''}</span>"
        for name, colour in METHOD_COLOURS.items()
        if name in methods
    )
    return f'<div class="legend">{swatches}<span>counts of |x|, logarithmic</span></div>'


def _sheet(shown: Evidence) -> str:
    if not shown.sheet_jpeg:
        return ""
    picture = base64.b64encode(shown.sheet_jpeg).decode()
    source = (
        f'<img class="sheet" alt="the selected pictures" src="data:image/jpeg;base64,{picture}">'
    )
    return section("Selected pictures", source)
