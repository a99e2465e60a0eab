"""One training sample: a drone view, a map window, clicks and their boxes in the window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from training.scenes.camera import Camera, ParallelCamera
from training.scenes.render import RenderedMap, RenderedView, render_map, render_view
from training.scenes.season import Appearance
from training.scenes.town import Town

Float64 = NDArray[np.float64]
Uint8 = NDArray[np.uint8]

LOWEST_FLIGHT_M = 45.0  # above the tallest roof of any town


class Presence(str, Enum):
    """Whether a clicked object is in the map window."""

    PRESENT = "present"
    CUT = "cut"  # less than 60 % of its box lies inside the window
    OUTSIDE = "outside"  # the window ends before it
    SINCE = "since"  # it came after the map was taken (or is a car that has moved)
    ELSEWHERE = "elsewhere"  # the window shows another place altogether


@dataclass(frozen=True, slots=True)
class PairClick:
    """A click in the view and its box in the window."""

    object_id: str
    kind: str
    click_xy_px: tuple[float, float]  # view
    visible: float  # visible share of the object in the view, 0 to 1
    view_box_xyxy_px: tuple[float, float, float, float]  # view
    presence: Presence
    map_box_xyxy_px: tuple[float, float, float, float] | None  # window; None unless present or cut


@dataclass(frozen=True, slots=True)
class ScenePair:
    """A view and a window of the map, with truth."""

    view: RenderedView
    window: RenderedMap
    clicks: tuple[PairClick, ...]
    view_to_window: Float64 | None  # [3, 3] ground plane, view px -> window px; None: elsewhere
    town_seed: int
    gsd_m: float  # across the middle of the view

    @property
    def view_image(self) -> Uint8:
        """The drone's picture, RGB [H, W, 3]."""
        return self.view.image

    @property
    def window_image(self) -> Uint8:
        """The map window, RGB [H, W, 3]."""
        return self.window.image


@dataclass(frozen=True, slots=True)
class PairOptions:
    """Ranges that a sample is drawn from."""

    view_size_px: tuple[int, int] = (640, 480)
    window_size_px: tuple[int, int] = (1024, 1024)
    window_gsd_m: float = 0.3
    view_gsd_m: tuple[float, float] = (0.05, 0.4)  # drawn log-uniformly
    tilt_deg: tuple[float, float] = (0.0, 60.0)
    focal_px: tuple[float, float] = (520.0, 1100.0)  # for a view 640 px wide
    most_clicks: int = 12
    least_visible: float = 0.35
    least_px: int = 40
    kinds: frozenset[str] = frozenset({"building", "pool", "pitch", "tank", "car", "truck"})
    click_jitter: float = 0.6
    same_season: float = 0.6  # share of pairs whose map and view have the same season
    new_buildings: float = 0.04  # share of buildings, pools, tanks that the map does not have yet
    gone_buildings: float = 0.03  # share that only the map has
    car_turnover: float = 0.7  # share of cars that are only in one of the pictures
    elsewhere: float = 0.08  # share of pairs whose window shows another town
    most_lean: float = 0.15  # largest tan(off-nadir angle) of the map
    extent_m: float = 560.0


_LASTING = frozenset({"building", "shed", "pool", "pitch", "tank"})


def two_dates(
    rng: np.random.Generator, town: Town, new: float, gone: float, cars: float
) -> tuple[Town, Town]:
    """The town as mapped and as flown over later: things came, went, and cars moved."""
    draw = rng.random(len(town.objects))
    since, before = [], []
    for thing, value in zip(town.objects, draw.tolist(), strict=True):
        if thing.kind in _LASTING:
            if value < new:
                since.append(thing.id)
            elif value > 1 - gone:
                before.append(thing.id)
        elif thing.kind in ("car", "truck"):
            if value < cars / 2:
                since.append(thing.id)
            elif value < cars:
                before.append(thing.id)
    return town.without(since), town.without(before)


def ground_homography(view: Camera, window: ParallelCamera) -> Float64:
    """Pixels of the view to pixels of the window for points on the ground, [3, 3]."""
    of_view = view.matrix[[0, 1, 3]][:, [0, 1, 3]]
    of_window = window.matrix[[0, 1, 3]][:, [0, 1, 3]]
    homography = of_window @ np.linalg.inv(of_view)
    return np.asarray(homography / homography[2, 2])


def _target(
    rng: np.random.Generator, town: Town, reach_m: float, options: PairOptions
) -> tuple[float, float]:
    """Where the camera looks: mostly near an object, else anywhere within the reach."""
    if rng.random() < 0.9:
        lasting = [
            thing
            for thing in town.objects
            if thing.kind in _LASTING & options.kinds
            and max(abs(thing.centre_m[0]), abs(thing.centre_m[1])) < reach_m
        ]
        if lasting:
            x, y = lasting[int(rng.integers(len(lasting)))].centre_m
            return x + float(rng.normal(0, 8)), y + float(rng.normal(0, 8))
    return float(rng.uniform(-reach_m, reach_m)), float(rng.uniform(-reach_m, reach_m))


