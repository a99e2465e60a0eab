"""What every peer is given: the frames of a pairs file, N clicks in each, and the window to search.

The window is the one whose centre is nearest to where the frame says that its camera was; a map
that fits into one window, or frames that do not say, leave no choice. The same windows are timed
and scored.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.bundle import Bundle
from edge.evaluation import Site, open_sites
from edge.pairs import PairsFrame, read_pairs
from edge.pairs_images import MapWindow, read_frame
from edge.types import Float64, Frame

JITTER_PX = 6.0  # of a click that is drawn where there are fewer labels than clicks


@dataclass(frozen=True, slots=True)
class PeerQuery:
    """One frame with its clicks, and the window that they are sought in."""

    labels: PairsFrame
    frame: Frame
    click_xy_px: Float64  # [N, 2] pixels of the frame
    windows: tuple[MapWindow, ...]

    @property
    def window(self) -> MapWindow:
        """The likeliest window: the one that is timed."""
        return self.windows[0]

    def anew(self) -> PeerQuery:
        """The same, as a frame that nobody has seen."""
        return dataclasses.replace(self, frame=dataclasses.replace(self.frame))


@dataclass(frozen=True, slots=True)
class PeerScene:
    """All frames with clicks of a pairs file, on its map."""

    site: Site
    queries: tuple[PeerQuery, ...]

    @property
    def window_px(self) -> int:
        """Side of a window."""
        return self.site.windows[0].window.image.shape[0]


def read_scene(pairs_file: Path, bundle: Bundle, clicks: int, seed: int) -> PeerScene:
    """Read the frames and cut the map as the bundle wants it.

    Raises:
        PairsError: a broken file, or pictures that are missing.
    """
    size = bundle.manifest.window
    site = open_sites([read_pairs(pairs_file)], size.gsd_m, size.width_px)[0]
    random = np.random.default_rng(seed)
    queries = [
        PeerQuery(
            labels,
            read_frame(site.pairs, labels, number),
            draw_clicks(labels, clicks, random),
            likely_windows(labels, site.windows),
        )
        for number, labels in enumerate(site.pairs.frames)
        if labels.clicks
    ]
    return PeerScene(site, tuple(queries))


def draw_clicks(labels: PairsFrame, count: int, random: np.random.Generator) -> Float64:
    """Labelled clicks in a drawn order; where there are too few, more of them a little beside.

    Returns:
        [count, 2] pixels of the frame.
    """
    known = np.array([(click.x_px, click.y_px) for click in labels.clicks], np.float64)
    order = random.permutation(len(known))
    chosen = known[np.resize(order, count)]
    beside = random.uniform(-JITTER_PX, JITTER_PX, (count, 2))
    beside[: len(known)] = 0
    limit = np.array([labels.width_px, labels.height_px], np.float64)
    return np.asarray(np.clip(chosen + beside, 0.5, limit - 0.5))


def likely_windows(labels: PairsFrame, windows: tuple[MapWindow, ...]) -> tuple[MapWindow, ...]:
    """The window nearest to the frame's stated position; all of them where it states none."""
    placed = [each for each in windows if each.window.geometry is not None]
    if labels.lon_lat_deg is None or len(placed) < len(windows):
        return windows
    position = np.array([labels.lon_lat_deg], np.float64)

    def away_px(each: MapWindow) -> float:
        geometry = each.window.geometry
        if geometry is None:
            raise TypeError("a window without a geometry has no place")
        side = each.window.image.shape[0]
        return float(np.hypot(*(geometry.xy_px(position)[0] - side / 2)))

    return (min(windows, key=away_px),)
