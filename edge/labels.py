"""Labels that keep out of each other's way."""

from __future__ import annotations

import cv2

from edge.palette import PAPER, Colour, put_text, text_width_px
from edge.types import Uint8

# Where a label may sit, as (right, down) of its left bottom corner in units of (width, height);
# the first free place is taken.
_PLACES = ((0.0, 0.0), (0.0, 2.2), (-1.0, 0.0), (-1.0, 2.2), (0.0, -1.1), (-1.0, -1.1), (0.0, 3.3))


class Labels:
    """The labels of one picture: dark text on a patch of colour."""

    def __init__(self, image: Uint8) -> None:
        self._image = image
        self._taken: list[tuple[int, int, int, int]] = []

    def put(
        self, text: str, at_px: tuple[float, float], gap_px: float, size_px: int, colour: Colour
    ) -> None:
        """Write a label beside a mark, or where there is room near it.

        Args:
            text: short.
            at_px: the mark, or the corner that the label belongs to.
            gap_px: distance between the mark and the label, across.
            size_px: of the font.
            colour: of the patch.
        """
        wide, high = text_width_px(text, size_px, 600) + 10, size_px + 6
        boxes = [self._box(at_px, gap_px, place, wide, high) for place in _PLACES]
        left, top, right, bottom = next((box for box in boxes if self._is_free(box)), boxes[0])
        self._taken.append((left, top, right, bottom))
        cv2.rectangle(self._image, (left, top), (right, bottom), colour, -1, cv2.LINE_AA)
        put_text(
            self._image, text, (left + 5, bottom - high / 2 + size_px * 0.36), size_px, PAPER, 600
        )

    def _box(
        self,
        at_px: tuple[float, float],
        gap_px: float,
        place: tuple[float, float],
        wide: int,
        high: int,
    ) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of a label in one of its places, kept inside the picture."""
        aside = gap_px if place[0] == 0 else -gap_px
        x = at_px[0] + aside + place[0] * wide
        y = at_px[1] + place[1] * high
        left = round(min(max(x, 1), self._image.shape[1] - wide - 2))
        bottom = round(min(max(y, high + 1), self._image.shape[0] - 2))
        return left, bottom - high, left + wide, bottom

    def _is_free(self, box: tuple[int, int, int, int]) -> bool:
        return not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in self._taken
        )
