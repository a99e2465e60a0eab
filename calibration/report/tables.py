"""The tables of the report."""

from __future__ import annotations

import html
from collections.abc import Sequence

from calibration.judging.record import (
    AgreementScore,
    CandidateScore,
    Change,
    RankedBy,
    Ranking,
    RealScore,
)
from edge.page_parts import table

NONE = "-"  # no figure that would say something
FIXED = "\N{NO-BREAK SPACE}"


def score_table(candidates: Sequence[CandidateScore]) -> str:
    """Every candidate in every regime; float32 first. Cells break, so that all columns fit."""
    head = (
        "candidate",
        "graphs",
        "prior",
        "clicks",
        "acc@0.25",
        f"change, points (95{FIXED}%)",
        "acc@0.5",
        f"change, points (95{FIXED}%)",
        "IoU with float32, median",
        f"IoU >={FIXED}0.9",
        "accepted",
        "of these wrong",
        "calibration error",
        "MB",
    )
    rows = [
        (
            each.name,
            each.precision,
            score.regime,
            f"{score.clicks_on_map:,} of{FIXED}{score.clicks:,}",
            f"{score.accuracy_25:.3f}",
            _in_two(change_words(score.change_25)),
            f"{score.accuracy_50:.3f}",
            _in_two(change_words(score.change_50)),
            f"{score.box_iou_median:.3f}",
            f"{score.box_iou_90:.1%}",
            f"{score.coverage:.1%}",
            f"{score.wrong_rate:.1%}",
            f"{score.calibration_error:.3f}",
            f"{each.file_bytes / 1e6:.1f}",
        )
        for each in candidates
        for score in each.regimes
    ]
    return f'<div class="fit">{table(head, rows, words=3)}</div>'


def agreement_table(scores: Sequence[AgreementScore]) -> str:
    """Boxes against float32's on the selection's pictures.

    Where neither accepted a click all verdicts are the same, and that says nothing.
    """
    head = (
        "candidate",
        "clicks",
        "IoU with float32, median",
        "IoU >= 0.9",
        "accepted: float32, this",
        "same verdict",
    )
    rows = [
        (
            each.candidate,
            f"{each.clicks:,}",
            f"{each.box_iou_median:.3f}",
            f"{each.box_iou_90:.1%}",
            "not told" if each.accepted is None else "{:,}, {:,}".format(*each.accepted),
            NONE if each.accepted == (0, 0) else f"{each.same_verdict:.1%}",
        )
        for each in scores
    ]
    return table(head, rows, words=1)


def real_table(real: RealScore) -> str:
    """The score of labelled real frames, and every verdict that changed."""
    words = (
        f'<p class="pad">{real.sightings} sightings of {html.escape(", ".join(real.pairs))}: '
        f"acc@0.25 {real.accuracy_25_before:.3f} before, {real.accuracy_25_after:.3f} after "
        f"({change_words(real.change_25)} points), median IoU with float32's boxes "
        f"{real.box_iou_median:.3f}. "
        f"{len(real.changed) or 'No'} verdict{'' if len(real.changed) == 1 else 's'} changed.</p>"
    )
    rows = [
        (
            each.frame,
            each.object_id or "not on the map",
            each.before,
            each.after,
            f"{each.iou_before:.2f}",
            f"{each.iou_after:.2f}",
        )
        for each in real.changed
    ]
    head = ("frame", "object", "float32", "INT8", "IoU before", "after")
    return words + (table(head, rows, words=4) if rows else "")


def ranking_part(ranking: Ranking) -> str:
    """The times that blocks were ranked by; which measure it was, and why, is among the reasons."""
    if ranking.by is not RankedBy.LATENCY:
        return ""
    head = ("graph", "FP16, ms", "of it in no block", "INT8, ms", "of it in no block")
    rows = [
        (
            each.graph,
            f"{each.fp16_ms:.3f}",
            f"{each.fp16_elsewhere_ms:.3f}",
            f"{each.int8_ms:.3f}",
            f"{each.int8_elsewhere_ms:.3f}",
        )
        for each in ranking.graphs
    ]
    under = (
        f"<p>Sums of layers under the profiler, medians of {ranking.runs} runs by turns, "
        f"{ranking.clicks} clicks; in no block: reformats, attention and the like.</p>"
    )
    return under + table(head, rows, words=1)


def _in_two(words: str) -> str:
    """A change that breaks before its interval and not in it."""
    mean, _, interval = words.partition(" ")
    return f"{mean} {interval.replace(' ', FIXED)}"


def change_words(change: Change) -> str:
    """A change in points with its interval: "-0.12 (-0.30 to +0.05)"."""
    return f"{change.mean:+.2f} ({change.low:+.2f} to {change.high:+.2f})"
