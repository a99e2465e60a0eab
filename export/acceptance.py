"""Fit a bundle's acceptance model on rendered samples that training never saw.

Each sample is located without a prior, and again with the prior of the real frame alignment where
that succeeds, inliers and all. A click counts as right when its object is in the window and the box
has an IoU above 0.25. Objects that came since the map was taken get a prior too: a good alignment
does not put them on the map. Windows of another place mostly get none: alignment fails there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.acceptance import acceptance_features
from edge.alignment import Aligner
from edge.localizer import Localizer
from edge.types import Prior, ReferenceFeature
from export.aligned_samples import align
from training.datasets.pair_folder import PairFolder
from training.datasets.sample import PairSample

RIGHT_IOU = 0.25


@dataclass(frozen=True, slots=True)
class Evidence:
    """Acceptance features of many clicks, and whether each fix was right."""

    features: NDArray[np.float64]  # [M, F]
    right: NDArray[np.bool_]  # [M]
    iou: NDArray[np.float64]  # [M], 0 where the object is absent
    present: NDArray[np.bool_]  # [M]
    centre_error_px: NDArray[np.float64]  # [M, 2] of the box; NaN where the object is absent
    prior_error_px: NDArray[np.float64]  # [M, 2] of the prior's place; NaN where absent or no prior
    prior_var_px2: NDArray[np.float64]  # [M] per axis, as alignment states it; NaN without
    area_px2: NDArray[np.float64]  # [M] of the box
    with_prior: NDArray[np.bool_]  # [M]

    def scores(self) -> dict[str, float]:
        """Accuracy of present clicks in both regimes."""
        aligned = float(self.with_prior.sum() / (~self.with_prior).sum())
        result = {"clicks": float((~self.with_prior).sum()), "aligned_share": round(aligned, 4)}
        for name, chosen in (("", ~self.with_prior), ("prior_", self.with_prior)):
            iou = self.iou[chosen & self.present]
            result[f"{name}acc@0.25"] = round(float((iou > 0.25).mean()), 4)
            result[f"{name}acc@0.5"] = round(float((iou > 0.5).mean()), 4)
            result[f"{name}mean_iou"] = round(float(iou.mean()), 4)
        return result


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """A rendered sample with what does not depend on the head: features and aligned prior."""

    sample: PairSample
    feature: ReferenceFeature
    aligned: Prior  # `Prior.none` where alignment fails


def prepare(
    localizer: Localizer,
    aligner: Aligner,
    folders: list[PairFolder],
    seed: int = 0,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[PreparedSample]:
    """Encode and align samples whose windows have the bundle's size; about 10 MB each."""
    rng = np.random.default_rng(seed)
    prepared = []
    for folder in folders:
        for index in progress(range(len(folder))):
            sample = folder.read(index)
            window = sample.reference_window()
            plain = localizer.encode(window)
            feature = dataclasses.replace(
                plain, tensors={**plain.tensors, **aligner.describe(window)}
            )
            prepared.append(PreparedSample(sample, feature, align(aligner, sample, feature, rng)))
    return prepared


def collect(localizer: Localizer, prepared: list[PreparedSample]) -> Evidence:
    """Locate every click of prepared samples, without a prior and with the aligned one."""
    rows: list[tuple[NDArray[Any], ...]] = []
    for each in prepared:
        sample, aligned = each.sample, each.aligned
        priors = [Prior.none(len(sample.present))]
        priors += [aligned] if (aligned.inv_var > 0).all() else []
        for prior in priors:
            found = localizer.locate(sample.frame, sample.click_xy_px, each.feature, prior)
            iou = np.where(sample.present, _iou(found.box_xyxy_px, sample.box_xyxy_px), 0.0)
            box, true = found.box_xyxy_px.astype(np.float64), sample.box_xyxy_px
            centre = np.where(sample.present[:, None], (true[:, :2] + true[:, 2:]) / 2, np.nan)
            given = np.where((prior.inv_var > 0)[:, None], prior.xy_px, np.nan)
            rows.append(
                (
                    acceptance_features(found, prior),
                    iou > RIGHT_IOU,
                    iou,
                    sample.present,
                    (box[:, :2] + box[:, 2:]) / 2 - centre,
                    given - centre,
                    np.where(prior.inv_var > 0, 1 / np.maximum(prior.inv_var, 1e-12), np.nan),
                    (box[:, 2:] - box[:, :2]).prod(1),
                    np.full(len(iou), prior is aligned),
                )
            )
    return Evidence(*(np.concatenate(column) for column in zip(*rows, strict=True)))


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    overlap = np.clip(high - low, 0, None).astype(np.float64).prod(1)
    area = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - overlap
    return np.asarray(overlap / np.maximum(area, 1e-9))
