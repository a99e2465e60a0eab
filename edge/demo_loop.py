"""Flies a demo: fixes to disk, every frame drawn and judged, pictures kept small."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge.demo_flight import DemoFlight, Task
from edge.demo_report import ShownFrame, merit
from edge.film import encode_image, write_image
from edge.frame_result import FrameResult
from edge.graceful_stop import GracefulStop
from edge.overlay import SIZE_PX, draw_overlay, outline_px
from edge.sinks import FixLines, write_geojson
from edge.truth import Box
from edge.types import Uint8

PAGE_WIDTH_PX = 1240  # of an overlay on the page
PAGE_QUALITY = 78


def fly(flight: DemoFlight, folder: Path) -> tuple[list[ShownFrame], int]:
    """Locate the clicks of every frame, write the fixes, judge and draw them.

    Ctrl-C ends it after the frame at work; the second value counts the frames that came, with
    clicks or without. `overlay.png` is the frame with the most right fixes.

    Raises:
        OutputError: a result cannot be written.
    """
    from rich.console import Console
    from rich.progress import track

    lines = FixLines(folder / "fixes.jsonl")
    console = Console(stderr=True)
    frames: list[ShownFrame] = []
    best, came = -math.inf, 0
    try:
        with GracefulStop() as stop:
            todo = _until_stopped(stop, flight.tasks)
            if console.is_terminal:
                todo = iter(track(todo, "frames", flight.count, console=console, transient=True))
            for frame, clicks, pose in todo:
                came += 1
                if not clicks:
                    continue
                result = flight.assembly.pipeline.process(frame, clicks, pose)
                lines.write(result.fixes)
                shown, picture = _show(flight, result)
                frames.append(shown)
                if merit(shown) > best:
                    best = merit(shown)
                    write_image(folder / "overlay.png", picture)
    finally:
        lines.close()
        write_geojson(lines.path, folder / "fixes.geojson")
    return frames, came


def _show(flight: DemoFlight, result: FrameResult) -> tuple[ShownFrame, Uint8]:
    """A frame as it is kept, and its overlay at full size."""
    judged = tuple(flight.truth.judge(result))
    truth = {j.fix.click_id: j.truth_box_px for j in judged if j.truth_box_px is not None}
    picture = draw_overlay(result, flight.assembly.pictures, truth)
    small = picture
    if SIZE_PX[0] > PAGE_WIDTH_PX:
        size = PAGE_WIDTH_PX, round(SIZE_PX[1] * PAGE_WIDTH_PX / SIZE_PX[0])
        small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    corner = (result.place.left_px, result.place.top_px) if result.place else (0, 0)
    outline = outline_px(result)
    boxes = {fix.click_id: box for fix in result.fixes if (box := result.box_shown(fix))}
    shown = ShownFrame(
        index=result.frame.index,
        name=Path(result.frame.source).name,
        judged=judged,
        timings=result.timings,
        inliers=result.placed.inliers if result.placed else None,
        overlay_jpeg=encode_image(small, ".jpg", PAGE_QUALITY),
        outline_px=None if outline is None else outline + corner,
        boxes_px={name: _moved(box, corner) for name, box in boxes.items()},
        truth_px={name: _moved(box, corner) for name, box in truth.items()},
    )
    return shown, picture


def _moved(box: Box, corner: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = box
    return x1 + corner[0], y1 + corner[1], x2 + corner[0], y2 + corner[1]


def _until_stopped(stop: GracefulStop, tasks: Iterator[Task]) -> Iterator[Task]:
    while (task := stop.next_of(tasks)) is not None:
        yield task
