"""The demo's page: one file without any link outwards, to be opened from disk or sent along."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.demo_report import OUTCOME_WORDS, DemoScore, ShownFrame, merit
from edge.page_style import SCRIPT, SKELETON, STYLE
from edge.truth import Box, JudgedFix, Outcome, median

MOST_FRAMES = 40  # with their pictures on the page; all are in the tables and files
NOT_ON_MAP = "not on the map"


@dataclass(frozen=True, slots=True)
class PageMap:
    """The picture of the map on the page, and where it lies in the map's grid."""

    jpeg: bytes
    width_px: int  # of the picture
    height_px: int
    left_px: float  # of the grid
    top_px: float
    zoom: float  # pixels of the picture per pixel of the grid
    metres_per_px: float  # of the picture

    @property
    def unit(self) -> float:
        """Pixels of the picture for about one pixel on the screen: marks grow with the map."""
        return max(self.width_px / 640, 0.5)

    def box(self, box: Box) -> list[float]:
        """A box of the grid in pixels of the picture."""
        x1, y1 = self.point(box[0], box[1])
        x2, y2 = self.point(box[2], box[3])
        return [x1, y1, x2, y2]

    def point(self, x_px: float, y_px: float) -> tuple[float, float]:
        """A point of the grid in pixels of the picture."""
        x, y = (x_px - self.left_px) * self.zoom, (y_px - self.top_px) * self.zoom
        return round(float(x), 1), round(float(y), 1)


