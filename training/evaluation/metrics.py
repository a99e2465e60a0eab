"""The scores of the papers' tables, as their code counts them; numpy alone.

Keys, each with `<key>_lo` and `<key>_hi` (95 %, `edge.scoring.Bootstrap` over images) unless it is
a count; None where nothing defines it:

* `acc@0.5`, `acc@0.25`: share of objects whose IoU is strictly greater. (The papers write >=.)
* `accI@0.5`, `accI@0.25`: share of images ALL of whose objects are so (MOGeo). The j-th box is held
  against the j-th click: nothing is matched again. With one object an image it equals acc.
* `mean_iou`.
* `centre_accuracy`: the box's centre lies in the cell of the true centre (the official code's
  "center accuracy"; the anchor does not matter).
* `centre_error_px_median`, `centre_error_m_median`: median over objects; metres only where the
  ground size of a pixel is known.
* `acc@..._class_<name>` with `n_class_<name>`; where classes are grouped too (CVOGL, see
  `ocgnet_group`) `acc@..._group_<name>` with `n_group_<name>`.
* `acc@..._objects_<n>` and `accI@..._objects_<n>` with `n_objects_<n>` (objects) and
  `n_images_<n>`, n = 1-3, 4-6, 7+ objects in the image.
* `n_objects`, `n_images`.

Shares are of all objects or images, so that the batch size changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.scoring import RESAMPLES, SEED, Bootstrap, Scores

THRESHOLDS = (0.5, 0.25)
OBJECT_COUNTS = (("1-3", 1, 3), ("4-6", 4, 6), ("7+", 7, np.inf))
Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers:
    """N clicked objects, what is true of them and what a model said."""

    image: NDArray[np.int64]  # [N] which image each belongs to, any numbers
    truth_xyxy_px: Float  # [N, 4] window pixels
    box_xyxy_px: Float  # [N, 4]; not finite: no answer
    category: tuple[str, ...] = ()  # [N], or () where the data set has none
    gsd_m: Float | None = None  # [N] metres per window pixel, NaN where unknown

    @property
    def iou(self) -> Float:
        """[N]; 0 without an answer."""
        return paired_iou(self.truth_xyxy_px, self.box_xyxy_px)


def paired_iou(a_xyxy: Float, b_xyxy: Float) -> Float:
    """IoU of paired boxes, without the +1 of pixel counts. [N, 4], [N, 4] -> [N]."""
    low = np.maximum(a_xyxy[:, :2], b_xyxy[:, :2])
    high = np.minimum(a_xyxy[:, 2:], b_xyxy[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    area_a, area_b = (np.clip(x[:, 2:] - x[:, :2], 0, None).prod(1) for x in (a_xyxy, b_xyxy))
    union = area_a + area_b - shared
    with np.errstate(invalid="ignore"):  # an infinite box
        iou = shared / np.where(union > 0, union, 1.0)
    return np.where(np.isfinite(iou), iou, 0.0)


def ocgnet_group(category: str) -> str:
    """The classes that OCGNet's code reports: all buildings as one, three others, the rest."""
    if category.startswith("building"):
        return "building"
    known = ("sport_baseball", "junction_roundabout", "man_made_bridge")
    return category if category in known else "others"


def score_published(
    answers: Answers,
    stride_px: int,
    *,
    group: Callable[[str], str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Scores:
    """All scores of a test split.

    Args:
        answers: of every clicked object.
        stride_px: window pixels per cell, for `centre_accuracy`.
        group: category -> the group it is counted under besides its own class; None: no groups.
        resamples: bootstrap draws.
        seed: of the bootstrap.
    """
    images, of = np.unique(answers.image, return_inverse=True)
    scores: Scores = {"n_objects": len(of), "n_images": len(images)}
    draw = Bootstrap(resamples, seed)
    iou = answers.iou
    per_image = np.bincount(of, minlength=len(images)).astype(float)  # objects

    def per_object(key: str, value: Float, chosen: NDArray[np.bool_] | None = None) -> None:
        """Share of objects, in units of images that have any of them."""
        weight = np.ones(len(of)) if chosen is None else chosen.astype(float)
        below = np.bincount(of, weights=weight, minlength=len(images))
        above = np.bincount(of, weights=value * weight, minlength=len(images))
        draw.add(scores, key, above[below > 0], below[below > 0])

    def per_whole_image(key: str, right: Float, chosen: NDArray[np.bool_] | None = None) -> None:
        all_right = (np.bincount(of, weights=right, minlength=len(images)) == per_image).astype(
            float
        )
        kept = all_right if chosen is None else all_right[chosen]
        draw.add(scores, key, kept, np.ones(len(kept)))

    hits = {t: (iou > t).astype(float) for t in THRESHOLDS}
    for threshold, right in hits.items():
        per_object(f"acc@{threshold}", right)
    for threshold, right in hits.items():
        per_whole_image(f"accI@{threshold}", right)
    per_object("mean_iou", iou)
    per_object("centre_accuracy", same_cell(answers, stride_px).astype(float))
    _centre_errors(scores, draw, answers)
    kinds = {"class": np.array(answers.category)}
    if group is not None:
        kinds["group"] = np.array([group(c) for c in answers.category])
    for kind, names in kinds.items():
        for name in sorted(set(names.tolist())):
            chosen = names == name
            scores[f"n_{kind}_{name}"] = int(chosen.sum())
            for threshold, right in hits.items():
                per_object(f"acc@{threshold}_{kind}_{name}", right, chosen)
    for name, low, high in OBJECT_COUNTS:
        fits = (per_image >= low) & (per_image <= high)
        scores[f"n_objects_{name}"] = int(per_image[fits].sum())
        scores[f"n_images_{name}"] = int(fits.sum())
        for threshold, right in hits.items():
            per_object(f"acc@{threshold}_objects_{name}", right, fits[of])
            per_whole_image(f"accI@{threshold}_objects_{name}", right, fits)
    return scores


def same_cell(answers: Answers, stride_px: int) -> NDArray[np.bool_]:
    """Whether the answered centre lies in the cell of the true centre. [N]."""
    said, true = (_centre(x) // stride_px for x in (answers.box_xyxy_px, answers.truth_xyxy_px))
    return np.asarray((said == true).all(1))


def _centre_errors(scores: Scores, draw: Bootstrap, answers: Answers) -> None:
    off = _centre(answers.box_xyxy_px) - _centre(answers.truth_xyxy_px)
    error = np.hypot(off[:, 0], off[:, 1])
    error = np.where(np.isfinite(error), error, np.inf)
    draw.add_median(scores, "centre_error_px_median", error)
    gsd = np.full(len(error), np.nan) if answers.gsd_m is None else answers.gsd_m
    known = np.isfinite(gsd)
    draw.add_median(scores, "centre_error_m_median", error[known] * gsd[known])


def _centre(box_xyxy: Float) -> Float:
    with np.errstate(invalid="ignore"):
        centre: Float = (box_xyxy[:, :2] + box_xyxy[:, 2:]) / 2
    return centre
