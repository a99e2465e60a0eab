"""Runs predictors over labelled frames, on the map of their own site and on those of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.pairs import Pairs, PairsFrame
from edge.pairs_images import MapWindow, read_frame, read_map, window_for
from edge.predictors import Prediction, Predictor
from edge.scoring import JudgedClick
from edge.types import Frame


@dataclass(frozen=True, slots=True)
class Site:
    """A pairs file with its map cut into windows."""

    name: str  # unique among the sites of a run
    pairs: Pairs
    windows: tuple[MapWindow, ...]

    @property
    def frames(self) -> int:
        """Frames with clicks."""
        return sum(1 for frame in self.pairs.frames if frame.clicks)

    @property
    def clicks(self) -> int:
        """Clicks in all of its frames."""
        return sum(len(frame.clicks) for frame in self.pairs.frames)


@dataclass(frozen=True, slots=True)
class SiteRun:
    """What one predictor said of one site."""

    predictor: str
    site: str
    own: tuple[JudgedClick, ...]
    other_site: tuple[JudgedClick, ...]
    frames: int = 0  # that were run
    frames_of: int = 0  # that have clicks

    @property
    def partial(self) -> bool:
        """Whether Ctrl-C came before the last frame."""
        return self.frames < self.frames_of


@dataclass(frozen=True, slots=True)
class FrameResult:
    """One frame on its own map, for pictures of it."""

    predictor: str
    site: Site
    labels: PairsFrame
    frame: Frame
    predictions: tuple[Prediction, ...]


def open_sites(
    files: Sequence[Pairs], gsd_m: float, size_px: int, taken: Sequence[Site] = ()
) -> list[Site]:
    """Open the maps of pairs files at the ground sampling distance of a bundle.

    Raises:
        PairsError: a map that is missing or does not fit its labels.
    """
    sites = list(taken)
    for pairs in files:
        names = {site.name for site in sites}
        name, count = pairs.name, 2
        while name in names:
            name, count = f"{pairs.name}-{count}", count + 1
        sites.append(Site(name, pairs, tuple(window_for(read_map(pairs), gsd_m, size_px))))
    return sites[len(taken) :]


def run_site(
    predictor: Predictor,
    site: Site,
    others: Sequence[Site] = (),
    *,
    on_frame: Callable[[FrameResult], None] = lambda _: None,
) -> SiteRun:
    """Run every frame of a site on its own map, and on the map of every other site.

    Ctrl-C ends it: the frame at work is dropped, those before it are kept.

    Args:
        predictor: the method under test.
        site: frames, clicks, truth.
        others: sites whose maps do not show what was clicked.
        on_frame: called after each frame, for progress and pictures.

    Raises:
        PairsError: a frame that is missing or does not fit its labels.
    """
    own: list[JudgedClick] = []
    elsewhere: list[JudgedClick] = []
    todo = [(n, labels) for n, labels in enumerate(site.pairs.frames) if labels.clicks]
    done = 0
    try:
        for index, labels in todo:
            frame = read_frame(site.pairs, labels, index)
            clicks = np.array([(c.x_px, c.y_px) for c in labels.clicks], np.float64)
            predictions = predictor.predict(frame, clicks, site.windows)
            there: list[JudgedClick] = []
            for other in others:
                answers = predictor.predict(frame, clicks, other.windows)
                there += _judged(site, labels, answers, other)
            own += _judged(site, labels, predictions)
            elsewhere += there
            done += 1
            on_frame(FrameResult(predictor.name, site, labels, frame, tuple(predictions)))
    except KeyboardInterrupt:
        pass  # `done` tells
    return SiteRun(predictor.name, site.name, tuple(own), tuple(elsewhere), done, len(todo))


def median_box_m(sites: Sequence[Site]) -> tuple[float, float]:
    """Median width and height in metres of the labelled boxes, every object once."""
    sides = [
        (
            (each.box_xyxy_px[2] - each.box_xyxy_px[0]) * site.pairs.map.gsd_m,
            (each.box_xyxy_px[3] - each.box_xyxy_px[1]) * site.pairs.map.gsd_m,
        )
        for site in sites
        for each in site.pairs.objects.values()
    ]
    if not sides:
        return 10.0, 10.0  # nothing is labelled on the map; no score depends on it
    wide, high = np.median(np.array(sides), axis=0).tolist()
    return wide, high


def _judged(
    site: Site, labels: PairsFrame, predictions: Sequence[Prediction], other: Site | None = None
) -> list[JudgedClick]:
    judged = []
    for click, answer in zip(labels.clicks, predictions, strict=True):
        known = None if click.object_id is None else site.pairs.objects[click.object_id]
        judged.append(
            JudgedClick(
                frame=f"{site.name}/{labels.file}",
                object_id=None if known is None else f"{site.name}/{known.object_id}",
                truth_xyxy_px=None if known is None or other is not None else known.box_xyxy_px,
                box_xyxy_px=answer.box_xyxy_px,
                accepted=answer.accepted,
                gsd_m=(other or site).pairs.map.gsd_m,
            )
        )
    return judged
