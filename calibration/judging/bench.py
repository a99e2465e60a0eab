"""The judge's bench: float32's answers are there once, every candidate is laid beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from calibration.judging.agreement import score_agreement, selection_answers
from calibration.judging.candidates import graph_bytes
from calibration.judging.held_out import HeldOutSample, open_held_out
from calibration.judging.locating import PLAIN, SampleAnswers, answers_of
from calibration.judging.priors import Progress, priors_of
from calibration.judging.record import AgreementScore, CandidateScore
from calibration.judging.request import JudgeRequest
from calibration.judging.scores import CLOSE_IOU, Likeness, LocatedClick, located, score_regimes
from edge.acceptance import AcceptanceModel
from edge.bundle import Bundle
from edge.types import Prior

TRIAL_SAMPLES = 60  # that methods are tried on: some 400 clicks
BASE = "fp32"
ON_SAMPLES = "mean IoU with float32's boxes on the trial samples"
ON_SELECTION = (
    "mean of the median IoU with float32's boxes and the share of boxes with an IoU of at least "
    f"{CLOSE_IOU:g}, on the selection's pictures"
)


class Bench:
    """Held-out samples and a selection, with float32's answers.

    Args:
        request: what to judge on.
        progress: told of every sample.
    """

    def __init__(self, request: JudgeRequest, progress: Progress | None = None) -> None:
        self.request = request
        self.progress = progress
        self.acceptance = AcceptanceModel.from_spec(request.bundle.manifest.acceptance)
        self.samples = open_held_out(request.samples, request.every)
        self.priors: Mapping[str, Prior | None] = {}
        self.base: Mapping[str, SampleAnswers] = {}
        if self.samples:
            self.priors = priors_of(request.bundle, self.samples, request.work, progress)
            self.base = self._answers(request.bundle, BASE, self.samples)

    @property
    def few(self) -> tuple[HeldOutSample, ...]:
        """The samples that methods are tried on, evenly from all folders."""
        count = len(self.samples)
        places = np.linspace(0, count - 1, min(count, TRIAL_SAMPLES)).round().astype(int)
        return tuple(self.samples[place] for place in places)

    def clicks(
        self,
        bundle: Bundle,
        precision: str,
        samples: tuple[HeldOutSample, ...] | None = None,
        stored: str = PLAIN,
    ) -> dict[str, list[LocatedClick]]:
        """The clicks of a candidate beside float32's, by regime; of all samples, or of these."""
        chosen = self.samples if samples is None else samples
        other = self._answers(bundle, precision, chosen, stored)
        return located(chosen, self.base, other, self.priors, self.acceptance)

    def score(
        self,
        bundle: Bundle,
        precision: str,
        name: str,
        method: str = "",
        left_float: tuple[str, ...] = (),
        stored: str = PLAIN,
    ) -> CandidateScore:
        """All regimes of a candidate on all samples; no regimes where there are no samples."""
        clicks = self.clicks(bundle, precision, stored=stored) if self.samples else {}
        return CandidateScore(
            name=name,
            precision=precision,
            method=method,
            left_float=left_float,
            regimes=score_regimes(clicks) if self.samples else (),
            file_bytes=graph_bytes(bundle, precision),
        )

    def agreement(
        self, bundle: Bundle, precision: str, name: str, stored: str = PLAIN
    ) -> AgreementScore:
        """A candidate's boxes and verdicts on the selection's own pictures."""
        place = self.request.selection, self.request.work, self.progress
        before = selection_answers(self.request.bundle, BASE, *place)
        after = selection_answers(bundle, precision, *place, stored=stored)
        pairs = [(before[key], after[key]) for key in before]
        return score_agreement(name, [a for a, _ in pairs], [b for _, b in pairs], self.acceptance)

    def likeness(self, bundle: Bundle, precision: str) -> Likeness:
        """By IoU with float32's boxes: on a few samples, else on the selection's pictures.

        Methods are told apart by this and not by their accuracy: on some 400 clicks the interval of
        a difference of accuracies is two points wide, and that of the mean IoU a tenth of it.
        """
        if not self.samples:
            found = self.agreement(bundle, precision, "trial")
            return Likeness(ON_SELECTION, (found.box_iou_median + found.box_iou_90) / 2)
        clicks = self.clicks(bundle, precision, self.few)
        means = [np.mean([each.agreement for each in found]) for found in clicks.values() if found]
        return Likeness(ON_SAMPLES, float(np.mean(means)))

    def _answers(
        self,
        bundle: Bundle,
        precision: str,
        samples: tuple[HeldOutSample, ...],
        stored: str = PLAIN,
    ) -> dict[str, SampleAnswers]:
        given = bundle, precision, samples, self.priors, self.request.work
        return answers_of(*given, stored=stored, progress=self.progress)
