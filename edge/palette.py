"""The colours of verdicts and the text on pictures, the same in overlay and page."""

from __future__ import annotations

from typing import Any

import cv2

from edge.types import Uint8, Verdict

Colour = tuple[int, int, int]  # RGB

INK: Colour = (236, 240, 245)
MUTED: Colour = (146, 158, 173)
PAPER: Colour = (14, 18, 24)
PANEL: Colour = (24, 30, 39)
LINE: Colour = (48, 58, 72)
TRUTH: Colour = (255, 255, 255)
FOOTPRINT: Colour = (92, 200, 255)
VERDICT_COLOURS: dict[Verdict, Colour] = {
    Verdict.ACCEPTED: (61, 220, 132),
    Verdict.NOT_HERE: (255, 107, 94),
    Verdict.NO_COVERAGE: (255, 190, 77),
    Verdict.NO_WINDOW: (178, 132, 255),
}
VERDICT_WORDS: dict[Verdict, str] = {
    Verdict.ACCEPTED: "accepted",
    Verdict.NOT_HERE: "not here",
    Verdict.NO_COVERAGE: "no imagery",
    Verdict.NO_WINDOW: "off the map",
}
# OpenCV 5 draws outline fonts; OpenCV 4 has the stroke fonts only, which know ASCII alone.
_FONT: Any = cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None
_PLAIN = str.maketrans({"·": "-", "°": " deg", "±": "+-"})


def text_width_px(text: str, size_px: int, weight: int = 400) -> int:
    """How wide a text becomes."""
    if _FONT is not None:
        box = cv2.getTextSize((0, 0), text, (0, size_px), _FONT, size_px, weight)
        return int(box[0] + box[2])
    scale, thickness = _stroke(size_px, weight)
    plain = text.translate(_PLAIN)
    (wide, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    return int(wide)


def put_text(
    image: Uint8,
    text: str,
    xy_px: tuple[float, float],
    size_px: int,
    colour: Colour = INK,
    weight: int = 400,
) -> int:
    """Write on an RGB picture; `xy_px` is the left end of the baseline. Returns the width."""
    x, y = round(xy_px[0]), round(xy_px[1])
    if _FONT is not None:
        cv2.putText(image, text, (x, y), colour, _FONT, size_px, weight)
    else:
        scale, thickness = _stroke(size_px, weight)
        plain, face = text.translate(_PLAIN), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(image, plain, (x, y), face, scale, colour, thickness, cv2.LINE_AA)
    return text_width_px(text, size_px, weight)


def _stroke(size_px: int, weight: int) -> tuple[float, int]:
    return size_px / 30.0, 2 if weight >= 600 and size_px >= 16 else 1