def page(
    title: str,
    words: str,
    frames: Sequence[ShownFrame],
    score: DemoScore,
    page_map: PageMap,
    footer: Sequence[str],
) -> str:
    """The whole page as HTML.

    Args:
        title: of the flight.
        words: what it is, in a sentence or two.
        frames: in their order; at most MOST_FRAMES of them are shown with a picture.
        score: the numbers on top.
        page_map: the map below them.
        footer: lines on how this was made.
    """
    step = -(-len(frames) // MOST_FRAMES) if frames else 1
    shown = list(frames)[::step]
    merits = [merit(frame) for frame in shown]
    data = {
        "frames": [_frame(frame, page_map) for frame in shown],
        "first": merits.index(max(merits)) if merits else 0,
        "unit": round(page_map.unit, 3),
    }
    return SKELETON.format(
        title=html.escape(title),
        words=html.escape(words),
        style=STYLE,
        tiles="".join(_tiles(score)),
        last=max(len(shown) - 1, 0),
        wide=page_map.width_px,
        high=page_map.height_px,
        map=base64.b64encode(page_map.jpeg).decode(),
        dots=_dots(frames, page_map),
        scale=_scale_bar(page_map),
        legend=_legend(),
        objects=_objects(frames),
        footer="".join(f"<p>{line}</p>" for line in footer),
        data=json.dumps(data, allow_nan=False).replace("</", "<\\/"),
        script=SCRIPT,
    )


def _tiles(score: DemoScore) -> list[str]:
    counts = score.counts
    rejected = counts[Outcome.MISSED] + counts[Outcome.DECLINED]
    error = "&ndash;" if score.median_error_m is None else f"{score.median_error_m:.1f} m"
    locate = "&ndash;" if score.locate_ms is None else f"{score.locate_ms:.0f} ms"
    return [
        _tile(error, "median error of accepted fixes"),
        _tile(str(counts[Outcome.RIGHT]), "accepted and right", "right"),
        _tile(str(counts[Outcome.WRONG]), "accepted and wrong", "wrong"),
        _tile(str(rejected), f"rejected; {counts[Outcome.DECLINED]} of them are {NOT_ON_MAP}"),
        _tile(locate, "to locate all clicks of a frame (median, aligning apart)"),
    ]


def _tile(number: str, words: str, kind: str = "") -> str:
    return (
        f'<div class="tile"><b class="{kind}">{number}</b><span>{html.escape(words)}</span></div>'
    )


def _frame(frame: ShownFrame, page_map: PageMap) -> dict[str, Any]:
    outline = None
    if frame.outline_px is not None:
        outline = [page_map.point(x, y) for x, y in frame.outline_px.tolist()]
    return {
        "index": frame.index,
        "image": base64.b64encode(frame.overlay_jpeg).decode(),
        "outline": outline,
        "fixes": [_fix(each, frame, page_map) for each in frame.judged],
    }


def _fix(each: JudgedFix, frame: ShownFrame, page_map: PageMap) -> dict[str, Any]:
    fix = each.fix
    box, truth = frame.boxes_px.get(fix.click_id), frame.truth_px.get(fix.click_id)
    return {
        "id": fix.click_id,
        "id_html": html.escape(fix.click_id),
        "outcome": each.outcome.value,
        "words": OUTCOME_WORDS[each.outcome],
        "reason_html": html.escape(fix.reason),
        "error_m": each.error_m,
        "radius_m": fix.error_radius_m,
        "iou": each.iou,
        "probability": fix.acceptance_probability,
        "box": page_map.box(box) if box else None,
        "truth": page_map.box(truth) if truth else None,
    }


def _dots(frames: Sequence[ShownFrame], page_map: PageMap) -> str:
    """All accepted fixes of the flight, faint."""
    colours = {Outcome.RIGHT: "#3ddc84", Outcome.WRONG: "#ff5d5d"}
    dots = []
    radius = f"{3 * page_map.unit:.1f}"
    for frame in frames:
        for each in frame.judged:
            box = frame.boxes_px.get(each.fix.click_id)
            if box is None or each.outcome not in colours:
                continue
            x, y = page_map.point((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            words = html.escape(f"{each.fix.click_id}, frame {frame.index}")
            dots.append(
                f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{colours[each.outcome]}" '
                f'fill-opacity=".55"><title>{words}</title></circle>'
            )
    return "".join(dots)


def _scale_bar(page_map: PageMap) -> str:
    most_m = page_map.width_px / 5 * page_map.metres_per_px
    length_m = max((m for m in (1, 2, 5, 10, 20, 50, 100, 200, 500) if m <= most_m), default=1)
    wide, unit = length_m / page_map.metres_per_px, page_map.unit
    x, y = 16 * unit, page_map.height_px - 16 * unit
    return (
        f'<g><rect x="{x - 8 * unit:.0f}" y="{y - 21 * unit:.0f}" '
        f'width="{wide + 16 * unit:.0f}" height="{31 * unit:.0f}" rx="{5 * unit:.0f}" '
        f'fill="#0e1218" fill-opacity=".8"/><rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" '
        f'height="{3 * unit:.0f}" fill="#ecf0f5"/><text x="{x:.0f}" y="{y - 6 * unit:.0f}" '
        f'font-size="{13 * unit:.0f}" fill="#ecf0f5">{length_m} m</text></g>'
    )


def _legend() -> str:
    colours = {Outcome.RIGHT: "right", Outcome.WRONG: "wrong", Outcome.MISSED: "missed"}
    colours[Outcome.DECLINED] = "declined"
    items = [
        f'<span><i class="dot" style="background:var(--{name})"></i>{OUTCOME_WORDS[outcome]}</span>'
        for outcome, name in colours.items()
    ]
    items.append('<span><i class="dash"></i>truth</span>')
    items.append('<span><i class="blue"></i>the frame, by alignment</span>')
    return "".join(items)


def _objects(frames: Sequence[ShownFrame]) -> str:
    by_id: dict[str, list[JudgedFix]] = {}
    for frame in frames:
        for each in frame.judged:
            by_id.setdefault(each.fix.click_id, []).append(each)
    rows = []
    for name, fixes in by_id.items():
        right = sum(each.outcome is Outcome.RIGHT for each in fixes)
        accepted = right + sum(each.outcome is Outcome.WRONG for each in fixes)
        absent = fixes[0].object_id is None
        what = NOT_ON_MAP if absent else fixes[0].object_class or "object"
        sure = [e for e in fixes if e.outcome in (Outcome.RIGHT, Outcome.WRONG)] or fixes
        error, overlap = median([e.error_m for e in sure]), median([e.iou for e in sure])
        cells = [
            f'<td class="l">{html.escape(name)}</td>',
            f'<td class="l {"declined" if absent else ""}">{html.escape(what)}</td>',
            f"<td>{len(fixes)}</td><td>{accepted}</td>",
            f"<td>{'&ndash;' if absent else right}</td>",
            f"<td>{'&ndash;' if error is None else f'{error:.1f}'}</td>",
            f"<td>{'&ndash;' if overlap is None else f'{overlap:.2f}'}</td>",
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return "".join(rows)
