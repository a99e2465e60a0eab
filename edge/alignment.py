"""Frame alignment: the whole frame laid on the window by local features, a prior for every click.

One attempt goes in two looks. The first warps the frame by a hypothesis of its yaw and zoom,
matches it against the window and finds a similarity by vote. The second warps it by what the first
has found, so that only the true place still looks alike, and fits a homography; its inliers are the
verdict. While tracking, the last homography takes the place of the first look.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.alignment_quality import HomographyFit, is_plausible, measure_fit, pose_of
from edge.local_features import FeatureExtractor, LocalFeatures, corners_px, warp_to
from edge.matching import fit_homography, mutual_matches, project, vote_similarity
from edge.pose_search import WORKING_SIDE_PX, PoseHypothesis, pose_hypotheses, window_gsd_m
from edge.types import (
    Array,
    Float32,
    Float64,
    FramePose,
    Prior,
    PriorSource,
    ReferenceFeature,
    ReferenceWindow,
    Uint8,
)
from edge.window_features import LEVELS, describe_window, read_level

if TYPE_CHECKING:
    from edge.bundle import Bundle

GRAPH_FILE = "alignment/xfeat.onnx"
LEAST_INLIERS = 25
PLENTY_INLIERS = 80  # a look at the last place with so many needs no second look
LEAST_SUPPORT = 8  # of a similarity, for a second look
FIRST_KEYPOINTS = 768  # of the frame, against the whole window
SECOND_KEYPOINTS = 1536  # of the frame, against its own footprint
FINEST_ZOOM = 1.3  # level pixels per frame pixel above which the coarser level serves
GATE_PX = 32.0  # level pixels between a match of the second look and where the first expects it


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where a frame lies in a window."""

    homography: Float64  # [3, 3], frame pixels -> window pixels
    inliers: int
    sigma_px: float  # one sigma per axis amid the inliers, window pixels
    yaw_deg: float  # clockwise from north to the top of the frame, at its centre
    scale: float  # window pixels per frame pixel at the centre
    window_id: str
    fit: HomographyFit  # what the spread of each click follows from

    def prior(self, click_xy_px: Float32 | Float64) -> Prior:
        """Window position and inverse variance of each click. [N, 2] frame pixels.

        The sigma per axis grows with the residuals, with the poor determination of the homography
        at the click, and outside the hull of the inliers. A click beyond the horizon gets none.
        """
        clicks = np.asarray(click_xy_px, np.float64).reshape(-1, 2)
        xy_px, sigma_px = self.fit.predict(clicks)
        known = np.isfinite(sigma_px)
        xy_px = np.where(known[:, None], xy_px, 0.0)
        inv_var = np.where(known, 1.0 / np.square(np.where(known, sigma_px, 1.0)), 0.0)
        return Prior(
            xy_px.astype(np.float32),
            inv_var.astype(np.float32),
            PriorSource.ALIGNMENT,
            self.inliers,
        )


