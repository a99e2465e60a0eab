"""What the demo shows: its numbers, as a table and a line for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.truth import Box, JudgedFix, Outcome, median
from edge.types import Float64, Timings

OUTCOME_STYLE = {
    Outcome.RIGHT: "green",
    Outcome.WRONG: "bold red",
    Outcome.MISSED: "yellow",
    Outcome.DECLINED: "cyan",
}
OUTCOME_WORDS = {
    Outcome.RIGHT: "accepted, right",
    Outcome.WRONG: "accepted, wrong",
    Outcome.MISSED: "rejected, though there",
    Outcome.DECLINED: "rejected, rightly",
}


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame of the demo and its fixes beside the truth; positions in pixels of the map's grid."""

    index: int
    name: str
    judged: tuple[JudgedFix, ...]
    timings: Timings
    inliers: int | None  # None: not aligned
    overlay_jpeg: bytes
    outline_px: Float64 | None  # [4, 2], where the frame lies on the map
    boxes_px: Mapping[str, Box]  # id of a click -> the box of its fix
    truth_px: Mapping[str, Box]


def merit(frame: ShownFrame) -> float:
    """How well a frame shows what the program does: rights, a rightly refused one, no wrongs."""
    count = Counter(each.outcome for each in frame.judged)
    aligned = 0.5 if frame.outline_px is not None else 0.0
    return count[Outcome.RIGHT] + (count[Outcome.DECLINED] > 0) - count[Outcome.WRONG] + aligned


@dataclass(frozen=True, slots=True)
class DemoScore:
    """The numbers of a demo."""

    fixes: int
    counts: dict[Outcome, int]
    median_error_m: float | None  # of accepted fixes on what is there
    median_error_all_m: float | None  # of all fixes on what is there, refused guesses too
    objects: int
    absent: int  # objects and things that are not on the map
    frame_ms: float | None  # median, new windows included
    locate_ms: float | None  # median of letterbox and localizer, all clicks of a frame


def demo_score(frames: Sequence[ShownFrame]) -> DemoScore:
    """Count and average."""
    judged = [each for frame in frames for each in frame.judged]
    counts = Counter(each.outcome for each in judged)
    sure = [j.error_m for j in judged if j.outcome in (Outcome.RIGHT, Outcome.WRONG)]
    times = [frame.timings for frame in frames]
    return DemoScore(
        fixes=len(judged),
        counts={outcome: counts[outcome] for outcome in Outcome},
        median_error_m=median(sure),
        median_error_all_m=median([j.error_m for j in judged]),
        objects=len({j.object_id for j in judged if j.object_id is not None}),
        absent=len({j.fix.click_id for j in judged if j.object_id is None}),
        frame_ms=median([t.total_ms for t in times]),
        locate_ms=median(
            [(t.preprocess_ms or 0.0) + t.localize_ms for t in times if t.localize_ms is not None]
        ),
    )


def summary_line(score: DemoScore) -> str:
    """The demo in one line."""
    error = "no accepted fix on the map"
    if score.median_error_all_m is not None:
        error += f" (refused guesses: median error {score.median_error_all_m:.1f} m)"
    if score.median_error_m is not None:
        error = f"median error {score.median_error_m:.1f} m"
    counts = score.counts
    rejected = counts[Outcome.MISSED] + counts[Outcome.DECLINED]
    return (
        f"{error}; of {score.fixes} fixes {counts[Outcome.RIGHT]} accepted and right, "
        f"{counts[Outcome.WRONG]} accepted and wrong, {rejected} rejected "
        f"({counts[Outcome.DECLINED]} of them rightly: not on the map)"
    )


def object_table(frames: Sequence[ShownFrame]) -> object:
    """One row for each clicked object over all its frames."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    by_id: dict[str, list[JudgedFix]] = {}
    for frame in frames:
        for each in frame.judged:
            by_id.setdefault(each.fix.click_id, []).append(each)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id")
    table.add_column("on the map")
    for name in ("frames", "error m", "IoU", "ms"):
        table.add_column(name, justify="right")
    table.add_column("verdict, against truth")
    for name, fixes in by_id.items():
        counts = Counter(each.outcome for each in fixes)
        words = ", ".join(
            f"[{OUTCOME_STYLE[outcome]}]{count} {OUTCOME_WORDS[outcome]}[/]"
            for outcome in Outcome
            if (count := counts[outcome])
        )
        sure = [f for f in fixes if f.outcome in (Outcome.RIGHT, Outcome.WRONG)] or fixes
        there = fixes[0].object_class or "yes" if fixes[0].object_id is not None else "-"
        table.add_row(
            escape(name),
            escape(there),
            str(len(fixes)),
            _number(median([f.error_m for f in sure]), 1),
            _number(median([f.iou for f in sure]), 2),
            _number(median([_ms(f) for f in fixes]), 0),
            words,
        )
    return table


def fix_table(frames: Sequence[ShownFrame]) -> object:
    """One row for every fix."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("frame", justify="right")
    table.add_column("id")
    for name in ("error m", "radius m", "IoU", "probability", "ms"):
        table.add_column(name, justify="right")
    table.add_column("verdict, against truth")
    for frame in frames:
        for each in frame.judged:
            style = OUTCOME_STYLE[each.outcome]
            table.add_row(
                str(each.fix.frame_index),
                escape(each.fix.click_id),
                _number(each.error_m, 1),
                _number(each.fix.error_radius_m, 1),
                _number(each.iou, 2),
                _number(each.fix.acceptance_probability, 2),
                _number(_ms(each), 0),
                f"[{style}]{OUTCOME_WORDS[each.outcome]}[/]",
            )
    return table


def _ms(each: JudgedFix) -> float | None:
    return each.fix.timings.total_ms


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
