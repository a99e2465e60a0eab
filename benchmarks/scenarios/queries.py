"""The queries of a run: which picture, which clicks, which window; the same for the same seed.

Two runs of one seed send the same queries in the same order, so that their latencies can be
compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scenarios.flights import Shot
from edge.tiles.lattice import WindowPlace
from edge.types import Click
from edge.window_choice import WindowSupply

LAPS = 8  # with clicks drawn anew; then the row begins again
JITTER_PX = 6.0  # of a click that is drawn where there are fewer labels than clicks


@dataclass(frozen=True, slots=True)
class Query:
    """One frame with N clicks, and the window that is searched."""

    shot: Shot
    clicks: tuple[Click, ...]
    place: WindowPlace


def draw_queries(
    shots: Sequence[Shot], windows: WindowSupply, clicks: int, seed: int
) -> tuple[Query, ...]:
    """The flight in its order, several times, with `clicks` clicks in every picture.

    The window is the likeliest one of the pose, so it changes as often as on the flight.

    Raises:
        WindowError: a pose that lies outside the map.
    """
    random = np.random.default_rng(seed)
    places = [windows.choose(shot.pose).places[0] for shot in shots]
    return tuple(
        Query(shot, draw_clicks(shot, clicks, random), place)
        for _ in range(LAPS)
        for shot, place in zip(shots, places, strict=True)
    )


def draw_clicks(shot: Shot, count: int, random: np.random.Generator) -> tuple[Click, ...]:
    """Some of the labelled clicks; where there are too few, more of them a little beside."""
    order = random.permutation(len(shot.clicks))[:count]
    chosen = [shot.clicks[index] for index in order]
    high, wide = shot.image_bgr.shape[:2]
    while len(chosen) < count:
        near = shot.clicks[len(chosen) % len(shot.clicks)]
        dx, dy = random.uniform(-JITTER_PX, JITTER_PX, 2).tolist()
        x, y = min(max(near.x_px + dx, 0.5), wide - 0.5), min(max(near.y_px + dy, 0.5), high - 0.5)
        chosen.append(Click(f"{near.click_id} beside {len(chosen)}", x, y))
    return tuple(chosen)
