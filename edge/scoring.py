"""The scores of located clicks, as the pairs format defines them; numpy alone.

Every click has a value (right or wrong, an IoU, an error). Values are averaged over the clicks of
an object first and over objects then, so that an object seen often does not dominate. A click on
something absent from the map counts as an object of its own. Intervals are 95 % percentiles of a
bootstrap that draws objects with replacement, 2000 times, from a fixed seed.

Keys, each with `<key>_lo` and `<key>_hi` unless it is a count; None where nothing defines it:

* `acc@0.25`, `acc@0.5`: the IoU of box and truth is strictly greater, as the published code counts.
* `accI@0.25`, `accI@0.5`: the same of ALL clicks of the frame that are on the map.
* `mean_iou`; a click without a box has IoU 0.
* `centre_in_box`: the centre of the box lies in the true box.
* `centre_error_px_median` (pixels of the map), `centre_error_m_median`: median over objects of the
  median over clicks; no box is infinitely far away, and an infinite median is None.
* `acc@0.25_small`, `_medium`, `_large` with `n_objects_small` ...: objects by the square root of
  the area of their true box, below 5 m, below 15 m, from 15 m.
* `coverage`: accepted clicks / all clicks, on the own map.
* `wrong_rate`: (accepted with IoU <= 0.25, or accepted although absent) / accepted; clicks run on
  the map of another site are absent there. `wrong_rate_own_map`: without those.
* `false_accept_rate_other_site`: accepted there / all there.
* `n_clicks` (on the map), `n_objects`, `n_absent`, `n_frames`, `n_other_site`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.types import Float64

RESAMPLES = 2000
SEED = 20240229
THRESHOLDS = (0.25, 0.5)
RIGHT_IOU = 0.25  # an accepted box that is no better than this is wrong
SIZES_M = (("small", 0.0, 5.0), ("medium", 5.0, 15.0), ("large", 15.0, np.inf))
INTERVAL = (0.025, 0.975)
Box = tuple[float, float, float, float]
Scores = dict[str, float | int | None]


@dataclass(frozen=True, slots=True)
class JudgedClick:
    """One click after the run: what is true and what was said. Boxes in pixels of the map."""

    frame: str  # unique over all sites
    object_id: str | None  # unique over all sites; None: absent from the map
    truth_xyxy_px: Box | None  # None exactly where object_id is None
    box_xyxy_px: Box | None  # None: no answer
    accepted: bool
    gsd_m: float = 1.0  # ground size of a pixel of the map

    @property
    def iou(self) -> float:
        """Overlap of box and truth; 0 without either."""
        if self.truth_xyxy_px is None or self.box_xyxy_px is None:
            return 0.0
        return iou(self.truth_xyxy_px, self.box_xyxy_px)

    @property
    def wrong(self) -> bool:
        """Whether accepting this answer is a mistake."""
        return not self.iou > RIGHT_IOU


def iou(a_xyxy: Box, b_xyxy: Box) -> float:
    """Intersection over union of two boxes; 0 where both have no area."""
    wide = min(a_xyxy[2], b_xyxy[2]) - max(a_xyxy[0], b_xyxy[0])
    high = min(a_xyxy[3], b_xyxy[3]) - max(a_xyxy[1], b_xyxy[1])
    shared = max(wide, 0.0) * max(high, 0.0)
    union = _area(a_xyxy) + _area(b_xyxy) - shared
    return shared / union if union > 0 else 0.0


def centre_error_px(a_xyxy: Box, b_xyxy: Box) -> float:
    """Distance of the centres of two boxes."""
    across = (a_xyxy[0] + a_xyxy[2] - b_xyxy[0] - b_xyxy[2]) / 2
    down = (a_xyxy[1] + a_xyxy[3] - b_xyxy[1] - b_xyxy[3]) / 2
    return float(np.hypot(across, down))


def score(
    own: Sequence[JudgedClick],
    other_site: Sequence[JudgedClick] = (),
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Scores:
    """All scores of a run.

    Args:
        own: every click of every frame, on the map of its site.
        other_site: clicks run on the map of another site; their `object_id` says which object was
            clicked (it is not there), their truth and box are not looked at.
        resamples: bootstrap draws.
        seed: of the bootstrap.
    """
    present = [click for click in own if click.object_id is not None]
    scores: Scores = {
        "n_clicks": len(present),
        "n_objects": len({click.object_id for click in present}),
        "n_absent": len(own) - len(present),
        "n_frames": len({click.frame for click in own}),
        "n_other_site": len(other_site),
    }
    objects = _grouped(present)
    draw = Bootstrap(resamples, seed)
    for name, value in _click_values(present).items():
        per_object = np.array([np.mean([value(c) for c in clicks]) for clicks in objects])
        draw.add(scores, name, per_object, np.ones(len(objects)))
    for name, error in (("px", _error_px), ("m", _error_m)):
        per_object = np.array([np.median([error(c) for c in clicks]) for clicks in objects])
        draw.add_median(scores, f"centre_error_{name}_median", per_object)
    for size, low, high in SIZES_M:
        inside = [clicks for clicks in objects if low <= _side_m(clicks[0]) < high]
        scores[f"n_objects_{size}"] = len(inside)
        right = np.array([np.mean([not c.wrong for c in clicks]) for clicks in inside])
        draw.add(scores, f"acc@0.25_{size}", right, np.ones(len(inside)))
    _add_acceptance(scores, draw, own, other_site)
    return scores


def _add_acceptance(
    scores: Scores, draw: Bootstrap, own: Sequence[JudgedClick], other: Sequence[JudgedClick]
) -> None:
    """Coverage and rates of wrong answers, over objects and absent things."""
    here = _grouped(own)
    accepted = _means(here, lambda c: c.accepted)
    draw.add(scores, "coverage", accepted, np.ones(len(here)))
    wrong = _means(here, lambda c: c.accepted and c.wrong)
    draw.add(scores, "wrong_rate_own_map", wrong, accepted)
    there = _grouped(other)
    false = _means(there, lambda c: c.accepted)
    draw.add(scores, "false_accept_rate_other_site", false, np.ones(len(there)))
    # An object is drawn with all that was asked about it, here and there.
    place: dict[str, int] = {c[0].object_id: n for n, c in enumerate(here) if c[0].object_id}
    total_wrong, total = list(wrong), list(accepted)
    for clicks, share in zip(there, false, strict=True):
        at = place.get(clicks[0].object_id or "")
        if at is None:
            total_wrong.append(share)
            total.append(share)
        else:
            total_wrong[at] += share
            total[at] += share
    draw.add(scores, "wrong_rate", np.array(total_wrong), np.array(total))


class Bootstrap:
    """Draws units with replacement; the same draws for all scores of equally many units."""

    def __init__(self, resamples: int, seed: int) -> None:
        self._resamples = resamples
        self._seed = seed
        self._drawn: dict[int, np.ndarray] = {}

    def add(self, scores: Scores, key: str, above: Float64, below: Float64) -> None:
        """sum(above) / sum(below) over the units and its interval."""
        total = float(below.sum())
        if not len(below) or total <= 0:
            scores[key] = scores[f"{key}_lo"] = scores[f"{key}_hi"] = None
            return
        scores[key] = float(above.sum()) / total
        drawn = self._units(len(below))
        sums = below[drawn].sum(axis=1)
        ratios = above[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
        self._interval(scores, key, ratios)

    def add_median(self, scores: Scores, key: str, values: Float64) -> None:
        """Median of the units and its interval."""
        if not len(values):
            scores[key] = scores[f"{key}_lo"] = scores[f"{key}_hi"] = None
            return
        scores[key] = _finite(np.median(values))
        self._interval(scores, key, np.median(values[self._units(len(values))], axis=1))

    def _units(self, count: int) -> np.ndarray:
        if count not in self._drawn:
            random = np.random.default_rng(self._seed)
            self._drawn[count] = random.integers(count, size=(self._resamples, count))
        return self._drawn[count]

    @staticmethod
    def _interval(scores: Scores, key: str, values: Float64) -> None:
        # a drawn value, never one between two: an infinite error must not become a number
        low, high = np.quantile(values, INTERVAL, method="inverted_cdf")
        scores[f"{key}_lo"], scores[f"{key}_hi"] = _finite(low), _finite(high)


def _click_values(present: Sequence[JudgedClick]) -> dict[str, Callable[[JudgedClick], float]]:
    """What is averaged per click, by key."""
    worst: dict[str, float] = {}  # frame -> the smallest IoU of its clicks
    for click in present:
        worst[click.frame] = min(worst.get(click.frame, 1.0), click.iou)

    def right(threshold: float) -> Callable[[JudgedClick], float]:
        return lambda click: float(click.iou > threshold)

    def all_right(threshold: float) -> Callable[[JudgedClick], float]:
        return lambda click: float(worst[click.frame] > threshold)

    values = {f"acc@{threshold}": right(threshold) for threshold in THRESHOLDS}
    values |= {f"accI@{threshold}": all_right(threshold) for threshold in THRESHOLDS}
    return values | {"mean_iou": lambda click: click.iou, "centre_in_box": _centre_in_box}


def _grouped(clicks: Sequence[JudgedClick]) -> list[list[JudgedClick]]:
    """Clicks by object in order of their ids; each absent thing for itself, behind them."""
    groups: dict[str, list[JudgedClick]] = {}
    for click in clicks:
        if click.object_id is not None:
            groups.setdefault(click.object_id, []).append(click)
    ordered = [groups[name] for name in sorted(groups)]
    return ordered + [[click] for click in clicks if click.object_id is None]


def _means(groups: list[list[JudgedClick]], value: Callable[[JudgedClick], bool]) -> Float64:
    return np.array([np.mean([value(c) for c in clicks]) for clicks in groups], np.float64)


def _centre_in_box(click: JudgedClick) -> float:
    if click.truth_xyxy_px is None or click.box_xyxy_px is None:
        return 0.0
    x1, y1, x2, y2 = click.truth_xyxy_px
    a, b, c, d = click.box_xyxy_px
    return float(x1 <= (a + c) / 2 <= x2 and y1 <= (b + d) / 2 <= y2)


def _error_px(click: JudgedClick) -> float:
    if click.truth_xyxy_px is None or click.box_xyxy_px is None:
        return float("inf")
    return centre_error_px(click.truth_xyxy_px, click.box_xyxy_px)


def _error_m(click: JudgedClick) -> float:
    return _error_px(click) * click.gsd_m


def _side_m(click: JudgedClick) -> float:
    box = click.truth_xyxy_px or (0.0, 0.0, 0.0, 0.0)
    return float(np.sqrt(_area(box)) * click.gsd_m)


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
