"""Scores of a candidate on rendered held-out clicks, beside those of float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.judging.bootstrap import paired_change
from calibration.judging.held_out import HeldOutSample
from calibration.judging.locating import REGIMES, SampleAnswers
from calibration.judging.record import Change, RegimeScore
from edge.acceptance import AcceptanceModel, acceptance_features
from edge.acceptance_fit import expected_calibration_error
from edge.scoring import RIGHT_IOU, iou
from edge.types import Float64, Localizations, Prior

CLOSE_IOU = 0.9


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much a candidate answers like float32, by the measure that methods are told apart by."""

    measure: str  # in words
    value: float  # 1: the same boxes


@dataclass(frozen=True, slots=True)
class LocatedClick:
    """One click as float32 and as the candidate answered it."""

    sample: int  # clicks of one frame and window are not independent
    present: bool
    iou: tuple[float, float]  # with the truth: float32, the candidate; 0 where absent
    agreement: float  # IoU of the two boxes
    probability: float = 0.0  # of the candidate's acceptance
    accepted: bool = False


def located(
    samples: Sequence[HeldOutSample],
    base: Mapping[str, SampleAnswers],
    other: Mapping[str, SampleAnswers],
    priors: Mapping[str, Prior | None],
    acceptance: AcceptanceModel,
) -> dict[str, list[LocatedClick]]:
    """The clicks of all samples by regime.

    Args:
        samples: with the truth.
        base: float32's answers by the sha256 of their sample.
        other: the candidate's.
        priors: what both were told in the regime with alignment.
        acceptance: the bundle's.
    """
    clicks: dict[str, list[LocatedClick]] = {regime: [] for regime in REGIMES}
    for number, each in enumerate(samples):
        before, after = base[each.sha256].regimes, other[each.sha256].regimes
        for regime, ours in after.items():
            if regime not in before:
                continue
            answers = before[regime].localizations(), ours.localizations()
            prior = priors.get(each.sha256) if regime != REGIMES[0] else None
            chances = acceptance_of(answers[1], prior, acceptance)
            clicks[regime] += compared(number, answers, each.present, each.truth_xyxy_px, *chances)
    return clicks


def acceptance_of(
    found: Localizations, prior: Prior | None, acceptance: AcceptanceModel
) -> tuple[Float64, NDArray[np.bool_]]:
    """Probability that each box is right, and whether it is accepted; both [N]."""
    known = prior or Prior.none(len(found.box_xyxy_px))
    features = acceptance_features(found, known, acceptance.most_sigma_px)
    probability = acceptance.probability(features)
    aligned = features[:, 4] > 0
    needed = [acceptance.needed(bool(each)) for each in aligned]
    return probability, probability >= np.array(needed)


def compared(
    sample: int,
    answers: tuple[Localizations, Localizations],
    present: NDArray[np.bool_],
    truth_xyxy_px: NDArray[np.float32],
    probability: Float64,
    accepted: NDArray[np.bool_],
) -> list[LocatedClick]:
    """Both answers of one sample beside the truth, click by click."""
    clicks = []
    for n, there in enumerate(present.tolist()):
        boxes = [tuple(answer.box_xyxy_px[n].tolist()) for answer in answers]
        truth = tuple(truth_xyxy_px[n].tolist())
        before, after = (iou(box, truth) if there else 0.0 for box in boxes)
        judged = float(probability[n]), bool(accepted[n])
        clicks.append(LocatedClick(sample, there, (before, after), iou(*boxes), *judged))
    return clicks


def score_regime(regime: str, clicks: Sequence[LocatedClick]) -> RegimeScore:
    """The scores of the candidate, and its changes against float32.

    Absent objects count for the agreement of boxes and for the acceptance, not for the accuracy.

    Args:
        regime: what the clicks were located with.
        clicks: at least one.
    """
    agreement = np.array([each.agreement for each in clicks])
    on_map = [each for each in clicks if each.present]
    accepted = np.array([each.accepted for each in clicks])
    right = np.array([each.iou[1] > RIGHT_IOU for each in clicks])
    probability = np.array([each.probability for each in clicks])
    return RegimeScore(
        regime=regime,
        clicks=len(clicks),
        clicks_on_map=len(on_map),
        samples=len({each.sample for each in on_map}),
        accuracy_25=accuracy(on_map, 0.25),
        accuracy_50=accuracy(on_map, 0.5),
        change_25=change(on_map, 0.25),
        change_50=change(on_map, 0.5),
        box_iou_median=float(np.median(agreement)),
        box_iou_90=float((agreement >= CLOSE_IOU).mean()),
        wrong_rate=float((~right[accepted]).mean()) if accepted.any() else 0.0,
        coverage=float(accepted.mean()),
        calibration_error=expected_calibration_error(probability, right),
    )


def accuracy(on_map: Sequence[LocatedClick], threshold: float, which: int = 1) -> float:
    """Share of clicks on the map whose box has a greater IoU; `which`: 0 float32, 1 candidate."""
    return float(np.mean([each.iou[which] > threshold for each in on_map])) if on_map else 0.0


def change(on_map: Sequence[LocatedClick], threshold: float) -> Change:
    """The candidate's accuracy less float32's on the same clicks, by bootstrap over samples."""
    right = np.array([each.iou for each in on_map]).reshape(-1, 2) > threshold
    difference = right[:, 1].astype(np.float64) - right[:, 0]
    return paired_change(difference, [each.sample for each in on_map])


def score_regimes(clicks: Mapping[str, Sequence[LocatedClick]]) -> tuple[RegimeScore, ...]:
    """The score of each regime that has clicks."""
    return tuple(score_regime(regime, found) for regime, found in clicks.items() if found)
