"""Which face each pixel sees: ground polygons in painting order, standing parts by nearness.

The same code draws the drone view, the map and the sun's shadow map; only the camera differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import AnyCamera
from training.scenes.solids import Solids

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

_SHIFT = 4  # sub-pixel bits of cv2's polygon coordinates
_FAR_PX = 16000.0  # vertices further out than this are clipped before drawing
_NEAR_W = 1.0  # metres before the pinhole's eye
NO_FACE = -1


@dataclass(frozen=True, slots=True)
class Raster:
    """What the pixels see. Sphere i counts as face F + i."""

    face: NDArray[np.int32]  # [H, W], NO_FACE: open land without a polygon
    nearness: Float32  # [H, W]
    alone_px: NDArray[np.int64]  # [objects], pixels of each object if nothing stood before it


def plane_coefficients(camera: AnyCamera, plane: Float64) -> Float64:
    """Nearness over pixels of each plane: s = k0 * col + k1 * row + k2. [F, 4] -> [F, 3]"""
    clip = plane @ np.linalg.inv(camera.matrix)
    depth = np.where(np.abs(clip[:, 2]) < 1e-12, 1e-12, clip[:, 2])
    return np.asarray(-clip[:, [0, 1, 3]] / depth[:, None])


def _clipped(clip: Float64) -> Float64:
    """Cut a homogeneous polygon [K, 4] at the near plane and at +-_FAR_PX; [M, 2] pixels."""
    limits = np.array(
        [
            [0, 0, 1, -_NEAR_W],
            [1, 0, _FAR_PX, 0],
            [-1, 0, _FAR_PX, 0],
            [0, 1, _FAR_PX, 0],
            [0, -1, _FAR_PX, 0],
        ],
        np.float64,
    )
    polygon = np.concatenate([clip[:, [0, 1, 3]], np.ones((len(clip), 1))], axis=1)
    for limit in limits:
        if len(polygon) == 0:
            break
        side = polygon @ limit
        following, next_side = np.roll(polygon, -1, axis=0), np.roll(side, -1)
        kept: list[Float64] = []
        for point, after, a, b in zip(polygon, following, side, next_side, strict=True):
            if a >= 0:
                kept.append(point)
            if (a >= 0) != (b >= 0):
                kept.append(point + (after - point) * (a / (a - b)))
        polygon = np.array(kept).reshape(-1, 4)
    return np.asarray(polygon[:, :2] / polygon[:, 2:3]) if len(polygon) else np.zeros((0, 2))


def _fixed(xy_px: Float64) -> NDArray[np.int32]:
    """Pixel coordinates with corner origin to cv2's fixed point (centres on integers)."""
    return np.asarray(np.rint((xy_px - 0.5) * (1 << _SHIFT)), np.int32)


