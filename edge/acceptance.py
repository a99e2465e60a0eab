"""Whether a fix is right: a logistic model over what the localizer says, and why in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.errors import BundleError
from edge.manifest import AcceptanceSpec
from edge.types import Float32, Float64, Localizations, Prior, PriorSource, Verdict

FEATURES = (
    "peak_similarity",
    "margin",  # peak minus second peak
    "cell_similarity",
    "confidence_logit",
    # Only frame alignment is evidence: a prior of telemetry or of the tracker says where to look,
    # and would say the same on the wrong map. Where it says only roughly where, it is none.
    "aligned",  # 1 or 0
    "log1p_inliers",
    "agreement",  # 1 if alignment puts the click in the box or AGREEMENT_SIGMAS near it, else 0
)
AGREEMENT_SIGMAS = 2.0
# Per axis, of an alignment that is evidence. Far from the inliers of a poor homography, and carried
# over many frames, sigmas are of a hundred pixels, and any house of the street agrees: of fixes
# accepted above this limit 37 % were wrong, below it 8 % (benchmarks/studies/carried_alignment.py,
# two rendered flights). On the labelled real frames the largest is 8.
MOST_SIGMA_PX = 30.0
MIN_IMAGERY = 0.5  # share of imagery in the cell of a box's centre, below which there is no find
MIN_COVERAGE = 0.05  # share of the window with imagery; a map of 70 m in a window of 300 m has it
AMBIGUOUS_MARGIN = 0.05  # for the words only; the probability weighs the margin itself


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to think of one fix, and why."""

    probability: float
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class AcceptanceModel:
    """probability = sigmoid(weights . features + bias); accepted from a threshold upwards."""

    weights: Float64  # [7], in the order of FEATURES
    bias: float
    threshold: float  # of fixes with frame alignment
    threshold_unaligned: float
    most_sigma_px: float = MOST_SIGMA_PX

    @staticmethod
    def from_spec(spec: AcceptanceSpec) -> AcceptanceModel:
        """Take the model of a manifest.

        Raises:
            BundleError: it was fitted on other features than this version computes.
        """
        if spec.features != FEATURES:
            raise BundleError(
                "the acceptance model of the bundle was fitted on other features",
                expected=", ".join(FEATURES),
                found=", ".join(spec.features) or "none",
                do="export the bundle again with this version of tilefix",
            )
        weights = np.array(spec.weights, np.float64)
        return AcceptanceModel(weights, spec.bias, spec.threshold, spec.threshold_unaligned)

    def probability(self, features: Float64) -> Float64:
        """Probability that each fix is right. [N, 7] -> [N]."""
        return sigmoid(features @ self.weights + self.bias)

    def needed(self, aligned: bool) -> float:
        """The probability that a fix with or without frame alignment is accepted from."""
        return self.threshold if aligned else self.threshold_unaligned

    def judge(
        self, found: Localizations, prior: Prior, coverage: float, imagery: Float32
    ) -> list[Judgement]:
        """Probability, verdict and its reason for each of N clicks.

        Args:
            found: what the localizer says.
            prior: what was known beforehand.
            coverage: share of the window that has imagery.
            imagery: share of imagery where each box lies, [N].
        """
        features = acceptance_features(found, prior, self.most_sigma_px)  # [N, 7]
        probability = self.probability(features)
        offset_px = prior_offset_px(found.box_xyxy_px, prior)
        judged = []
        for index, (p, row) in enumerate(zip(probability.tolist(), features.tolist(), strict=True)):
            values = dict(zip(FEATURES, row, strict=True))
            if coverage < MIN_COVERAGE:
                verdict = Verdict.NO_COVERAGE
                reason = (
                    f"only {coverage:.0%} of this window has imagery, {MIN_COVERAGE:.0%} are needed"
                )
            elif imagery[index] < MIN_IMAGERY:
                verdict = Verdict.NO_COVERAGE
                reason = "the map has no imagery where the box lies"
            elif p >= self.needed(bool(values["aligned"])):
                verdict, reason = Verdict.ACCEPTED, self._why_accepted(p, values, prior)
            else:
                offset = float(offset_px[index]), float(prior.inv_var[index])
                verdict, reason = Verdict.NOT_HERE, self._why_not(p, values, prior, offset)
            judged.append(Judgement(p, verdict, reason))
        return judged

    def _why_accepted(self, p: float, values: dict[str, float], prior: Prior) -> str:
        reason = (
            f"probability {p:.2f}, {self.needed(bool(values['aligned'])):.2f} needed: "
            f"similarity {values['peak_similarity']:.2f}, "
            f"{values['margin']:.2f} above its second peak"
        )
        if values["agreement"]:
            reason += f", where the {_prior_name(prior)} expects it"
        return reason

    def _why_not(
        self, p: float, values: dict[str, float], prior: Prior, offset: tuple[float, float]
    ) -> str:
        """The first cause that a person can see: a contradiction, a rival, or simply too little."""
        similarity = f"similarity {values['peak_similarity']:.2f}"
        away_px, inv_var = offset
        if away_px * inv_var**0.5 > AGREEMENT_SIGMAS:
            return (
                f"not where the {_prior_name(prior)} expects it: {away_px:.0f} px away, "
                f"which is {away_px * inv_var**0.5:.1f} sigma; {similarity}"
            )
        if prior.source is PriorSource.ALIGNMENT and 0 < inv_var < self.most_sigma_px**-2:
            return (
                f"the {_prior_name(prior)} tells this place to {inv_var**-0.5:.1f} px only, and "
                f"{self.most_sigma_px:g} px at most would speak for it; {similarity}"
            )
        if values["margin"] < AMBIGUOUS_MARGIN:
            return f"{similarity} is {values['margin']:.2f} above its second peak: ambiguous"
        return (
            f"not in this window: {similarity}, confidence {values['confidence_logit']:.1f}; "
            f"probability {p:.2f}, {self.needed(bool(values['aligned'])):.2f} needed"
        )


