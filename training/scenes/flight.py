"""A flight over a town: the camera's path and the objects that are clicked along it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.scenes.camera import Camera
from training.scenes.render import RenderedView, render_view
from training.scenes.season import Appearance
from training.scenes.town import Town
from training.scenes.truth import Sighting

TRACKED = frozenset({"building", "pool", "pitch", "tank", "truck"})


@dataclass(frozen=True, slots=True)
class FlightPlan:
    """Where and how the camera flies. The target moves along a bent line through the town."""

    frames: int = 24
    step_s: float = 1.0
    length_m: float = 250.0  # of the target's way
    heading_deg: float = 40.0
    bend_m: float = 45.0
    height_m: float = 104.0
    tilt_deg: tuple[float, float] = (24.0, 40.0)  # slow swing of the gimbal
    yaw_swing_deg: float = 25.0  # of the camera about the heading
    focal_px: float = 740.0
    size_px: tuple[int, int] = (640, 480)

    def cameras(self) -> list[Camera]:
        """The camera of every frame."""
        heading = np.deg2rad(self.heading_deg)
        along = np.array([np.sin(heading), np.cos(heading)])
        aside = np.array([np.cos(heading), -np.sin(heading)])
        out: list[Camera] = []
        for i in range(self.frames):
            share = i / max(1, self.frames - 1)
            ahead = (share - 0.5) * self.length_m
            side = self.bend_m * np.sin(2 * np.pi * share)
            target = ahead * along + side * aside
            swing = 0.5 - 0.5 * np.cos(2 * np.pi * share)
            tilt = self.tilt_deg[0] + swing * (self.tilt_deg[1] - self.tilt_deg[0])
            yaw = self.heading_deg + self.yaw_swing_deg * np.sin(2 * np.pi * share + 0.6)
            height = self.height_m + 6.0 * np.sin(5.0 * share)
            gsd = height / np.cos(np.deg2rad(tilt)) / self.focal_px
            roll = 1.2 * np.sin(9.0 * share)
            spot = (float(target[0]), float(target[1]))
            width, tall = self.size_px
            out.append(
                Camera.over(spot, gsd, yaw % 360, tilt, self.focal_px, width, tall, float(roll))
            )
        return out


@dataclass(frozen=True, slots=True)
class TrackedClick:
    """One click of one frame."""

    click_id: str  # the same for an object in all its frames
    object_id: str
    kind: str
    xy_px: tuple[float, float]
    visible: float


@dataclass(frozen=True, slots=True)
class FlownFrame:
    """One frame of the flight with its clicks."""

    view: RenderedView
    clicks: tuple[TrackedClick, ...]


def preview(town: Town, plan: FlightPlan) -> list[tuple[Sighting, ...]]:
    """What every frame will show, rendered small: enough to choose objects beforehand."""
    plain = Appearance(sunshine=0.0, supersample=0.5)
    return [render_view(town, plain, camera, TRACKED).sightings for camera in plan.cameras()]


def newcomers(
    rng: np.random.Generator,
    seen: list[tuple[Sighting, ...]],
    size_px: tuple[int, int],
    buildings: int,
    others: int,
) -> tuple[str, ...]:
    """Objects to leave out of the map: seen well and long, of two sorts.

    Buildings, and trucks or (if there are too few) pools.
    """
    length: dict[str, int] = {}
    kind: dict[str, str] = {}
    for sights in seen:
        for sight in sights:
            if _clear(sight, *size_px):
                length[sight.object_id] = length.get(sight.object_id, 0) + 1
                kind[sight.object_id] = sight.kind
    long = sorted(name for name, count in length.items() if count >= min(4, len(seen)))
    houses = [name for name in long if kind[name] == "building"]
    rest = [name for name in long if kind[name] == "truck"]
    rest += [name for name in long if kind[name] == "pool"]
    chosen = rng.permutation(len(houses))[:buildings].tolist()
    return (*(houses[i] for i in chosen), *rest[:others])


def _clear(sight: Sighting, width_px: int, height_px: int) -> bool:
    """Whether an operator would click on it: large enough, mostly visible, off the border."""
    x, y = sight.click_xy_px
    border = width_px / 45
    inside = border < x < width_px - border and border < y < height_px - border
    share = 1.6e-3 if sight.kind == "building" else 4e-4  # of the frame's pixels
    large = sight.visible_px >= share * width_px * height_px
    return inside and large and sight.visible >= 0.5


def fly(
    town: Town,
    plan: FlightPlan,
    appearance: Appearance,
    wanted: tuple[str, ...],
    seed: int,
    clicks_per_frame: tuple[int, int] = (4, 8),
) -> list[FlownFrame]:
    """Render the flight. Objects in `wanted` are clicked whenever they are clear to see; others
    fill the frame up and keep their click as long as they stay clear."""
    rng = np.random.default_rng([seed, 11])
    least, most = clicks_per_frame
    following: list[str] = []
    names: dict[str, str] = {}
    out: list[FlownFrame] = []
    for number, camera in enumerate(plan.cameras()):
        own = replace(appearance, sensor_seed=seed + number)
        view = render_view(town, own, camera, TRACKED, rng, 0.25)
        clear = {s.object_id: s for s in view.sightings if _clear(s, *plan.size_px)}
        following = [name for name in following if name in clear]
        for name in wanted:
            if name in clear and name not in following:
                following.insert(0, name)
        del following[most:]
        aim = int(rng.integers(least + 1, most))
        fresh = [name for name in clear if name not in following]
        fresh = [fresh[i] for i in rng.permutation(len(fresh)).tolist()]
        fresh.sort(key=lambda name: clear[name].visible < 0.8)
        following += fresh[: max(0, aim - len(following))]
        clicks: list[TrackedClick] = []
        for name in following:
            sight = clear[name]
            label = names.setdefault(name, f"{sight.kind[0]}{len(names) + 1:02d}")
            clicks.append(TrackedClick(label, name, sight.kind, sight.click_xy_px, sight.visible))
        out.append(FlownFrame(view, tuple(clicks)))
    return out
