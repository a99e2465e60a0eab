"""From a straight street plan to a grown one: a turn and a smooth bend of the whole plane."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.scenes.frame import GroundFrame

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Warp:
    """Plan coordinates (u, v) in metres to the world (east, north)."""

    angle_rad: float
    waves: tuple[tuple[float, float, float, float, float], ...]  # ku, kv, phase, du, dv

    @staticmethod
    def random(rng: np.random.Generator, bend_m: float) -> Warp:
        """A random turn, and three waves that move points by about `bend_m`."""
        waves = []
        for _ in range(3):
            length, heading = rng.uniform(260, 620), rng.uniform(0, 2 * math.pi)
            k = 2 * math.pi / length
            size, way = bend_m * rng.uniform(0.3, 0.8), rng.uniform(0, 2 * math.pi)
            waves.append(
                (
                    float(k * math.cos(heading)),
                    float(k * math.sin(heading)),
                    float(rng.uniform(0, 2 * math.pi)),
                    float(size * math.cos(way)),
                    float(size * math.sin(way)),
                )
            )
        return Warp(float(rng.uniform(0, 2 * math.pi)), tuple(waves))

    def points(self, uv_m: Float64) -> Float64:
        """World positions of plan positions. [N, 2] -> [N, 2]"""
        uv = np.asarray(uv_m, np.float64)
        moved = uv.copy()
        for ku, kv, phase, du, dv in self.waves:
            wave = np.sin(uv[:, 0] * ku + uv[:, 1] * kv + phase)
            moved[:, 0] += wave * du
            moved[:, 1] += wave * dv
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return np.asarray(moved @ np.array([[cos, sin], [-sin, cos]]))

    def strip(self, u0: float, u1: float, v0: float, v1: float, step_m: float = 14.0) -> Float64:
        """Outline of a plan rectangle, its edges bent with the plane. [K, 2]"""
        nu = max(1, math.ceil(abs(u1 - u0) / step_m))
        nv = max(1, math.ceil(abs(v1 - v0) / step_m))
        us, vs = np.linspace(u0, u1, nu + 1), np.linspace(v0, v1, nv + 1)
        edges = [
            np.stack([us[:-1], np.full(nu, v0)], axis=1),
            np.stack([np.full(nv, u1), vs[:-1]], axis=1),
            np.stack([us[:0:-1], np.full(nu, v1)], axis=1),
            np.stack([np.full(nv, u0), vs[:0:-1]], axis=1),
        ]
        return self.points(np.concatenate(edges))

    def frame(self, u: float, v: float, heading: tuple[float, float]) -> GroundFrame:
        """A frame at plan (u, v) whose first axis follows the plan direction `heading`."""
        du, dv = heading
        here, ahead = self.points(np.array([[u - du, v - dv], [u + du, v + dv]]))
        east, north = self.points(np.array([[u, v]]))[0]
        turn = math.atan2(ahead[1] - here[1], ahead[0] - here[0])
        return GroundFrame(float(east), float(north), turn)

    def stretch(self, u: float, v: float, heading: tuple[float, float], reach_m: float) -> float:
        """World length of a plan step of `reach_m` along `heading` around (u, v), per metre."""
        du, dv = heading[0] * reach_m / 2, heading[1] * reach_m / 2
        a, b = self.points(np.array([[u - du, v - dv], [u + du, v + dv]]))
        return float(math.hypot(b[0] - a[0], b[1] - a[1]) / reach_m)
