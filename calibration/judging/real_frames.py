"""Labelled frames of real flights: few, so every verdict that changed is listed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from calibration.judging.bootstrap import paired_change
from calibration.judging.line_file import LineFile
from calibration.judging.priors import AlignedSample, Progress, priors_id
from calibration.judging.record import ChangedVerdict, RealScore
from edge.alignment import Aligner
from edge.bundle import Bundle, sha256_of
from edge.evaluation import Site, open_sites, run_site
from edge.localizer import Localizer
from edge.pairs import read_pairs
from edge.predictors import LitePredictor
from edge.scoring import RIGHT_IOU, JudgedClick, iou
from edge.types import (
    Array,
    Float64,
    FramePose,
    Prior,
    PriorSource,
    ReferenceFeature,
    ReferenceWindow,
    Uint8,
)


class RememberedAligner:
    """Frame alignment whose priors are kept on the disk: they are the same for every candidate.

    It stands where an `Aligner` does for `LitePredictor`, and opens one when it must align.
    """

    def __init__(self, bundle: Bundle, work: Path) -> None:
        self._bundle = bundle
        path = work / f"frames-{priors_id(bundle)}.jsonl"
        self.lines: LineFile[AlignedSample] = LineFile(path, AlignedSample)
        self._aligner: Aligner | None = None
        self._windows: dict[tuple[str, str], ReferenceWindow] = {}
        self._described: dict[tuple[str, str], dict[str, Array]] = {}

    def describe(self, window: ReferenceWindow) -> dict[str, Array]:
        """Nothing yet: most windows never need it again."""
        self._windows[window.map_id, window.window_id] = window
        return {}

    def align(
        self, frame_image: Uint8, feature: ReferenceFeature, pose: FramePose
    ) -> RememberedAlignment:
        """An alignment that is done when a prior is asked of it."""
        return RememberedAlignment(self, frame_image, feature, pose)

    def prior(
        self, frame_image: Uint8, feature: ReferenceFeature, pose: FramePose, clicks: Float64
    ) -> Prior:
        """The prior of all clicks of a frame in a window, found now or before."""
        place = feature.map_id, feature.window_id
        digest = hashlib.sha256(np.ascontiguousarray(frame_image).data)
        digest.update(repr((place, pose, np.asarray(clicks).tolist())).encode())
        key = digest.hexdigest()
        line = self.lines.get(key)
        if line is None:
            self._aligner = self._aligner or Aligner.open(self._bundle, threads=1)
            if place not in self._described:
                self._described[place] = self._aligner.describe(self._windows[place])
            tensors = {**feature.tensors, **self._described[place]}
            full = dataclasses.replace(feature, tensors=tensors)
            found = self._aligner.align(frame_image, full, pose)
            prior = Prior.none(len(clicks)) if found is None else found.prior(clicks)
            line = AlignedSample(key, prior.xy_px.tolist(), prior.inv_var.tolist(), prior.inliers)
            self.lines.add(line)
        if not line.inliers:
            return Prior.none(len(clicks))
        xy_px, inv_var = np.array(line.xy_px, np.float32), np.array(line.inv_var, np.float32)
        return Prior(xy_px, inv_var, PriorSource.ALIGNMENT, line.inliers)


@dataclasses.dataclass(frozen=True, slots=True)
class RememberedAlignment:
    """A frame on a window, see `RememberedAligner`."""

    aligner: RememberedAligner
    frame_image: Uint8
    feature: ReferenceFeature
    pose: FramePose

    def prior(self, click_xy_px: Float64) -> Prior:
        """For these clicks."""
        return self.aligner.prior(self.frame_image, self.feature, self.pose, click_xy_px)


def open_labelled(bundle: Bundle, pairs: Sequence[Path], images: Path | None) -> list[Site]:
    """The sites of pairs files, on their maps cut for this bundle.

    Raises:
        PairsError: a broken file, or images that are not there.
    """
    size = bundle.manifest.window
    return open_sites([read_pairs(path, images) for path in pairs], size.gsd_m, size.width_px)


def labels_id(bundle: Bundle, sites: Sequence[Site]) -> str:
    """What verdicts on labelled frames depend on beside graphs and alignment.

    Labels, pictures, maps, and the bundle's acceptance: a file of answers to others is not read.

    Raises:
        PairsError: a frame that is not there.
    """
    digest = hashlib.sha256(msgspec.json.encode(bundle.manifest.acceptance))
    for site in sites:
        maps = sorted({each.window.map_id for each in site.windows})
        frames = [site.pairs.locate(each.file) for each in site.pairs.frames if each.clicks]
        parts = [sha256_of(site.pairs.path), *maps, *map(sha256_of, frames)]
        digest.update(" ".join(parts).encode())
    return digest.hexdigest()[:16]


def run_sites(
    bundle: Bundle,
    precision: str,
    sites: Sequence[Site],
    aligner: RememberedAligner,
    progress: Progress | None = None,
) -> list[JudgedClick]:
    """Every click of every site on its own map, with alignment.

    Raises:
        PairsError: a frame that is not there.
        KeyboardInterrupt: from the keyboard; alignments found so far are kept.
    """
    localizer = Localizer.open(bundle, precision=precision, threads=1)
    predictor = LitePredictor(localizer, aligner)  # type: ignore[arg-type]
    total, done = sum(site.frames for site in sites), 0
    judged: list[JudgedClick] = []

    def told(_: object) -> None:
        nonlocal done
        done += 1
        if progress:
            progress(f"labelled frames in {precision}", done, total)

    for site in sites:
        ran = run_site(predictor, site, on_frame=told)
        if ran.partial:  # it swallows Ctrl-C; half a site has no score
            raise KeyboardInterrupt
        judged += ran.own
    return judged


def score_real(
    pairs: Sequence[str], before: Sequence[JudgedClick], after: Sequence[JudgedClick]
) -> RealScore:
    """What changed on labelled frames; an object counts once, however often it was clicked.

    Args:
        pairs: names of the files.
        before: float32's answers.
        after: the candidate's, click for click.
    """
    both = list(zip(before, after, strict=True))
    agreement = [
        iou(a.box_xyxy_px, b.box_xyxy_px)
        for a, b in both
        if a.box_xyxy_px is not None and b.box_xyxy_px is not None
    ]
    changed = [
        ChangedVerdict(
            frame=a.frame,
            object_id=a.object_id,
            before=verdict(a),
            after=verdict(b),
            iou_before=a.iou,
            iou_after=b.iou,
        )
        for a, b in both
        if verdict(a) != verdict(b)
    ]
    right = per_object(both)  # [M, 2]
    return RealScore(
        pairs=tuple(pairs),
        sightings=len(both),
        accuracy_25_before=float(right[:, 0].mean()) if len(right) else 0.0,
        accuracy_25_after=float(right[:, 1].mean()) if len(right) else 0.0,
        change_25=paired_change(right[:, 1] - right[:, 0], range(len(right))),
        box_iou_median=float(np.median(agreement)) if agreement else 0.0,
        changed=tuple(changed),
    )


def per_object(both: Sequence[tuple[JudgedClick, JudgedClick]]) -> NDArray[np.float64]:
    """Share of the clicks of each object that are right, before and after, float64 [M, 2]."""
    objects: dict[str, list[list[bool]]] = {}
    for a, b in both:
        if a.object_id is not None:
            objects.setdefault(a.object_id, []).append([a.iou > RIGHT_IOU, b.iou > RIGHT_IOU])
    return np.array([np.mean(right, axis=0) for right in objects.values()]).reshape(-1, 2)


def verdict(click: JudgedClick) -> str:
    """Whether it was accepted, and whether that box is right."""
    right = "right" if click.iou > RIGHT_IOU else "wrong"
    return f"{'accepted' if click.accepted else 'refused'}, {right}"
