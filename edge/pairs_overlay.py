"""Pictures of an evaluation: the frame with its clicks beside the map with answers and truth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.evaluation import FrameResult
from edge.film import encode_image
from edge.pairs_images import MapWindow
from edge.scoring import Box, iou
from edge.sinks import write_whole
from edge.types import Array, Uint8

HEIGHT_PX = 900
MARGIN_PX = 12  # of window pixels around the imagery
TRUTH, RIGHT, WRONG, REFUSED = (60, 220, 60), (255, 210, 0), (255, 60, 60), (150, 150, 255)
LEGEND = (
    (TRUTH, "truth"),
    (RIGHT, "accepted, IoU > 0.25"),
    (WRONG, "accepted, wrong"),
    (REFUSED, "not accepted"),
)


def draw(result: FrameResult) -> Uint8:
    """Frame left with numbered clicks, window right with numbered boxes. RGB [900 + 30, W, 3]."""
    frame = result.frame.image
    zoom = HEIGHT_PX / frame.shape[0]
    left = cv2.resize(
        frame, (round(frame.shape[1] * zoom), HEIGHT_PX), interpolation=cv2.INTER_AREA
    )
    shown = _window_of(result)
    right, (x0, y0), near = _imagery(shown)
    for n, (click, answer) in enumerate(zip(result.labels.clicks, result.predictions, strict=True)):
        known = None if click.object_id is None else result.site.pairs.objects[click.object_id]
        truth = None if known is None else known.box_xyxy_px
        box = answer.box_xyxy_px
        colour = REFUSED
        if answer.accepted:
            good = truth is not None and box is not None and iou(truth, box) > 0.25
            colour = RIGHT if good else WRONG
        at = round(click.x_px * zoom), round(click.y_px * zoom)
        cv2.drawMarker(left, at, (0, 0, 0), cv2.MARKER_CROSS, 20, 4)
        cv2.drawMarker(left, at, colour, cv2.MARKER_CROSS, 20, 2)
        _text(left, f"{n}{'' if known else ' (not on the map)'}", (at[0] + 8, at[1] - 8), colour)
        for each, paint in ((truth, TRUTH), (box, colour)):
            if each is not None:
                _rectangle(right, shown.box_to_window(each), (x0, y0), near, paint, f"{n}")
    picture = np.hstack([np.asarray(left), right])
    foot = np.full((30, picture.shape[1], 3), 24, np.uint8)
    at_x = 10
    for colour, word in LEGEND:
        cv2.rectangle(foot, (at_x, 9), (at_x + 14, 21), colour, -1)
        _text(foot, word, (at_x + 20, 20), (230, 230, 230))
        at_x += 40 + 9 * len(word)
    _text(foot, f"{result.predictor}, {result.labels.file}", (at_x + 20, 20), (230, 230, 230))
    return np.asarray(np.vstack([picture, foot]), np.uint8)


def save(result: FrameResult, folder: Path) -> Path:
    """Draw a frame into `folder`, as SITE_FRAME.png; return the path.

    Raises:
        OutputError: it cannot be written.
    """
    stem = re.sub(r"[^\w.-]+", "_", str(Path(result.labels.file).with_suffix("")))
    site = result.site.name
    path = folder / f"{stem if stem.startswith(f'{site}_') else f'{site}_{stem}'}.png"
    write_whole(path, encode_image(draw(result), ".png"), "--overlay")
    return path


def _window_of(result: FrameResult) -> MapWindow:
    """The window that holds most of the true and the predicted boxes."""
    answered = [p.box_xyxy_px for p in result.predictions]
    known = [c.object_id for c in result.labels.clicks if c.object_id is not None]
    truth: Sequence[Box | None] = [result.site.pairs.objects[name].box_xyxy_px for name in known]
    boxes = [box for box in (*truth, *answered) if box is not None]

    def held(each: MapWindow) -> int:
        wide, high = each.window.image.shape[1], each.window.image.shape[0]
        placed = [each.box_to_window(box) for box in boxes]
        return sum(x1 >= 0 and y1 >= 0 and x2 <= wide and y2 <= high for x1, y1, x2, y2 in placed)

    return max(result.site.windows, key=held)


def _imagery(shown: MapWindow) -> tuple[Array, tuple[int, int], float]:
    """The part of a window that has imagery, enlarged; its corner and its zoom."""
    rows = np.flatnonzero(shown.window.valid.any(axis=1))
    columns = np.flatnonzero(shown.window.valid.any(axis=0))
    height, width = shown.window.valid.shape
    y0, y1 = max(0, rows[0] - MARGIN_PX), min(height, rows[-1] + 1 + MARGIN_PX)
    x0, x1 = max(0, columns[0] - MARGIN_PX), min(width, columns[-1] + 1 + MARGIN_PX)
    part = shown.window.image[y0:y1, x0:x1]
    near = HEIGHT_PX / part.shape[0]
    size = max(1, round(part.shape[1] * near)), HEIGHT_PX
    return np.asarray(cv2.resize(part, size)), (int(x0), int(y0)), near


def _rectangle(
    image: Array,
    box: Box,
    corner: tuple[int, int],
    near: float,
    colour: tuple[int, int, int],
    word: str,
) -> None:
    limit = 20 * HEIGHT_PX  # far boxes would overflow OpenCV's integers
    placed = [
        int(np.clip(round((v - corner[n % 2]) * near), -limit, limit)) for n, v in enumerate(box)
    ]
    x1, y1, x2, y2 = placed
    cv2.rectangle(image, (x1, y1), (x2, y2), (0, 0, 0), 3)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, 2)
    if colour != TRUTH:
        _text(image, word, (x1, y1 - 3), colour)


def _text(image: Array, word: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    for paint, thick in (((0, 0, 0), 3), (colour, 1)):
        cv2.putText(image, word, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, paint, thick, cv2.LINE_AA)