def random_camera(
    rng: np.random.Generator, target_m: tuple[float, float], options: PairOptions
) -> tuple[Camera, float]:
    """A camera that looks at the target, and its ground sampling distance there."""
    width, height = options.view_size_px
    low, high = np.log(options.focal_px)
    focal = float(np.exp(rng.uniform(low, high))) * width / 640
    tilt = float(rng.uniform(*options.tilt_deg))
    if rng.random() < 0.2:  # straight down is common in practice
        tilt = options.tilt_deg[0] + float(rng.uniform(0, 0.15)) * (
            options.tilt_deg[1] - options.tilt_deg[0]
        )
    least, most = np.log(options.view_gsd_m)
    gsd = float(np.exp(rng.uniform(least, most)))
    floor = LOWEST_FLIGHT_M / np.cos(np.deg2rad(tilt))
    if gsd * focal < floor:  # too low: zoom in rather than fly among the roofs
        focal = floor / gsd
    yaw = float(rng.uniform(0, 360))
    roll = float(rng.normal(0, 1.5))
    return Camera.over(target_m, gsd, yaw, tilt, focal, width, height, roll), gsd


def sample_pair(
    rng: np.random.Generator, town: Town | None = None, options: PairOptions | None = None
) -> ScenePair:
    """Draw a sample. The same state of `rng` (and town, options) gives the same pixels.

    A town given is used instead of a fresh one, which saves its generation. The camera's target
    lies anywhere in the window, not in its middle. Clicks are on visible objects of the view in
    random order, at most `most_clicks`; those that are not in the window say why.
    """
    o = options or PairOptions()
    full = town or Town.generate(int(rng.integers(2**31)), o.extent_m)
    mapped, flown = two_dates(rng, full, o.new_buildings, o.gone_buildings, o.car_turnover)
    reach = full.extent_m / 2 - 80
    target = _target(rng, flown, reach, o)
    camera, gsd = random_camera(rng, target, o)
    of_map = Appearance.random(rng, satellite=True)
    same = rng.random() < o.same_season
    of_view = Appearance.random(rng, satellite=False, season=of_map.season if same else None)
    of_map = replace(of_map, supersample=1.25)
    view = render_view(flown, of_view, camera, o.kinds, rng, o.click_jitter)

    elsewhere = bool(rng.random() < o.elsewhere)
    half = np.array(o.window_size_px) * o.window_gsd_m / 2
    spread = half - np.minimum(25.0, half / 4)
    limit = np.maximum(full.extent_m / 2 + 30 - half, 0)
    centre = np.clip(np.array(target) + rng.uniform(-spread, spread), -limit, limit)
    centre = np.clip(centre, np.array(target) - spread, np.array(target) + spread)
    shown = mapped
    if elsewhere:
        shown = Town.generate(int(rng.integers(2**31)), min(o.extent_m, 400.0))
        centre = rng.uniform(-40, 40, 2)
    off, way = float(rng.uniform(0, o.most_lean)), float(rng.uniform(0, 2 * np.pi))
    lean = (off * float(np.cos(way)), off * float(np.sin(way)))
    place = (float(centre[0]), float(centre[1]))
    window = render_map(shown, of_map, o.window_gsd_m, place, o.window_size_px, lean)

    boxes = {} if elsewhere else {box.object_id: box for box in window.boxes}
    in_map = {thing.id for thing in mapped.objects}
    seen = [
        s for s in view.sightings if s.visible >= o.least_visible and s.visible_px >= o.least_px
    ]
    clicks: list[PairClick] = []
    for number in rng.permutation(len(seen))[: o.most_clicks].tolist():
        sight = seen[number]
        box = boxes.get(sight.object_id)
        if elsewhere:
            presence = Presence.ELSEWHERE
        elif sight.object_id not in in_map:
            presence = Presence.SINCE
        elif box is None:
            presence = Presence.OUTSIDE
        else:
            presence = Presence.PRESENT if box.inside >= 0.6 else Presence.CUT
        clicks.append(
            PairClick(
                object_id=sight.object_id,
                kind=sight.kind,
                click_xy_px=sight.click_xy_px,
                visible=sight.visible,
                view_box_xyxy_px=sight.box_xyxy_px,
                presence=presence,
                map_box_xyxy_px=None if box is None else box.box_xyxy_px,
            )
        )
    homography = None if elsewhere else ground_homography(camera, window.camera)
    return ScenePair(view, window, tuple(clicks), homography, full.seed, gsd)
