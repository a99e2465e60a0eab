"""The contact sheet: every chosen picture at a glance, by site, with what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from calibration.selection.record import FRAME, WINDOW, ChosenImage, Selection, decode_png
from edge.palette import INK, LINE, MUTED, PANEL, PAPER, Colour, put_text, text_width_px
from edge.strokes import wrapped
from edge.types import Uint8

WIDTH_PX = 1680
MARGIN_PX, GAP_PX, COLUMNS = 36, 12, 10
THUMB_PX = (WIDTH_PX - 2 * MARGIN_PX - (COLUMNS - 1) * GAP_PX) // COLUMNS
CAPTION_PX, SECTION_PX, LINE_PX = 30, 58, 24
BAR_PX = 4
BAR: Colour = (255, 196, 92)
_QUALITY = 90


def draw_sheet(selection: Selection, folder: Path) -> Uint8:
    """Draw the sheet of a selection whose pictures lie in `folder`, RGB [H, 1680, 3]."""
    parts = [_head(selection)]
    for kind in (FRAME, WINDOW):
        own = [image for image in selection.images if image.kind == kind]
        own.sort(key=lambda image: (image.site, image.brightness, image.file))
        for site, images in groupby(own, key=lambda image: image.site):
            parts.append(_section(kind, site, list(images), folder))
    parts.append(_blank(MARGIN_PX))
    return np.concatenate(parts)


def sheet_bytes(sheet: Uint8) -> bytes:
    """The sheet as JPEG."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(sheet[:, :, ::-1]), flags)
    return bytes(data)


def _head(selection: Selection) -> Uint8:
    """Title, one line of facts, what was left out, and the notes."""
    counts = Counter(image.kind for image in selection.images)
    looked = sum(source.looked_at for source in selection.sources)
    reasons = ", ".join(f"{n} {why}" for why, n in selection.left_out.items()) or "nothing"
    width = WIDTH_PX - 2 * MARGIN_PX
    lines = [f"Left out: {reasons}  ·  {looked} looked at  ·  seed {selection.seed}"]
    for note in selection.notes:
        lines += wrapped(note, width, 15)
    strip = _blank(104 + LINE_PX * len(lines))
    x = MARGIN_PX + put_text(strip, "Calibration pictures", (MARGIN_PX, 56), 30, INK, 700) + 18
    words = f"{counts[FRAME]} frames  ·  {counts[WINDOW]} windows"
    put_text(strip, words, (x, 56), 20, MUTED)
    for row, line in enumerate(lines):
        put_text(strip, line, (MARGIN_PX, 92 + LINE_PX * row), 15, MUTED)
    _legend(strip, 56)
    return strip


def _legend(strip: Uint8, y: int) -> None:
    """What the bar under a picture is."""
    words = "mean brightness, 0 to 255"
    x = WIDTH_PX - MARGIN_PX - text_width_px(words, 14)
    put_text(strip, words, (x, y), 14, MUTED)
    strip[y - 6 : y - 6 + BAR_PX, x - 62 : x - 12] = LINE
    strip[y - 6 : y - 6 + BAR_PX, x - 62 : x - 32] = BAR


def _section(kind: str, site: str, images: Sequence[ChosenImage], folder: Path) -> Uint8:
    """One site: its name, and its pictures from dark to bright."""
    thumbs = [_thumb(image, folder) for image in images]
    tall = max(thumb.shape[0] for thumb in thumbs)
    cell = tall + CAPTION_PX
    rows = -(-len(images) // COLUMNS)
    strip = _blank(SECTION_PX + rows * (cell + GAP_PX))
    strip[10:11, MARGIN_PX : WIDTH_PX - MARGIN_PX] = LINE
    x = MARGIN_PX + put_text(strip, site, (MARGIN_PX, 42), 19, INK, 700) + 12
    put_text(strip, _facts(kind, images), (x, 42), 15, MUTED)
    for number, (image, thumb) in enumerate(zip(images, thumbs, strict=True)):
        row, column = divmod(number, COLUMNS)
        left = MARGIN_PX + column * (THUMB_PX + GAP_PX)
        top = SECTION_PX + row * (cell + GAP_PX)
        place = strip[top : top + tall, left : left + THUMB_PX]
        place[:] = PANEL
        high, wide = thumb.shape[:2]
        down, across = (tall - high) // 2, (THUMB_PX - wide) // 2
        place[down : down + high, across : across + wide] = thumb
        _caption(strip, image, left, top + tall)
    return strip


def _thumb(image: ChosenImage, folder: Path) -> Uint8:
    """A picture without the borders of its letterbox, at most a cell wide and high."""
    pixels = decode_png(folder / image.file)
    if pixels is None:
        return np.full((THUMB_PX, THUMB_PX, 3), PANEL, np.uint8)
    if image.frame_affine:
        left, top = int(image.frame_affine[2]), int(image.frame_affine[5])
        high, wide = pixels.shape[:2]
        pixels = np.ascontiguousarray(pixels[top : high - top, left : wide - left])
    scale = THUMB_PX / max(pixels.shape[:2])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _facts(kind: str, images: Sequence[ChosenImage]) -> str:
    """Number, seasons and heights of a site's pictures."""
    facts = [f"{len(images)} {kind if len(images) == 1 else kind + 's'}"]
    seasons = sorted({image.season for image in images if image.season is not None})
    heights = [image.altitude_m for image in images if image.altitude_m is not None]
    facts.append(", ".join(seasons) if seasons else "season unknown")
    if kind == FRAME:
        span = f"{min(heights):.0f} to {max(heights):.0f} m" if heights else "height unknown"
        facts.append(span)
    return "  ·  ".join(facts)


def _caption(strip: Uint8, image: ChosenImage, left: int, top: int) -> None:
    """A bar as long as the picture is bright, its number, and its brightness."""
    strip[top : top + BAR_PX, left : left + THUMB_PX] = LINE
    long = round(THUMB_PX * image.brightness / 255)
    strip[top : top + BAR_PX, left : left + long] = BAR
    put_text(strip, Path(image.file).stem, (left, top + 21), 13, MUTED)
    words = f"{image.brightness:.0f}"
    put_text(strip, words, (left + THUMB_PX - text_width_px(words, 13), top + 21), 13, INK)


def _blank(high: int) -> Uint8:
    strip = np.empty((high, WIDTH_PX, 3), np.uint8)
    strip[:] = PAPER
    return strip
