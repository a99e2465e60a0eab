"""What `tilefix evaluate` can put to the test: anything that answers clicks with boxes on a map."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.alignment import Aligner
from edge.localizer import Localizer
from edge.pairs_images import MapWindow
from edge.scoring import Box
from edge.types import Click, Fix, Float64, Frame, PriorSource, ReferenceFeature

DEFAULT = "onnxruntime", "fp32"  # executor and precision
KEPT_WINDOWS = 16  # encoded windows held in memory; about 8 MB each


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one click."""

    box_xyxy_px: Box | None  # pixels of the map; None: no answer
    accepted: bool
    confidence: float = 0.0  # higher is surer; comparable within one predictor
    probability: float | None = None  # that the answer is right; None: the predictor does not say


class Predictor(Protocol):
    """A method under test."""

    @property
    def name(self) -> str:
        """Its row in the table."""
        ...

    def predict(
        self, frame: Frame, click_xy_px: Float64, windows: Sequence[MapWindow]
    ) -> list[Prediction]:
        """One answer for each click, out of all the windows of one map.

        Args:
            frame: the camera picture.
            click_xy_px: [N, 2], pixels of the frame.
            windows: the map; which of them is right is not known.
        """
        ...


class LitePredictor:
    """A bundle, without a prior or with that of the frame's alignment.

    The threshold on the acceptance probability decides alone. `Verdict.NO_COVERAGE` does not: the
    windows of a small map are padded by the evaluation, and padding is no missing imagery.
    """

    def __init__(self, localizer: Localizer, aligner: Aligner | None = None) -> None:
        self._localizer = localizer
        self._aligner = aligner
        self._features: dict[tuple[str, str], ReferenceFeature] = {}

    @property
    def name(self) -> str:
        """Row of the table: the model, its prior, and what ran it unless that is the default."""
        prior = "without prior" if self._aligner is None else "with alignment"
        how = self._localizer.executor, self._localizer.precision
        tail = "" if how == DEFAULT else f" ({' '.join(how)})"
        return f"{self._localizer.bundle.manifest.model} {prior}{tail}"

    def predict(
        self, frame: Frame, click_xy_px: Float64, windows: Sequence[MapWindow]
    ) -> list[Prediction]:
        """Locate in every window; per click the most probable answer. See `Predictor.predict`."""
        clicks = [Click(f"{n}", float(x), float(y)) for n, (x, y) in enumerate(click_xy_px)]
        best: list[Prediction | None] = [None] * len(clicks)
        for each in windows:
            feature = self._encoded(each)
            prior = None
            if self._aligner is not None:
                alignment = self._aligner.align(frame.image, feature, frame.pose)
                prior = None if alignment is None else alignment.prior(click_xy_px)
            for n, fix in enumerate(self._localizer.localize(frame, clicks, feature, prior)):
                answer = self._answer(fix, each)
                held = best[n]
                if held is None or (answer.probability or 0.0) > (held.probability or 0.0):
                    best[n] = answer
        return [answer or Prediction(None, accepted=False) for answer in best]

    def _answer(self, fix: Fix, window: MapWindow) -> Prediction:
        needed = self._localizer.acceptance.needed(fix.prior_source is PriorSource.ALIGNMENT)
        return Prediction(
            box_xyxy_px=None if fix.box_xyxy_px is None else window.box_to_map(fix.box_xyxy_px),
            accepted=fix.acceptance_probability >= needed,
            confidence=fix.confidence_logit or 0.0,
            probability=fix.acceptance_probability,
        )

    def _encoded(self, each: MapWindow) -> ReferenceFeature:
        key = each.window.map_id, each.window.window_id
        if key not in self._features:
            feature = self._localizer.encode(each.window)
            if self._aligner is not None:
                tensors = {**feature.tensors, **self._aligner.describe(each.window)}
                feature = dataclasses.replace(feature, tensors=tensors)
            while len(self._features) >= KEPT_WINDOWS:
                del self._features[next(iter(self._features))]
            self._features[key] = feature
        return self._features[key]


def centred_box(xy_px: Float64, size_wh_px: tuple[float, float]) -> Box:
    """A box of a size around a point [2]."""
    half = np.array(size_wh_px, np.float64) / 2
    (x1, y1), (x2, y2) = (xy_px - half).tolist(), (xy_px + half).tolist()
    return x1, y1, x2, y2
