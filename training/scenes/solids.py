"""The geometry of a town: planar faces, spheres (tree crowns), and the objects that they belong to.

World frame: x east, y north, z up, metres, origin at the middle of the town, flat ground at z = 0.
Faces of a *part* (one building wing, one car body) are convex together and seen from above, so
within a part they are painted in their order; between parts the renderer compares nearness.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.scenes.textures import Material

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SceneObject:
    """Something that stands in the town and can be clicked on."""

    id: str  # "building-0012", unique within the town
    kind: str  # building, shed, car, truck, pool, pitch, tank, tree
    footprint_m: tuple[tuple[float, float], ...]  # (east, north) corners, roof overhang included
    height_m: float  # of the highest point
    eave_m: float  # of the footprint's outline seen from above (eave of a pitched roof)

    @property
    def centre_m(self) -> tuple[float, float]:
        """Centre of the footprint's axis-aligned box, (east, north)."""
        corners = np.asarray(self.footprint_m)
        low, high = corners.min(axis=0), corners.max(axis=0)
        return float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2

    @property
    def size_m(self) -> float:
        """Longer side of the footprint's axis-aligned box."""
        corners = np.asarray(self.footprint_m)
        return float((corners.max(axis=0) - corners.min(axis=0)).max())


@dataclass(frozen=True, slots=True)
class Solids:
    """Faces and spheres as arrays. F faces with V vertices in all, S spheres; objects by index."""

    vertex_m: Float64  # [V, 3]
    face_start: Int32  # [F + 1], vertices of face i are vertex_m[face_start[i]:face_start[i + 1]]
    plane: Float64  # [F, 4], unit outward normal and offset: plane . (x, y, z, 1) = 0 on the face
    texture: Float64  # [F, 8]: u = texture[0:3] . p + texture[3], v likewise; metres of the tile
    material: Int32  # [F]
    tint: NDArray[np.float32]  # [F, 3] linear RGB factor
    layer: Int32  # [F] ground layer, -1: a face of a part that stands up
    part: Int32  # [F] part of a standing face, -1 for the ground
    parent: Int32  # [F] face that this one lies on (drawn only if that one faces us), -1: none
    face_object: Int32  # [F] index of the object, -1: scenery
    sphere_m: Float64  # [S, 4] centre and radius
    sphere_material: Int32  # [S]
    sphere_tint: NDArray[np.float32]  # [S, 3]
    sphere_object: Int32  # [S]

    def without_objects(self, gone: NDArray[np.bool_]) -> Solids:
        """Less the faces and spheres of the objects marked in `gone` [N]; the rest renumbered."""
        keep = ~((self.face_object >= 0) & gone[self.face_object])
        keep_sphere = ~((self.sphere_object >= 0) & gone[self.sphere_object])
        counts = np.diff(self.face_start)[keep]
        new_index = np.cumsum(keep) - 1
        new_object = np.append(np.cumsum(~gone) - 1, -1).astype(np.int32)  # -1 stays -1
        parent = self.parent[keep]
        return replace(
            self,
            vertex_m=self.vertex_m[np.repeat(keep, np.diff(self.face_start))],
            face_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            plane=self.plane[keep],
            texture=self.texture[keep],
            material=self.material[keep],
            tint=self.tint[keep],
            layer=self.layer[keep],
            part=self.part[keep],
            parent=np.where(parent >= 0, new_index[parent], -1).astype(np.int32),
            face_object=new_object[self.face_object[keep]],
            sphere_m=self.sphere_m[keep_sphere],
            sphere_material=self.sphere_material[keep_sphere],
            sphere_tint=self.sphere_tint[keep_sphere],
            sphere_object=new_object[self.sphere_object[keep_sphere]],
        )


