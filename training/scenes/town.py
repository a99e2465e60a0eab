"""A procedural town on flat ground: what stands where, from one seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from edge.errors import UsageError
from training.scenes.blocks import flats, halls, old_town
from training.scenes.building import random_skin
from training.scenes.greens import farm, field, forest, park, sports
from training.scenes.plots import house_lot, lot_frames, row_lot
from training.scenes.season import Rgb
from training.scenes.solids import SceneObject, Sketch, Solids
from training.scenes.streets import Block, furnish, leave_town, pave, split
from training.scenes.textures import Material
from training.scenes.warp import Warp

_Use = Callable[[Sketch, np.random.Generator, Warp, Block], None]


def _houses(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    width = float(rng.uniform(16, 26))
    for frame, wide, deep in lot_frames(rng, warp, block, width, float(rng.uniform(30, 56))):
        if rng.random() < 0.95:
            house_lot(sketch, rng, frame, wide, deep)


def _rows(sketch: Sketch, rng: np.random.Generator, warp: Warp, block: Block) -> None:
    skin = random_skin(rng, False, Material.FACADE_HOUSE, 0.05)
    eave, rise = float(rng.uniform(5, 6.5)), float(rng.uniform(2.4, 3.6))
    for frame, wide, deep in lot_frames(rng, warp, block, 38.0, 30.0):
        row_lot(sketch, rng, frame, wide, deep, skin, eave, rise)


_USES: tuple[_Use, ...] = (
    _houses,
    _rows,
    flats,
    halls,
    park,
    forest,
    sports,
    field,
    farm,
    old_town,
)
# style: bend of the streets in metres, block size (short, long), weight of each use above
_STYLES: dict[str, tuple[float, tuple[float, float], tuple[float, ...]]] = {
    "suburb": (10.0, (62, 130), (10, 2, 1, 0.6, 0.8, 0.2, 0.5, 0, 0, 0.2)),
    "grid": (1.0, (66, 150), (8, 2, 1.5, 1, 0.7, 0, 0.5, 0, 0, 0.6)),
    "village": (16.0, (60, 110), (7, 1, 0.3, 0.3, 0.8, 0.6, 0.4, 2, 1.2, 0.8)),
    "centre": (9.0, (56, 90), (2, 2, 2, 0.5, 0.8, 0, 0.3, 0, 0, 5)),
    "works": (4.0, (90, 170), (2, 1, 1.5, 6, 0.5, 0.4, 0.5, 0.5, 0, 0)),
    "rural": (18.0, (80, 150), (2.5, 0, 0, 0.4, 0.6, 1.2, 0.4, 4, 2.5, 0)),
}


@dataclass(frozen=True, slots=True)
class Town:
    """A town, frozen. East and north are metres from its middle; the ground is flat at height 0."""

    seed: int
    style: str
    extent_m: float  # side of the built square; fields lie around it
    objects: tuple[SceneObject, ...]
    solids: Solids

    @staticmethod
    def generate(seed: int, extent_m: float = 560.0, style: str | None = None) -> Town:
        """Lay out a town. The same arguments give the same town.

        `style` is one of suburb, grid, village, centre, works, rural; None draws one.

        Raises:
            UsageError: an unknown style, or an extent below 150 or above 3000 m.
        """
        if style is not None and style not in _STYLES:
            raise UsageError(
                "unknown style of town",
                expected=f"one of {', '.join(_STYLES)}",
                found=repr(style),
                do="name one of these, or leave the style out",
            )
        if not 150 <= extent_m <= 3000:
            raise UsageError(
                "town extent out of range",
                expected="150 to 3000 m",
                found=f"{extent_m} m",
                do="choose an extent in this range",
            )
        rng = np.random.default_rng([seed, 1])
        weights = [0.34, 0.14, 0.16, 0.12, 0.12, 0.12]
        chosen = style or list(_STYLES)[int(rng.choice(len(_STYLES), p=weights))]
        bend, target, uses = _STYLES[chosen]
        warp = Warp.random(rng, bend)
        sketch = Sketch()
        _open_land(sketch, rng, warp, extent_m)
        # The plan is drawn larger and turned, so the built square covers the extent at any angle.
        reach = extent_m / 2 * 1.02
        roads, blocks = split(rng, Block(-reach, reach, -reach, reach), target)
        share = np.array(uses) / sum(uses)
        for block in blocks:
            use = _USES[int(rng.choice(len(_USES), p=share))]
            area = warp.strip(block.u0, block.u1, block.v0, block.v1)
            tone = float(rng.uniform(0.85, 1.15))
            sketch.ground(area, Material.GRASS, (tone, tone, tone), 0, warp.angle_rad)
            use(sketch, np.random.default_rng(rng.integers(2**63)), warp, block)
        for road in sorted(roads, key=lambda road: -road.level):
            leave_town(sketch, warp, road, reach)
            pave(sketch, rng, warp, road)
            furnish(sketch, rng, warp, road)
        return Town(seed, chosen, extent_m, tuple(sketch.objects), sketch.solids())

    def without(self, object_ids: Collection[str]) -> Town:
        """The same town before these objects came or after they left; unknown ids do nothing."""
        gone_ids = frozenset(object_ids)
        gone = np.array([thing.id in gone_ids for thing in self.objects] + [False])
        kept = tuple(thing for thing in self.objects if thing.id not in gone_ids)
        return replace(self, objects=kept, solids=self.solids.without_objects(gone))

    def find(self, object_id: str) -> SceneObject:
        """One object by its id.

        Raises:
            UsageError: no object has this id.
        """
        for thing in self.objects:
            if thing.id == object_id:
                return thing
        raise UsageError(
            "unknown object",
            expected="the id of an object of this town",
            found=repr(object_id),
            do="take an id from town.objects",
        )


def _open_land(sketch: Sketch, rng: np.random.Generator, warp: Warp, extent_m: float) -> None:
    """Fields around the town, far beyond its edge."""
    reach, step = extent_m / 2 + 520.0, 130.0
    cuts = np.arange(-reach, reach, step)
    for u in cuts:
        for v in cuts:
            inside = max(abs(u + step / 2), abs(v + step / 2)) + step / 2 < extent_m / 2
            if inside:
                continue
            shift = rng.uniform(-12, 12, 4)
            area = warp.strip(
                u + shift[0], u + step + shift[1], v + shift[2], v + step + shift[3], 60.0
            )
            tone = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, [0.06, 0.04, 0.06]))
            tint: Rgb = (float(tone[0]), float(tone[1]), float(tone[2]))
            kind = (Material.CROP, Material.CROP, Material.GRASS, Material.SOIL)
            turn = warp.angle_rad + float(rng.choice([0.0, math.pi / 2]))
            sketch.ground(area, kind[int(rng.integers(4))], tint, 0, turn)
