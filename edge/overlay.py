"""The picture of one frame: on the left the frame with its clicks, on the right the map with boxes.

The map is cut to what matters, the frame's outline and the boxes; the whole window is small in a
corner where that is more. The size is the same for every frame, so that pictures make a video.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.feature_cache import WindowReader
from edge.frame_result import FrameResult
from edge.labels import Labels
from edge.matching import project
from edge.palette import (
    FOOTPRINT,
    INK,
    MUTED,
    PANEL,
    PAPER,
    TRUTH,
    VERDICT_COLOURS,
    VERDICT_WORDS,
    put_text,
    text_width_px,
)
from edge.strokes import cross, dashes, polygon, ring, sixteenths, wrapped
from edge.tiles.lattice import WindowPlace
from edge.types import Fix, Float64, Uint8, Verdict

FRAME_WH_PX = (880, 660)
MAP_PX = 660
MARGIN_PX, HEAD_PX, FOOT_PX = 16, 54, 50
INSET_PX = 132
LEAST_CROP_PX = 260.0  # of the window
SIZE_PX = (FRAME_WH_PX[0] + MAP_PX + 3 * MARGIN_PX, HEAD_PX + MAP_PX + FOOT_PX)
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _View:
    """A part of a picture, enlarged onto a panel."""

    left: float
    top: float
    zoom: float

    def __call__(self, xy: Float64 | Sequence[float]) -> tuple[float, float]:
        return (float(xy[0]) - self.left) * self.zoom, (float(xy[1]) - self.top) * self.zoom


def draw_overlay(
    result: FrameResult, pictures: WindowReader, truth: Mapping[str, Box] | None = None
) -> Uint8:
    """Draw a frame and its fixes, RGB [764, 1588, 3].

    Args:
        result: what came of the frame.
        pictures: reads the map around the fixes.
        truth: id of a click -> its true box in pixels of the window `result.place`, drawn dashed.
    """
    wide, high = SIZE_PX
    canvas = np.empty((high, wide, 3), np.uint8)
    canvas[:] = PAPER
    frame_at, map_at = MARGIN_PX, 2 * MARGIN_PX + FRAME_WH_PX[0]
    canvas[HEAD_PX : HEAD_PX + MAP_PX, frame_at : frame_at + FRAME_WH_PX[0]] = _frame_panel(result)
    panel = _map_panel(result, pictures, truth or {})
    canvas[HEAD_PX : HEAD_PX + MAP_PX, map_at : map_at + MAP_PX] = panel
    _head(canvas, result, frame_at, map_at)
    _foot(canvas, result, bool(truth))
    return canvas


def _head(canvas: Uint8, result: FrameResult, frame_at: int, map_at: int) -> None:
    name = result.frame.source.rsplit("/", 1)[-1]
    x = frame_at + put_text(canvas, "Camera", (frame_at, 34), 20, INK, 700) + 12
    put_text(canvas, f"frame {result.frame.index} · {name}", (x, 34), 16, MUTED)
    x = map_at + put_text(canvas, "Map", (map_at, 34), 20, INK, 700) + 12
    feature = result.feature
    put_text(canvas, f"window {feature.window_id}" if feature else "no window", (x, 34), 16, MUTED)


def _frame_panel(result: FrameResult) -> Uint8:
    panel = np.empty((FRAME_WH_PX[1], FRAME_WH_PX[0], 3), np.uint8)
    panel[:] = PANEL
    high, wide = result.frame.image.shape[:2]
    zoom = min(FRAME_WH_PX[0] / wide, FRAME_WH_PX[1] / high)
    size = max(1, round(wide * zoom)), max(1, round(high * zoom))
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    left, top = (FRAME_WH_PX[0] - size[0]) // 2, (FRAME_WH_PX[1] - size[1]) // 2
    resized = cv2.resize(result.frame.image, size, interpolation=how)
    panel[top : top + size[1], left : left + size[0]] = resized
    fixes = {fix.click_id: fix for fix in result.fixes}
    labels = Labels(panel)
    for click in result.clicks:
        fix = fixes.get(click.click_id)
        colour = VERDICT_COLOURS[fix.verdict] if fix else MUTED
        at = (left + click.x_px * zoom, top + click.y_px * zoom)
        ring(panel, at, colour)
        labels.put(click.click_id, (at[0], at[1] - 10), 13, 15, colour)
    return panel


def _map_panel(result: FrameResult, pictures: WindowReader, truth: Mapping[str, Box]) -> Uint8:
    if result.place is None:
        panel = np.empty((MAP_PX, MAP_PX, 3), np.uint8)
        panel[:] = PANEL
        words = result.note or "this frame has no window on the map"
        for row, line in enumerate(wrapped(words, MAP_PX - 80, 18)):
            put_text(panel, line, (40, MAP_PX / 2 + 26 * row), 18, MUTED)
        return panel
    shown = [(fix, box) for fix in result.fixes if (box := result.box_shown(fix)) is not None]
    outline = outline_px(result)
    truth = {name: truth[name] for name in sorted(truth)}
    view, side = _crop(result.place, [box for _, box in shown], list(truth.values()), outline)
    panel = _picture(result.place, pictures, view, side)
    if outline is not None:
        polygon(panel, [view(point) for point in outline], FOOTPRINT, 2)
    for box in truth.values():
        _dashed_box(panel, box, view)
    for fix, box in shown:
        _draw_fix(panel, fix, box, view, result)
    _inset(panel, result.place, pictures, view, side)
    labels = Labels(panel)
    for fix, box in sorted(shown, key=lambda pair: pair[0].verdict is not Verdict.ACCEPTED):
        _label_fix(labels, fix, box, view)
    _scale_bar(panel, result, view, side)
    return panel


def _picture(place: WindowPlace, pictures: WindowReader, view: _View, side: float) -> Uint8:
    """The part of the map that is shown, also beyond the window."""
    left, top = math.floor(view.left), math.floor(view.top)
    size = math.ceil(side) + 2
    read = pictures.read(place.left_px + left, place.top_px + top, size, size)
    image = np.array(read.image)
    image[~read.valid] = PANEL
    shift = (left - view.left) * view.zoom, (top - view.top) * view.zoom
    warp = np.array([[view.zoom, 0, shift[0]], [0, view.zoom, shift[1]]])
    how = cv2.INTER_CUBIC if view.zoom > 0.8 else cv2.INTER_AREA
    panel = cv2.warpAffine(image, warp, (MAP_PX, MAP_PX), flags=how)
    return np.asarray(panel, np.uint8)


def _draw_fix(panel: Uint8, fix: Fix, box: Box, view: _View, result: FrameResult) -> None:
    colour = VERDICT_COLOURS[fix.verdict]
    (x1, y1), (x2, y2) = view(box[:2]), view(box[2:])
    at = ((x1 + x2) / 2, (y1 + y2) / 2)
    if fix.verdict is not Verdict.ACCEPTED:  # a guess that was refused: its place, not its box
        cross(panel, at, colour)
        return
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    polygon(panel, corners, PAPER, 4)
    polygon(panel, corners, colour, 2)
    if fix.error_radius_m is not None and result.feature and result.feature.geometry:
        centre = np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]])
        per_px_m = float(result.feature.geometry.metres_per_px(centre).mean())
        radius = fix.error_radius_m / per_px_m * view.zoom
        if radius < MAP_PX:
            cv2.circle(panel, sixteenths(at), round(radius * 16), colour, 1, cv2.LINE_AA, 4)


def _label_fix(labels: Labels, fix: Fix, box: Box, view: _View) -> None:
    (x1, y1), (x2, y2) = view(box[:2]), view(box[2:])
    colour = VERDICT_COLOURS[fix.verdict]
    if fix.verdict is Verdict.ACCEPTED:
        labels.put(fix.click_id, (x1, y1 - 2), 0, 15, colour)
    else:
        labels.put(fix.click_id, ((x1 + x2) / 2, (y1 + y2) / 2 - 7), 9, 13, colour)


def _crop(
    place: WindowPlace, boxes: Sequence[Box], truth: Sequence[Box], outline: Float64 | None
) -> tuple[_View, float]:
    """The square around what is drawn, in pixels of the window, and its side."""
    largest = float(max(place.width_px, place.height_px))
    points = [corner for box in (*boxes, *truth) for corner in (box[:2], box[2:])]
    if outline is not None:  # its near half: an oblique frame sees far beyond its clicks
        near = (
            outline[2],
            outline[3],
            (outline[1] + outline[2]) / 2,
            (outline[0] + outline[3]) / 2,
        )
        points += [(float(x), float(y)) for x, y in near if boxes or truth] or outline.tolist()
    if not points:
        return _View(0, 0, MAP_PX / largest), largest
    spread = np.array(points, np.float64)
    low, top = spread.min(axis=0), spread.max(axis=0)
    side = min(max(float((top - low).max()) * 1.12, LEAST_CROP_PX), largest)
    corner = (low + top) / 2 - side / 2
    return _View(float(corner[0]), float(corner[1]), MAP_PX / side), side


def outline_px(result: FrameResult) -> Float64 | None:
    """Where the frame lies in the window that is shown, by the alignment. [4, 2]."""
    placed, shown = result.placed, result.place
    if placed is None or shown is None:
        return None
    high, wide = result.frame.image.shape[:2]
    corners = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float64)
    depth = np.column_stack([corners, np.ones(4)]) @ placed.homography[2]
    if (depth <= 0.05).any():
        return None  # the horizon is in the frame
    shift = placed.place.left_px - shown.left_px, placed.place.top_px - shown.top_px
    return np.asarray(project(placed.homography, corners) + shift)


def _inset(
    panel: Uint8, place: WindowPlace, pictures: WindowReader, view: _View, side: float
) -> None:
    """The whole window, small, with the part that is shown; nothing if that is nearly all."""
    if side > 0.7 * max(place.width_px, place.height_px):
        return
    read = pictures.read(place.left_px, place.top_px, place.width_px, place.height_px)
    zoom = INSET_PX / max(place.width_px, place.height_px)
    size = round(place.width_px * zoom), round(place.height_px * zoom)
    small = np.asarray(cv2.resize(read.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    a = view.left * zoom, view.top * zoom
    b = a[0] + side * zoom, a[1] + side * zoom
    polygon(small, [a, (b[0], a[1]), b, (a[0], b[1])], INK, 2)
    x, y = MAP_PX - size[0] - 10, 10
    cv2.rectangle(panel, (x - 2, y - 2), (x + size[0] + 1, y + size[1] + 1), PAPER, -1)
    panel[y : y + size[1], x : x + size[0]] = small


def _scale_bar(panel: Uint8, result: FrameResult, view: _View, side: float) -> None:
    geometry = result.feature.geometry if result.feature else None
    if geometry is None:
        return
    middle = np.array([[view.left + side / 2, view.top + side / 2]])
    per_px_m = float(geometry.metres_per_px(middle)[0, 0]) / view.zoom
    length_m = next(
        (m for m in (500, 200, 100, 50, 20, 10, 5, 2, 1) if m / per_px_m < MAP_PX / 4), 1
    )
    wide = round(length_m / per_px_m)
    x, y = 14, MAP_PX - 16
    label = f"{length_m} m"
    cv2.rectangle(panel, (x - 6, y - 24), (x + wide + 6, y + 8), PAPER, -1)
    cv2.rectangle(panel, (x, y - 1), (x + wide, y + 2), INK, -1)
    put_text(panel, label, (x + (wide - text_width_px(label, 13)) / 2, y - 7), 13, INK, 600)


def _foot(canvas: Uint8, result: FrameResult, with_truth: bool) -> None:
    y, x = HEAD_PX + MAP_PX + 32, MARGIN_PX
    counts = dict.fromkeys(Verdict, 0)
    for fix in result.fixes:
        counts[fix.verdict] += 1
    for verdict, count in counts.items():
        if count or verdict in (Verdict.ACCEPTED, Verdict.NOT_HERE):
            cv2.circle(canvas, (x + 6, y - 5), 6, VERDICT_COLOURS[verdict], -1, cv2.LINE_AA)
            x += 20
            x += put_text(canvas, f"{count} {VERDICT_WORDS[verdict]}", (x, y), 16, INK) + 24
    if counts[Verdict.ACCEPTED] and any(fix.error_radius_m for fix in result.fixes):
        cv2.circle(canvas, (x + 7, y - 5), 7, VERDICT_COLOURS[Verdict.ACCEPTED], 1, cv2.LINE_AA)
        x += 22 + put_text(canvas, "90 % error", (x + 22, y), 16, INK) + 24
    if result.placed is not None:
        polygon(canvas, [(x, y - 11), (x + 18, y - 11), (x + 18, y), (x, y)], FOOTPRINT, 2)
        x += 28 + put_text(canvas, "frame on the map", (x + 28, y), 16, INK) + 24
    if with_truth:
        dashes(canvas, (x, y - 5), (x + 22, y - 5), TRUTH)
        x += 30 + put_text(canvas, "truth", (x + 30, y), 16, INK)
    words = _spent(result)
    put_text(canvas, words, (SIZE_PX[0] - MARGIN_PX - text_width_px(words, 16), y), 16, MUTED)


def _spent(result: FrameResult) -> str:
    parts = []
    if result.placed is not None:
        parts.append(f"aligned by {result.placed.inliers} matches")
    if result.timings.align_ms is not None:
        parts.append(f"align {result.timings.align_ms:.0f} ms")
    if result.timings.localize_ms is not None:
        ms = result.timings.localize_ms + (result.timings.preprocess_ms or 0.0)
        parts.append(f"locate {len(result.fixes)} in {ms:.0f} ms")
    return " · ".join(parts)


def _dashed_box(image: Uint8, box: Box, view: _View) -> None:
    (x1, y1), (x2, y2) = view(box[:2]), view(box[2:])
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        dashes(image, a, b, TRUTH)
