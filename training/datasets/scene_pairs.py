"""Procedural towns (`training.scenes`) as training samples, letterboxed as the runtime does it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edge.letterbox import letterbox
from training.datasets.appearance import degrade
from training.datasets.sample import PairSample
from training.scenes.pair import PairClick, PairOptions, Presence
from training.scenes.pair import sample_pair as draw_pair
from training.scenes.town import Town

MOST_CLICKS = 8
# Kinds that are clicked, and the most of a kind in one sample: parking areas and woods would
# otherwise be all that there is.
MOST_OF_KIND = {
    "building": 8,
    "pool": 3,
    "pitch": 2,
    "tank": 2,
    "shed": 2,
    "car": 2,
    "truck": 1,
    "tree": 1,
}
SCENE_COLOUR = 0.5  # scenes bring seasons and light of their own
TOWN_POOL = 60  # towns of one data set; a town costs as much as its pictures, so they are kept


def sample_pair(
    rng: np.random.Generator, *, frame_px: int, window_px: int, gsd_m: float, first_town: int
) -> PairSample:
    """Draw one sample.

    Args:
        rng: source of all chance.
        frame_px: side of the square frame; the view is 4:3 inside it.
        window_px: side of the window.
        gsd_m: nominal ground size of a window pixel; drawn within a factor 1.2 of it.
        first_town: seed of the first town; splits keep their towns apart by it.
    """
    scale = float(np.exp(rng.uniform(-0.18, 0.18)))
    options = PairOptions(
        view_size_px=(frame_px, frame_px * 3 // 4),
        window_size_px=(window_px, window_px),
        window_gsd_m=gsd_m * scale,
        most_clicks=60,
        kinds=frozenset(MOST_OF_KIND),
        same_season=0.5,
        elsewhere=0.1,
    )
    town = _town(first_town + int(rng.integers(TOWN_POOL)), options.extent_m)
    pair = draw_pair(rng, town, options)
    clicks = _choose([c for c in pair.clicks if c.presence is not Presence.CUT])
    if not clicks:  # nothing to click in this view: look elsewhere
        return sample_pair(
            rng, frame_px=frame_px, window_px=window_px, gsd_m=gsd_m, first_town=first_town
        )
    fitted = letterbox(degrade(pair.view_image, rng, strength=SCENE_COLOUR), frame_px, frame_px)
    xy = np.array([c.click_xy_px for c in clicks], np.float64)  # [N, 2] in the view
    boxed = xy @ fitted.affine[:, :2].T + fitted.affine[:, 2]
    present = np.array([c.presence is Presence.PRESENT for c in clicks])
    boxes = np.zeros((len(clicks), 4), np.float32)
    for index, c in enumerate(clicks):
        if present[index] and c.map_box_xyxy_px is not None:
            boxes[index] = np.clip(c.map_box_xyxy_px, 0, window_px)
    expected = np.full((len(clicks), 2), np.nan, np.float32)
    if pair.view_to_window is not None:
        ground = np.c_[xy, np.ones(len(xy))] @ pair.view_to_window.T
        expected = (ground[:, :2] / ground[:, 2:]).astype(np.float32)
    return PairSample(
        fitted.image,
        degrade(pair.window_image, rng, strength=SCENE_COLOUR),
        boxed.astype(np.float32),
        boxes,
        present,
        expected,
        f"scenes/{pair.town_seed}",
    )


@lru_cache(maxsize=TOWN_POOL)
def _town(seed: int, extent_m: float) -> Town:
    return Town.generate(seed, extent_m)


def _choose(clicks: list[PairClick]) -> list[PairClick]:
    """At most MOST_CLICKS, and of each kind at most MOST_OF_KIND; in the order drawn."""
    left = dict(MOST_OF_KIND)
    chosen = []
    for click in clicks:
        if left[click.kind] > 0:
            left[click.kind] -= 1
            chosen.append(click)
    return chosen[:MOST_CLICKS]