class Aligner:
    """Lays frames on described windows. Holds the XFeat graph and the last window's descriptors."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        self._extractor = extractor
        self._held: tuple[ReferenceFeature, dict[int, LocalFeatures]] | None = None

    @classmethod
    def open(cls, bundle: Bundle, *, threads: int = 2) -> Aligner:
        """The aligner of a bundle."""
        return cls.from_graph(bundle.file(GRAPH_FILE), threads=threads)

    @classmethod
    def from_graph(cls, graph_path: Path, *, threads: int = 2) -> Aligner:
        """The aligner of an XFeat graph."""
        return cls(FeatureExtractor(graph_path, threads=threads))

    def describe(self, window: ReferenceWindow) -> dict[str, Array]:
        """The `align_*` tensors of a window, to be stored in its ReferenceFeature."""
        return describe_window(self._extractor, window)

    def align(
        self,
        frame_image: Uint8,
        feature: ReferenceFeature,
        pose: FramePose = FramePose(),  # noqa: B008 (frozen)
        last: Alignment | None = None,
    ) -> Alignment | None:
        """Lay a frame on a window.

        With `last` of the same window its place is tried first; then the hypotheses that the pose
        leaves open, many where it knows neither yaw nor ground sampling distance (seconds: spread
        them with `edge.cold_search.ColdSearch`).

        Args:
            frame_image: uint8 [H, W, 3] RGB, any size.
            feature: the window, with its `align_*` tensors.
            pose: telemetry of the frame.
            last: the last alignment of this camera.

        Returns:
            None where no hypothesis gathers `LEAST_INLIERS` on a plausible homography.

        Raises:
            FeatureStoreError: the window was stored without `align_*` tensors.
        """
        if last is not None:
            found = self.track(frame_image, feature, last)
            if found is not None:
                return found
        size = frame_image.shape[1], frame_image.shape[0]
        for hypothesis in pose_hypotheses(pose, size, window_gsd_m(feature)):
            found = self.attempt(frame_image, feature, hypothesis)
            if found is not None:
                return found
        return None

    def attempt(
        self, frame_image: Uint8, feature: ReferenceFeature, hypothesis: PoseHypothesis
    ) -> Alignment | None:
        """Try one yaw and zoom anywhere in the window. Arguments and errors as `align`."""
        working, to_working = _working(frame_image)
        turned = PoseHypothesis(hypothesis.yaw_deg, hypothesis.scale / to_working[0, 0]).matrix()
        first = self._look(working, feature, turned, FIRST_KEYPOINTS, anywhere=True)
        if first is None:
            return None
        second = self._look(working, feature, first.to_window, SECOND_KEYPOINTS, anywhere=False)
        return None if second is None else _judge(second, working, to_working, feature.window_id)

    def track(
        self, frame_image: Uint8, feature: ReferenceFeature, last: Alignment
    ) -> Alignment | None:
        """Try the place of the last alignment, or only its yaw and zoom in another window."""
        if last.window_id != feature.window_id:
            return self.attempt(frame_image, feature, PoseHypothesis(last.yaw_deg, last.scale))
        working, to_working = _working(frame_image)
        start = last.homography @ np.linalg.inv(to_working)
        first = self._look(working, feature, start, SECOND_KEYPOINTS, anywhere=False)
        if first is None:
            return None
        found = _judge(first, working, to_working, feature.window_id)
        if found is not None and found.inliers >= PLENTY_INLIERS:
            return found
        second = self._look(working, feature, first.to_window, SECOND_KEYPOINTS, anywhere=False)
        again = None
        if second is not None:
            again = _judge(second, working, to_working, feature.window_id)
        return again if again is not None else found

    def _look(
        self,
        working: Uint8,
        feature: ReferenceFeature,
        to_window: Float64,
        most: int,
        *,
        anywhere: bool,
    ) -> _Look | None:
        """Warp the frame by `to_window`, match it, and correct `to_window` by a similarity."""
        level = _level_for(to_window, working)
        enlarge = np.diag([level, level, 1.0])
        to_level = enlarge @ to_window
        window = self._window(feature, level)
        if anywhere:
            warped = warp_to(working, to_level)
        else:
            edge_px = feature.width_px * level, feature.height_px * level
            warped = warp_to(working, to_level, bounds_px=(0.0, 0.0, *edge_px))
        if warped is None:
            return None
        if not anywhere:
            height, width = warped.valid.shape
            window = _near(window, project(warped.to_level, corners_px(width, height)))
        found = self._extractor.extract(warped.image, warped.valid, most=most)
        here = project(warped.to_level, found.xy_px)
        i, j = mutual_matches(found.descriptor, window.descriptor)
        placed, target = here[i], window.xy_px[j]
        similarity = vote_similarity(placed, target)
        if similarity is None or similarity.support < LEAST_SUPPORT:
            return None
        expected = project(similarity.matrix, placed)
        near = np.linalg.norm(expected - target, axis=1) < GATE_PX
        return _Look(
            placed=placed[near],
            target=target[near],
            from_placed=similarity.matrix,
            to_placed=to_level,
            level=level,
            support=similarity.support,
        )

    def _window(self, feature: ReferenceFeature, level: int) -> LocalFeatures:
        held = self._held
        if held is None or held[0] is not feature:
            held = feature, {}
            self._held = held
        if level not in held[1]:
            held[1][level] = read_level(feature, level)
        return held[1][level]


@dataclass(frozen=True, slots=True)
class _Look:
    """Matches of one look. "Placed" pixels are those of the level, where the look put the frame."""

    placed: Float64  # [N, 2]
    target: Float64  # [N, 2], pixels of the level
    from_placed: Float64  # [3, 3], the similarity found: placed -> level
    to_placed: Float64  # [3, 3], working frame -> placed
    level: int
    support: int

    @property
    def to_window(self) -> Float64:
        """Working frame -> window, by the similarity found."""
        shrink = np.diag([1.0 / self.level, 1.0 / self.level, 1.0])
        return shrink @ self.from_placed @ self.to_placed


def _judge(look: _Look, working: Uint8, to_working: Float64, window_id: str) -> Alignment | None:
    """The alignment that the matches of a look prove, or None."""
    fitted = fit_homography(look.placed, look.target)
    if fitted is None or fitted.support < LEAST_INLIERS:
        return None
    shrink = np.diag([1.0 / look.level, 1.0 / look.level, 1.0])
    homography = shrink @ fitted.matrix @ look.to_placed @ to_working
    homography /= homography[2, 2]
    to_frame = np.asarray(np.linalg.inv(look.to_placed @ to_working), np.float64)
    source = project(to_frame, look.placed[fitted.follows])
    target = look.target[fitted.follows] / look.level
    height, width = working.shape[:2]
    size = width / to_working[0, 0], height / to_working[1, 1]
    if not is_plausible(homography, size, source):
        return None
    fit = measure_fit(homography, source, target, size)
    yaw_deg, scale = pose_of(homography, size)
    return Alignment(homography, len(source), fit.sigma_px, yaw_deg, scale, window_id, fit)


def _level_for(to_window: Float64, working: Uint8) -> int:
    """The finest level that does not need the frame enlarged."""
    _, scale = pose_of(to_window, (float(working.shape[1]), float(working.shape[0])))
    return next((level for level in LEVELS if scale * level <= FINEST_ZOOM), LEVELS[-1])


def _near(window: LocalFeatures, outline: Float64) -> LocalFeatures:
    """The keypoints inside the bounding box of an outline, with a fifth of its size around."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    margin = 0.2 * (high - low)
    inside = ((window.xy_px > low - margin) & (window.xy_px < high + margin)).all(axis=1)
    return LocalFeatures(window.xy_px[inside], window.descriptor[inside], window.score[inside])


def _working(frame_image: Uint8) -> tuple[Uint8, Float64]:
    """The frame at `WORKING_SIDE_PX`, and the transform from frame pixels to its pixels."""
    height, width = frame_image.shape[:2]
    zoom = WORKING_SIDE_PX / max(width, height)
    if zoom >= 1.0:
        return frame_image, np.eye(3)
    size = round(width * zoom), round(height * zoom)
    smaller = cv2.resize(frame_image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8), np.diag([size[0] / width, size[1] / height, 1.0])
