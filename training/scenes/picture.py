"""Pairs drawn for people: the view with clicks and boxes beside the window with boxes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.pair import Presence, ScenePair

Uint8 = NDArray[np.uint8]


def _colour(number: int) -> tuple[int, int, int]:
    hue = np.uint8([[[(number * 47) % 180, 230, 255]]])
    r, g, b = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return r, g, b


def _box(
    image: Uint8, box: tuple[float, float, float, float], colour: tuple[int, int, int], label: str
) -> None:
    left, top, right, bottom = (round(v) for v in box)
    cv2.rectangle(image, (left, top), (right, bottom), colour, 2)
    cv2.putText(
        image,
        label,
        (left + 2, max(top - 3, 10)),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.45,
        colour,
        1,
        cv2.LINE_AA,
    )


def draw_pair(pair: ScenePair) -> Uint8:
    """View (left) and window (right) with clicks, boxes and numbers; absent ones are crossed."""
    view, window = pair.view_image.copy(), pair.window_image.copy()
    for number, click in enumerate(pair.clicks):
        colour = _colour(number)
        absent = click.presence not in (Presence.PRESENT, Presence.CUT)
        label = f"{number}{'x ' + click.presence.value if absent else ''}"
        _box(view, click.view_box_xyxy_px, colour, label)
        spot = (round(click.click_xy_px[0]), round(click.click_xy_px[1]))
        cv2.drawMarker(view, spot, (255, 255, 255), cv2.MARKER_CROSS, 13, 3)
        cv2.drawMarker(view, spot, colour, cv2.MARKER_CROSS, 11, 1)
        if click.map_box_xyxy_px is not None:
            _box(window, click.map_box_xyxy_px, colour, str(number))
    if pair.view_to_window is not None:
        h, w = view.shape[:2]
        frame = np.float64([[[0, 0]], [[w, 0]], [[w, h]], [[0, h]]])
        outline = cv2.perspectiveTransform(frame, pair.view_to_window)
        cv2.polylines(
            window,
            [np.rint(np.clip(outline, -5000, 5000)).astype(np.int32)],
            True,
            (255, 255, 255),
            1,
            cv2.LINE_AA,
        )
    height = max(view.shape[0], window.shape[0])
    sheet = np.full((height, view.shape[1] + window.shape[1] + 8, 3), 30, np.uint8)
    sheet[: view.shape[0], : view.shape[1]] = view
    sheet[: window.shape[0], view.shape[1] + 8 :] = window
    return sheet
