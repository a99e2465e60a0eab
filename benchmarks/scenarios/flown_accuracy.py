"""What the fixes of an open loop are worth, over all frames that its camera gave.

The same shots come again and again in a long flight. Values are therefore averaged over the clicks
of an object first and over objects then, as `edge.scoring` does it, and what is not on the map is
one thing for each label, however often it was shown. A frame that was never answered has no fix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath

import numpy as np

from benchmarks.record.observed import FlownAccuracy, Unknown
from benchmarks.scenarios.accuracy import NOT_ACCEPTED, NOT_CLICKED, NOT_MAPPED
from benchmarks.scenarios.flights import Flight
from benchmarks.scenarios.open_loop import Flown
from edge.pairs import PairsClick
from edge.pairs_grid import PairsGrid
from edge.scoring import RIGHT_IOU
from edge.tiles.lattice import WindowPlace
from edge.truth import SAME_CLICK_PX
from edge.types import Click, Float64

ToGrid = Callable[[Float64], Float64]  # pixels of the labelled map [N, 2] -> of the map's grid
NO_LABEL = -1


def flown_accuracy(
    flown: Flown, flight: Flight, clicks: Sequence[Sequence[Click]], to_grid: ToGrid
) -> FlownAccuracy | Unknown:
    """Judge the fixes of a flight.

    Args:
        flown: the loop.
        flight: with the labels.
        clicks: that were made in each shot, as many in each.
        to_grid: from the labelled map to the grid of the windows.

    Returns:
        Unknown where no click has a label.
    """
    late, log = flown.punctuality, flown.log
    units, truth_px = _labels(flight, clicks, to_grid)
    shown = np.asarray(log.shown[: late.scheduled], np.int64)
    unit = units[shown]  # [scheduled, clicks]
    labelled = unit != NO_LABEL
    count = np.bincount(unit[labelled], minlength=len(truth_px))
    if not count.any():
        return Unknown(NOT_CLICKED)
    seen, mapped = count > 0, ~np.isnan(truth_px[:, 0])
    overlap = _iou(log.boxes_px(late.scheduled), truth_px[unit])
    accepted = log.accepted(late.scheduled)

    def means(value: np.ndarray) -> Float64:
        """Over the clicks of each unit. [units], 0 where it was not seen"""
        total = np.bincount(unit[labelled], value[labelled], minlength=len(truth_px))
        return np.asarray(total / np.maximum(count, 1))

    taken, wrong = means(accepted), means(accepted & ~(overlap > RIGHT_IOU))
    right = {least: means(overlap > least)[seen & mapped] for least in (0.25, 0.5)}
    return FlownAccuracy(
        frames=late.scheduled,
        answered=late.age.count,
        aligned=late.aligned,
        clicks=int(labelled.sum()),
        acc25=float(right[0.25].mean()) if right[0.25].size else Unknown(NOT_MAPPED),
        acc50=float(right[0.5].mean()) if right[0.5].size else Unknown(NOT_MAPPED),
        coverage=float(taken[seen].mean()),
        wrong_rate=float(wrong.sum() / taken.sum()) if taken.any() else Unknown(NOT_ACCEPTED),
    )


def _labels(
    flight: Flight, clicks: Sequence[Sequence[Click]], to_grid: ToGrid
) -> tuple[np.ndarray, Float64]:
    """The unit of every click of every shot [shots, clicks], and the true boxes [units, 4]."""
    names: dict[object, int] = {}
    boxes: list[list[float]] = []
    units = np.full((len(clicks), len(clicks[0])), NO_LABEL, np.int64)
    for shot, made in enumerate(clicks):
        for at, click in enumerate(made):
            label = label_of(flight, shot, click)
            if label is None:
                continue
            # what is absent has no name: its own place in its own picture tells it apart
            absent = flight.shots[shot].source, label.x_px, label.y_px
            name = absent if label.object_id is None else label.object_id
            if name not in names:
                names[name] = len(boxes)
                boxes.append(_box(flight, label, to_grid))
            units[shot, at] = names[name]
    return units, np.array(boxes, np.float64).reshape(-1, 4)


def _box(flight: Flight, label: PairsClick, to_grid: ToGrid) -> list[float]:
    if label.object_id is None:
        return [np.nan] * 4
    corners = np.reshape(flight.pairs.objects[label.object_id].box_xyxy_px, (2, 2))
    return [float(each) for each in to_grid(corners.astype(np.float64)).ravel()]


def _iou(found: Float64, true: Float64) -> Float64:
    """Of boxes [..., 4]; 0 where either is NaN."""
    low, high = np.maximum(found[..., :2], true[..., :2]), np.minimum(found[..., 2:], true[..., 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    sides = [np.maximum(box[..., 2:] - box[..., :2], 0.0) for box in (found, true)]
    union = np.prod(sides[0], axis=-1) + np.prod(sides[1], axis=-1) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(union > 0, np.nan_to_num(shared / union), 0.0)


def label_of(flight: Flight, shot: int, click: Click) -> PairsClick | None:
    """The label of a click; None: it was drawn beside one."""
    made = flight.shots[shot]
    high, wide = made.image_bgr.shape[:2]
    labelled = [each for each in flight.pairs.frames if each.clicks]
    same = [each for each in labelled if each.file == made.source]
    same += [each for each in labelled if PurePath(each.file).name == PurePath(made.source).name]
    if not same:
        return None
    frame = same[0]
    across, down = wide / frame.width_px, high / frame.height_px
    away = [
        abs(each.x_px * across - click.x_px) + abs(each.y_px * down - click.y_px)
        for each in frame.clicks
    ]
    nearest = int(np.argmin(away))
    return frame.clicks[nearest] if away[nearest] <= SAME_CLICK_PX else None


def grid_of(flight: Flight, pictures: object, near: WindowPlace) -> ToGrid:
    """The way from the labelled map to the grid that windows are read from.

    Args:
        flight: with the labels.
        pictures: the grid, of a map in tiles or of the pairs file itself.
        near: a window of the flight: a geometry goes round the world the short way, so that far
            from its window it may come out on the other side.
    """
    if isinstance(pictures, PairsGrid):
        return pictures.to_grid
    labelled = flight.pairs.map.geometry
    if labelled is None:
        raise ValueError("the labelled map has no position")
    corner = near.left_px, near.top_px
    window = pictures.geometry(*corner)  # type: ignore[attr-defined]
    return lambda xy_px: np.asarray(window.xy_px(labelled.lon_lat_deg(xy_px)) + corner)