def _dome(size: int) -> Float32:
    """Front of a unit ball over a size x size square: depth 0 to 1, negative outside."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2.0 / size) - 1.0
    square = 1.0 - axis[None, :] ** 2 - axis[:, None] ** 2
    return np.where(square > 0, np.sqrt(np.maximum(square, 0)), -1.0).astype(np.float32)


_DOMES = {size: _dome(size) for size in range(1, 160)}
_STIPPLE = np.random.default_rng(5).random((512, 512), np.float32)


class _Canvas:
    """The pixels of one rasterisation while they are being written."""

    def __init__(self, solids: Solids, camera: AnyCamera, object_count: int) -> None:
        self.solids, self.camera = solids, camera
        height, width = camera.height_px, camera.width_px
        self.width, self.height = width, height
        self.face = np.full((height, width), NO_FACE, np.int32)
        ground = plane_coefficients(camera, np.array([[0.0, 0.0, 1.0, 0.0]]))[0]
        self.columns = np.arange(width, dtype=np.float32) + 0.5
        self.rows = np.arange(height, dtype=np.float32) + 0.5
        self.nearness = (
            (ground[0] * self.columns)[None, :] + (ground[1] * self.rows + ground[2])[:, None]
        ).astype(np.float32)
        self.ground = self.nearness.copy()
        self.alone_px = np.zeros(object_count, np.int64)
        clip = solids.vertex_m @ camera.matrix[:, :3].T + camera.matrix[:, 3]
        self.clip = clip
        w = np.where(clip[:, 3] > _NEAR_W * 0.5, clip[:, 3], np.nan)
        self.xy = clip[:, :2] / w[:, None]  # [V, 2], nan behind the eye
        self.scratch = np.zeros((height, width), np.int32)
        self.stamp = np.zeros((height, width), np.int32)
        starts = solids.face_start[:-1]
        with np.errstate(invalid="ignore"):
            self.low = np.minimum.reduceat(self.xy, starts, axis=0)
            self.high = np.maximum.reduceat(self.xy, starts, axis=0)
            self.behind = np.isnan(self.low[:, 0])
            inside = (self.high > 0).all(axis=1) & (self.low[:, 0] < width)
            self.inside = inside & (self.low[:, 1] < height)
        fixed = np.nan_to_num((self.xy - 0.5) * (1 << _SHIFT), nan=0.0)
        self.wild = np.abs(fixed).max(axis=1) > _FAR_PX * (1 << _SHIFT)
        self.fixed = np.rint(np.clip(fixed, -2e9, 2e9)).astype(np.int32)

    def paint_ground(self) -> None:
        """Paint the ground polygons, layer by layer."""
        solids = self.solids
        starts = solids.face_start
        spread = self.high - self.low
        with np.errstate(invalid="ignore"):
            large = spread[:, 0] * spread[:, 1] > 0.4
        wild = np.logical_or.reduceat(self.wild, starts[:-1])
        ahead = np.maximum.reduceat(self.clip[:, 3], starts[:-1]) > _NEAR_W
        wanted = (solids.layer >= 0) & ((self.inside & large) | (self.behind & ahead))
        chosen = np.flatnonzero(wanted)
        chosen = chosen[np.argsort(solids.layer[chosen], kind="stable")]
        hard = self.behind | wild
        for face in chosen.tolist():
            first, last = starts[face], starts[face + 1]
            if hard[face]:
                points = _fixed(_clipped(self.clip[first:last]))
            else:
                points = self.fixed[first:last]
            if len(points) >= 3:
                cv2.fillPoly(self.face, [points], face, cv2.LINE_8, _SHIFT)
        owner = solids.face_object
        owned = chosen[owner[chosen] >= 0]
        if len(owned):
            counts = np.bincount(self.face.ravel() + 1, minlength=len(owner) + 1)[1:]
            np.add.at(self.alone_px, owner[owned], counts[owned])

    def stand_parts(self) -> None:
        """Draw the standing parts, each pixel to the nearest."""
        solids = self.solids
        faces = np.flatnonzero((solids.layer < 0) & self.inside & ~self.behind)
        front = solids.plane @ self.camera.eye > 0
        parent = solids.parent
        faces = faces[front[faces] & ((parent[faces] < 0) | front[parent[faces]])]
        if len(faces) == 0:
            return
        part = solids.part[faces]
        order = np.argsort(part, kind="stable")
        faces, part = faces[order], part[order]
        cuts = np.flatnonzero(np.diff(part)) + 1
        begin = np.concatenate([[0], cuts])
        low = np.maximum(np.floor(np.minimum.reduceat(self.low[faces], begin) - 1), 0)
        size = [self.width, self.height]
        high = np.minimum(np.ceil(np.maximum.reduceat(self.high[faces], begin) + 1), size)
        boxes = np.concatenate([low, high], axis=1).astype(int).tolist()
        slopes = plane_coefficients(self.camera, solids.plane[faces]).astype(np.float32)
        starts = solids.face_start
        end = np.concatenate([cuts, [len(faces)]])
        face_list = faces.tolist()
        for (x0, y0, x1, y1), first, last in zip(boxes, begin.tolist(), end.tolist(), strict=True):
            if x1 <= x0 or y1 <= y0:
                continue
            local = self.scratch[y0:y1, x0:x1]
            local[...] = 0
            origin = np.array([x0 << _SHIFT, y0 << _SHIFT], np.int32)
            for index in range(first, last):
                face = face_list[index]
                points = self.fixed[starts[face] : starts[face + 1]] - origin
                cv2.fillPoly(local, [points], index - first + 1, cv2.LINE_8, _SHIFT)
            rows = np.zeros((last - first + 1, 3), np.float32)
            rows[1:] = slopes[first:last]
            rows[0, 2] = -np.inf
            a, b, c = rows[local, 0], rows[local, 1], rows[local, 2]
            near = a * self.columns[x0:x1] + b * self.rows[y0:y1, None] + c
            target = self.nearness[y0:y1, x0:x1]
            win = near > target
            np.copyto(target, near, where=win)
            ids = np.array([NO_FACE, *face_list[first:last]], np.int32)[local]
            np.copyto(self.face[y0:y1, x0:x1], ids, where=win)
            owner = int(solids.face_object[face_list[first]])
            if owner >= 0:
                # wings of one building overlap: a pixel counts once for it, and not if underground
                stamp = self.stamp[y0:y1, x0:x1]
                fresh = (near > self.ground[y0:y1, x0:x1]) & (stamp != owner + 1)
                self.alone_px[owner] += np.count_nonzero(fresh)
                stamp[fresh] = owner + 1

    def stand_spheres(self, crown_scale: Float32, crown_density: Float32) -> None:
        """Draw the tree crowns: balls, shrunk and thinned where the season says so. [S] each."""
        solids = self.solids
        if len(solids.sphere_m) == 0:
            return
        camera = self.camera
        centre = solids.sphere_m[:, :3]
        radius = solids.sphere_m[:, 3] * crown_scale
        clip = centre @ camera.matrix[:, :3].T + camera.matrix[:, 3]
        eye = camera.eye
        towards = eye[:3] - centre * eye[3]
        towards /= np.linalg.norm(towards, axis=1, keepdims=True)
        tip = (centre + towards * radius[:, None]) @ camera.matrix[:, :3].T + camera.matrix[:, 3]
        nearest_w = 0.5 if eye[3] == 0.0 else _NEAR_W
        ok = (clip[:, 3] > nearest_w) & (tip[:, 3] > nearest_w)
        w = np.where(ok, clip[:, 3], 1.0)
        xy = clip[:, :2] / w[:, None]
        base = clip[:, 2] / w
        bump = tip[:, 2] / np.where(ok, tip[:, 3], 1.0) - base
        reach = radius / camera.texel_m(base.astype(np.float32))  # [S] pixels
        inside = ok & (reach > 0.7) & (reach < 2000)
        inside &= (xy + reach[:, None] > 0).all(axis=1)
        inside &= (xy[:, 0] - reach < self.width) & (xy[:, 1] - reach < self.height)
        first_sphere = len(solids.material)
        for index in np.flatnonzero(inside).tolist():
            size = max(1, round(2 * reach[index]))
            x0, y0 = round(xy[index, 0] - size / 2), round(xy[index, 1] - size / 2)
            dome = _DOMES[size] if size in _DOMES else _dome(size)
            left, top = max(x0, 0), max(y0, 0)
            right, bottom = min(x0 + size, self.width), min(y0 + size, self.height)
            if right <= left or bottom <= top:
                continue
            dome = dome[top - y0 : bottom - y0, left - x0 : right - x0]
            target = self.nearness[top:bottom, left:right]
            near = np.float32(base[index]) + np.float32(bump[index]) * dome
            win = (near > target) & (dome >= 0)
            if crown_density[index] < 1.0:
                thin = _STIPPLE[: bottom - top, : right - left] < crown_density[index]
                if thin.shape == win.shape:
                    win &= thin
            np.copyto(target, near, where=win)
            np.copyto(self.face[top:bottom, left:right], first_sphere + index, where=win)
            self.alone_px[solids.sphere_object[index]] += np.count_nonzero(dome >= 0)


def rasterise(
    solids: Solids,
    camera: AnyCamera,
    object_count: int,
    crown_scale: Float32,
    crown_density: Float32,
    ground: bool = True,
) -> Raster:
    """Draw `solids` through `camera`. crown_scale, crown_density [S]: the season's tree crowns."""
    canvas = _Canvas(solids, camera, object_count)
    if ground:
        canvas.paint_ground()
    canvas.stand_parts()
    canvas.stand_spheres(crown_scale, crown_density)
    return Raster(canvas.face, canvas.nearness, canvas.alone_px)