class Sketch:
    """Collects faces, spheres and objects while a town is laid out; `solids` freezes them."""

    def __init__(self) -> None:
        self.objects: list[SceneObject] = []
        self._vertices: list[Float64] = []
        self._rows: list[tuple[int, int, int, int, int]] = []  # material layer part parent object
        self._tints: list[tuple[float, float, float]] = []
        self._textures: list[list[float]] = []
        self._up: list[bool] = []
        self._spheres: list[tuple[float, float, float, float]] = []
        self._sphere_rows: list[tuple[int, int]] = []
        self._sphere_tints: list[tuple[float, float, float]] = []
        self._counts: dict[str, int] = {}
        self._part = -1

    def add_object(
        self, kind: str, footprint_m: Float64, height_m: float, eave_m: float | None = None
    ) -> int:
        """Register an object and return its index. footprint_m [K, 2] (east, north)."""
        number = self._counts.get(kind, 0)
        self._counts[kind] = number + 1
        corners = tuple((float(x), float(y)) for x, y in np.asarray(footprint_m)[:, :2])
        self.objects.append(
            SceneObject(
                f"{kind}-{number:04d}",
                kind,
                corners,
                float(height_m),
                float(height_m if eave_m is None else eave_m),
            )
        )
        return len(self.objects) - 1

    def begin_part(self) -> None:
        """Start a new convex part; the following standing faces belong to it."""
        self._part += 1

    def ground(
        self,
        polygon_m: Float64,
        material: Material,
        tint: tuple[float, float, float],
        layer: int,
        angle_rad: float = 0.0,
        owner: int = -1,
    ) -> None:
        """Paint a polygon [K, 2] on the ground; its texture's u axis points along `angle_rad`."""
        flat = np.zeros((len(polygon_m), 3))
        flat[:, :2] = polygon_m
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        self._vertices.append(flat)
        self._rows.append((int(material), layer, -1, -1, owner))
        self._tints.append(tint)
        self._textures.append([cos, sin, 0.0, 0.0, -sin, cos, 0.0, 0.0])
        self._up.append(True)

    def face(
        self,
        corners_m: Float64,
        material: Material,
        tint: tuple[float, float, float],
        owner: int,
        repeat_uv: tuple[float, float] = (1.0, 1.0),
        offset_uv: tuple[float, float] = (0.0, 0.0),
        parent: int = -1,
    ) -> int:
        """Add a standing face to the current part and return its index.

        corners_m [K, 3], counter-clockwise seen from outside. The texture's u runs from corner 0
        to corner 1 and v away from that edge inside the face, in metres times `repeat_uv`.
        """
        corners = np.asarray(corners_m, np.float64)
        ux, uy, uz = corners[1] - corners[0]
        length = (ux * ux + uy * uy + uz * uz) ** 0.5
        ux, uy, uz = ux / length, uy / length, uz / length
        wx, wy, wz = corners[-1] - corners[0]
        along = wx * ux + wy * uy + wz * uz
        vx, vy, vz = wx - along * ux, wy - along * uy, wz - along * uz
        height = (vx * vx + vy * vy + vz * vz) ** 0.5
        a, b = repeat_uv[0], repeat_uv[1] / height
        x, y, z = corners[0]
        self._vertices.append(corners)
        self._rows.append((int(material), -1, self._part, parent, owner))
        self._tints.append(tint)
        self._textures.append(
            [
                *(ux * a, uy * a, uz * a, offset_uv[0] - (ux * x + uy * y + uz * z) * a),
                *(vx * b, vy * b, vz * b, offset_uv[1] - (vx * x + vy * y + vz * z) * b),
            ]
        )
        self._up.append(False)
        return len(self._rows) - 1

    def sphere(
        self,
        centre_m: tuple[float, float, float],
        radius_m: float,
        material: Material,
        tint: tuple[float, float, float],
        owner: int,
    ) -> None:
        """Add one ball of a tree's crown."""
        self._spheres.append((*centre_m, radius_m))
        self._sphere_rows.append((int(material), owner))
        self._sphere_tints.append(tint)

    def solids(self) -> Solids:
        """Freeze what was collected."""
        counts = np.array([len(v) for v in self._vertices], np.int32)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        vertices = np.concatenate(self._vertices)
        rows = np.array(self._rows, np.int32)
        first = vertices[start[:-1]]
        normal = np.cross(vertices[start[:-1] + 1] - first, vertices[start[1:] - 1] - first)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        up = np.array(self._up)
        normal[up] = (0.0, 0.0, 1.0)
        plane = np.concatenate([normal, -np.sum(normal * first, axis=1, keepdims=True)], axis=1)
        sphere_rows = np.array(self._sphere_rows, np.int32).reshape(-1, 2)
        return Solids(
            vertex_m=vertices,
            face_start=start,
            plane=plane,
            texture=np.array(self._textures),
            material=rows[:, 0].copy(),
            tint=np.array(self._tints, np.float32),
            layer=rows[:, 1].copy(),
            part=rows[:, 2].copy(),
            parent=rows[:, 3].copy(),
            face_object=rows[:, 4].copy(),
            sphere_m=np.array(self._spheres).reshape(-1, 4),
            sphere_material=sphere_rows[:, 0].copy(),
            sphere_tint=np.array(self._sphere_tints, np.float32).reshape(-1, 3),
            sphere_object=sphere_rows[:, 1].copy(),
        )
