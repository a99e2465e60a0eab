"""What is true of a rendered picture: boxes, visible shares and click points of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import AnyCamera, project
from training.scenes.raster import Raster
from training.scenes.solids import SceneObject, Solids

Float64 = NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class MapBox:
    """Where an object is in a map picture. Boxes may reach beyond the picture."""

    object_id: str
    kind: str
    box_xyxy_px: Box  # footprint and roof as pictured (with lean: both ends of the lean)
    inside: float  # share of the box's area inside the picture, 0 to 1


@dataclass(frozen=True, slots=True)
class Sighting:
    """How a drone view sees one object."""

    object_id: str
    kind: str
    box_xyxy_px: Box  # of the visible pixels
    visible: float  # visible share of its whole projection, 0 to 1
    visible_px: int  # delivered pixels that show it
    click_xy_px: tuple[float, float]  # on a visible pixel of it


def object_box(camera: AnyCamera, thing: SceneObject, height_m: float | None = None) -> Box:
    """Box around the footprint on the ground and at `height_m` (default: its eave), in pixels."""
    foot = np.asarray(thing.footprint_m)
    height = thing.eave_m if height_m is None else height_m
    low = np.concatenate([foot, np.zeros((len(foot), 1))], axis=1)
    high = np.concatenate([foot, np.full((len(foot), 1), height)], axis=1)
    xy = project(camera, np.concatenate([low, high]))[:, :2]
    left, top = xy.min(axis=0)
    right, bottom = xy.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def map_boxes(
    objects: Sequence[SceneObject], camera: AnyCamera, minimum_inside: float = 0.0
) -> tuple[MapBox, ...]:
    """Boxes of the objects that overlap a map picture."""
    found: list[MapBox] = []
    for thing in objects:
        box = object_box(camera, thing)
        width = min(box[2], camera.width_px) - max(box[0], 0.0)
        height = min(box[3], camera.height_px) - max(box[1], 0.0)
        if width <= 0 or height <= 0:
            continue
        inside = width * height / ((box[2] - box[0]) * (box[3] - box[1]))
        if inside >= minimum_inside:
            found.append(MapBox(thing.id, thing.kind, box, inside))
    return tuple(found)


def _share_in_frame(camera: AnyCamera, thing: SceneObject) -> float:
    """Share of the object's projected hull that lies inside the picture."""
    foot = np.asarray(thing.footprint_m)
    top = np.concatenate([foot, np.full((len(foot), 1), thing.height_m)], axis=1)
    low = np.concatenate([foot, np.zeros((len(foot), 1))], axis=1)
    points = project(camera, np.concatenate([low, top]))
    if (points[:, 3] <= 0).any():
        return 0.0
    hull = cv2.convexHull(points[:, :2].astype(np.float32))
    area = float(cv2.contourArea(hull))
    if area < 1e-6:
        return 0.0
    w, h = float(camera.width_px), float(camera.height_px)
    frame = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    shared, _ = cv2.intersectConvexConvex(hull, frame)
    return min(1.0, float(shared) / area)


def _click(mask: NDArray[np.uint8], rng: np.random.Generator | None, jitter: float) -> Float64:
    """A pixel of `mask` (its centre, local pixels): near the middle, or anywhere with jitter 1."""
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), borderValue=0)
    if not inner.any():
        inner = mask
    rows, columns = np.nonzero(inner)
    points = np.stack([columns, rows], axis=1) + 0.5
    wanted = points.mean(axis=0)
    if rng is not None and jitter > 0:
        anywhere = points[int(rng.integers(len(points)))]
        wanted = wanted + jitter * (anywhere - wanted)
    nearest = np.argmin(((points - wanted) ** 2).sum(axis=1))
    return np.asarray(points[nearest])


def sightings(
    objects: Sequence[SceneObject],
    solids: Solids,
    raster: Raster,
    camera: AnyCamera,
    scale: float,
    kinds: frozenset[str],
    rng: np.random.Generator | None = None,
    jitter: float = 0.0,
    minimum_px: int = 12,
) -> tuple[Sighting, ...]:
    """The objects of `kinds` that a view shows.

    `raster` was drawn by `camera`, which has `scale` times the pixels of the delivered picture; the
    results are in delivered pixels. An object with fewer than `minimum_px` of them is left out.
    """
    owner = np.concatenate([solids.face_object, solids.sphere_object, [-1]])
    labels = owner[raster.face].astype(np.int32)  # [H, W], NO_FACE reads the last row
    counts = np.bincount(labels.ravel() + 1, minlength=len(objects) + 1)[1:]
    found: list[Sighting] = []
    for index in np.flatnonzero(counts >= minimum_px * scale * scale).tolist():
        thing = objects[index]
        if thing.kind not in kinds:
            continue
        left, top, right, bottom = object_box(camera, thing, thing.height_m)
        x0, y0 = max(int(left) - 3, 0), max(int(top) - 3, 0)
        x1 = min(int(right) + 4, camera.width_px)
        y1 = min(int(bottom) + 4, camera.height_px)
        mask = (labels[y0:y1, x0:x1] == index).astype(np.uint8)
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows) == 0:
            continue
        alone = max(int(raster.alone_px[index]), int(counts[index]))
        share = counts[index] / alone * _share_in_frame(camera, thing)
        x, y = (_click(mask, rng, jitter) + np.array([x0, y0])) / scale
        left, top = float(x0 + columns[0]), float(y0 + rows[0])
        right, bottom = float(x0 + columns[-1] + 1), float(y0 + rows[-1] + 1)
        found.append(
            Sighting(
                object_id=thing.id,
                kind=thing.kind,
                box_xyxy_px=(left / scale, top / scale, right / scale, bottom / scale),
                visible=float(share),
                visible_px=int(counts[index] / (scale * scale)),
                click_xy_px=(float(x), float(y)),
            )
        )
    return tuple(found)
