"""Frame alignment: the whole frame laid on the window by local features, a prior for every click.

One attempt goes in two or three looks. The first warps the frame by a hypothesis of its yaw and
zoom, matches it against the window and finds a similarity by vote. The next warps it by what the
first has found, so that only the true place still looks alike, and fits a homography; its inliers
are the verdict, and where they are few another look must confirm them. While tracking, the last
homography takes the place of the hypothesis, and one look is the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.alignment_quality import (
    HomographyFit,
    is_plausible,
    measure_fit,
    pose_of,
    with_unit_depth,
)
from edge.bundle import ALIGNMENT_GRAPH
from edge.frame_look import Look, WorkingFrame, take_look
from edge.local_features import FeatureExtractor, LocalFeatures
from edge.matching import fit_homography, project
from edge.pose_search import PoseHypothesis, pose_hypotheses, window_gsd_m
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
from edge.window_features import describe_window, read_level

if TYPE_CHECKING:
    from edge.bundle import Bundle

LEAST_INLIERS = 20  # of two looks in a row; of 2752 at wrong places the most had 16
PLENTY_INLIERS = 80  # of one look: no other is needed
MOST_LOOKS = 3


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

    def __init__(self, extractor: FeatureExtractor, *, least_inliers: int = LEAST_INLIERS) -> None:
        """With another verdict than `LEAST_INLIERS` where that is to be measured."""
        self._extractor = extractor
        self._least_inliers = least_inliers
        self._held: tuple[ReferenceFeature, dict[int, LocalFeatures]] | None = None

    @classmethod
    def open(cls, bundle: Bundle, *, threads: int = 2) -> Aligner:
        """The aligner of a bundle."""
        return cls.from_graph(bundle.file(ALIGNMENT_GRAPH), threads=threads)

    @classmethod
    def from_graph(cls, graph_path: Path, *, threads: int = 2) -> Aligner:
        """The aligner of an XFeat graph."""
        return cls(FeatureExtractor(graph_path, threads=threads))

    def reserve(self) -> None:
        """Take the memory for warped frames now (see `FeatureExtractor.reserve`)."""
        self._extractor.reserve()

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
            None where no hypothesis gathers enough inliers on a plausible homography.

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
        frame = WorkingFrame.of(frame_image)
        scale = hypothesis.scale / frame.from_frame[0, 0]
        turned = PoseHypothesis(hypothesis.yaw_deg, scale).matrix()
        first = self._look(frame, feature, turned, anywhere=True)
        return None if first is None else self._confirm(first, frame, feature)

    def track(
        self, frame_image: Uint8, feature: ReferenceFeature, last: Alignment
    ) -> Alignment | None:
        """Try the place of the last alignment, then only its yaw and zoom, anywhere."""
        if last.window_id == feature.window_id:
            frame = WorkingFrame.of(frame_image)
            start = last.homography @ np.linalg.inv(frame.from_frame)
            first = self._look(frame, feature, start, anywhere=False)
            found = None if first is None else self._confirm(first, frame, feature)
            if found is not None:
                return found
        return self.attempt(frame_image, feature, PoseHypothesis(last.yaw_deg, last.scale))

    def _confirm(
        self, first: Look, frame: WorkingFrame, feature: ReferenceFeature
    ) -> Alignment | None:
        """Look again until the verdict is clear: plenty of inliers once, or enough of them twice.

        A wrong alignment lives on chance matches; warped anew, the frame makes others.
        """
        start, before = first.to_window, self._judge(first, frame, feature)
        for _ in range(MOST_LOOKS - 1):
            if before is not None:
                if before.inliers >= PLENTY_INLIERS:
                    return before
                start = before.homography @ np.linalg.inv(frame.from_frame)
            look = self._look(frame, feature, start, anywhere=False)
            now = None if look is None else self._judge(look, frame, feature)
            if now is None:
                return None
            if before is not None or now.inliers >= PLENTY_INLIERS:
                return now if before is None or now.inliers >= before.inliers else before
            before = now
        return None

    def _look(
        self, frame: WorkingFrame, feature: ReferenceFeature, to_window: Float64, *, anywhere: bool
    ) -> Look | None:
        def level_of(level: int) -> LocalFeatures:
            return self._level(feature, level)

        size = feature.width_px, feature.height_px
        return take_look(self._extractor, frame, level_of, size, to_window, anywhere=anywhere)

    def _judge(
        self, look: Look, frame: WorkingFrame, feature: ReferenceFeature
    ) -> Alignment | None:
        """The alignment that the matches of a look prove, or None."""
        fitted = fit_homography(look.placed, look.target)
        if fitted is None or fitted.support < self._least_inliers:
            return None
        to_placed = look.to_placed @ frame.from_frame
        shrink = np.diag([1.0 / look.level, 1.0 / look.level, 1.0])
        homography = shrink @ fitted.matrix @ to_placed
        to_frame = np.asarray(np.linalg.inv(to_placed), np.float64)
        source = project(to_frame, look.placed[fitted.follows])
        homography = with_unit_depth(homography, source)
        target = look.target[fitted.follows] / look.level
        width, height = frame.size_px
        size = width / float(frame.from_frame[0, 0]), height / float(frame.from_frame[1, 1])
        if not is_plausible(homography, size, source):
            return None
        fit = measure_fit(homography, source, target, size)
        yaw_deg, scale = pose_of(homography, size)
        return Alignment(
            homography, len(source), fit.sigma_px, yaw_deg, scale, feature.window_id, fit
        )

    def _level(self, feature: ReferenceFeature, level: int) -> LocalFeatures:
        held = self._held
        if held is None or held[0] is not feature:
            held = feature, {}
            self._held = held
        if level not in held[1]:
            held[1][level] = read_level(feature, level)
        return held[1][level]
