"""One look of a frame at a window: warp it, find its features, match them, vote on the place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.alignment_quality import pose_of
from edge.local_features import FeatureExtractor, LocalFeatures, corners_px, warp_to
from edge.matching import mutual_matches, project, vote_similarity
from edge.pose_search import WORKING_SIDE_PX
from edge.types import Float64, Uint8
from edge.window_features import LEVELS

LEAST_SUPPORT = 8  # matches behind the similarity of a look
FIRST_KEYPOINTS = 768  # of the frame, against the whole window
SECOND_KEYPOINTS = 1536  # of the frame, against its own footprint
FINEST_ZOOM = 1.3  # level pixels per frame pixel above which the coarser level serves
FOOTPRINT_MARGIN = 0.3  # of its size, on every side
GATE_PX = 32.0  # level pixels between a match and where the similarity expects it
# Features of the frame, placed in pixels of the level, and those of the window -> rows of both.
Matcher = Callable[[LocalFeatures, LocalFeatures], tuple[NDArray[np.intp], NDArray[np.intp]]]


@dataclass(frozen=True, slots=True)
class WorkingFrame:
    """A frame reduced to `WORKING_SIDE_PX`."""

    image: Uint8  # [H, W, 3]
    from_frame: Float64  # [3, 3], pixels of the frame -> pixels of `image`

    @staticmethod
    def of(frame_image: Uint8) -> WorkingFrame:
        """Reduce a frame; one that is small enough stays as it is."""
        height, width = frame_image.shape[:2]
        zoom = WORKING_SIDE_PX / max(width, height)
        if zoom >= 1.0:
            return WorkingFrame(frame_image, np.eye(3))
        size = max(1, round(width * zoom)), max(1, round(height * zoom))
        smaller = cv2.resize(frame_image, size, interpolation=cv2.INTER_AREA)
        from_frame = np.diag([size[0] / width, size[1] / height, 1.0])
        return WorkingFrame(np.asarray(smaller, np.uint8), from_frame)

    @property
    def size_px(self) -> tuple[float, float]:
        """Width, height of the picture."""
        return float(self.image.shape[1]), float(self.image.shape[0])


@dataclass(frozen=True, slots=True)
class Look:
    """Matches of one look. "Placed" pixels are those of the level, where the look put the frame."""

    placed: Float64  # [N, 2]
    target: Float64  # [N, 2], pixels of the level
    from_placed: Float64  # [3, 3], the similarity found: placed -> level
    to_placed: Float64  # [3, 3], working frame -> placed
    level: int

    @property
    def to_window(self) -> Float64:
        """Working frame -> window, by the similarity found."""
        shrink = np.diag([1.0 / self.level, 1.0 / self.level, 1.0])
        return shrink @ self.from_placed @ self.to_placed


def nearest(
    frame: LocalFeatures, window: LocalFeatures
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The matcher of the project: mutual nearest descriptors, wherever they are."""
    return mutual_matches(frame.descriptor, window.descriptor)


def take_look(
    extractor: FeatureExtractor,
    frame: WorkingFrame,
    level_of: Callable[[int], LocalFeatures],
    window_size_px: tuple[int, int],
    to_window: Float64,
    *,
    anywhere: bool,
    match: Matcher = nearest,
) -> Look | None:
    """Warp the frame by `to_window`, match it, and correct `to_window` by a similarity.

    Args:
        extractor: finds the features of the frame.
        frame: what looks.
        level_of: the features of the window at one of `LEVELS`.
        window_size_px: width, height of the window.
        to_window: [3, 3], working frame -> window; with `anywhere` only its turn and zoom count.
        anywhere: match against the whole window, not only around the footprint.
        match: pairs the features; benchmarks/studies/matcher.py weighs another one.

    Returns:
        None where fewer than `LEAST_SUPPORT` matches agree, or nothing of the frame is inside.
    """
    _, scale = pose_of(to_window, frame.size_px)
    level = next((each for each in LEVELS if scale * each <= FINEST_ZOOM), LEVELS[-1])
    to_level = np.diag([level, level, 1.0]) @ to_window
    window = level_of(level)
    if anywhere:
        warped = warp_to(frame.image, to_level)
    else:
        edge_px = window_size_px[0] * level, window_size_px[1] * level
        warped = warp_to(frame.image, to_level, bounds_px=(0.0, 0.0, *edge_px))
    if warped is None:
        return None
    if not anywhere:
        height, width = warped.valid.shape
        window = _near(window, project(warped.to_level, corners_px(width, height)))
    most = FIRST_KEYPOINTS if anywhere else SECOND_KEYPOINTS
    found = extractor.extract(warped.image, warped.valid, most=most)
    there = LocalFeatures(project(warped.to_level, found.xy_px), found.descriptor, found.score)
    i, j = match(there, window)
    placed, target = there.xy_px[i], window.xy_px[j]
    similarity = vote_similarity(placed, target)
    if similarity is None or similarity.support < LEAST_SUPPORT:
        return None
    expected = project(similarity.matrix, placed)
    near = np.linalg.norm(expected - target, axis=1) < GATE_PX
    return Look(placed[near], target[near], similarity.matrix, to_level, level)


def _near(window: LocalFeatures, outline: Float64) -> LocalFeatures:
    """The keypoints inside the bounding box of an outline, with a margin around."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    margin = FOOTPRINT_MARGIN * (high - low)
    inside = ((window.xy_px > low - margin) & (window.xy_px < high + margin)).all(axis=1)
    return LocalFeatures(window.xy_px[inside], window.descriptor[inside], window.score[inside])