def acceptance_features(
    found: Localizations, prior: Prior, most_sigma_px: float = MOST_SIGMA_PX
) -> Float64:
    """The features of N fixes in the order of FEATURES, [N, 7].

    Args:
        found: what the localizer says.
        prior: what was known beforehand.
        most_sigma_px: of an alignment that is evidence.
    """
    near = (prior.inv_var > 0) & (prior.inv_var >= most_sigma_px**-2)
    present = near & (prior.source is PriorSource.ALIGNMENT)
    sigmas = prior_offset_px(found.box_xyxy_px, prior) * np.sqrt(prior.inv_var)
    columns = (
        found.peak_similarity,
        found.peak_similarity - found.second_peak_similarity,
        found.cell_similarity,
        found.confidence_logit,
        present,
        np.log1p(prior.inliers) * present,
        present & (sigmas <= AGREEMENT_SIGMAS),
    )
    return np.stack([np.asarray(column, np.float64) for column in columns], axis=1)


def prior_offset_px(box_xyxy_px: Float32, prior: Prior) -> Float64:
    """Distance from each box to its prior, window pixels; 0 inside the box. [N, 4] -> [N].

    A prior is where the click points to, and a click lies anywhere on its object.
    """
    low, high = box_xyxy_px[:, :2].astype(np.float64), box_xyxy_px[:, 2:].astype(np.float64)
    away: Float64 = np.maximum(np.maximum(low - prior.xy_px, prior.xy_px - high), 0.0)  # [N, 2]
    return np.hypot(away[:, 0], away[:, 1])


def sigmoid(x: Float64) -> Float64:
    """1 / (1 + exp(-x)) without overflow."""
    result: Float64 = 0.5 * (1.0 + np.tanh(0.5 * x))
    return result


def _prior_name(prior: Prior) -> str:
    return (
        f"{prior.source.value} ({prior.inliers} matches)" if prior.inliers else prior.source.value
    )
