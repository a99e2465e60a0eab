"""How much does a careless click cost? A predictor whose clicks are moved on the way to it."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from edge.pairs_images import MapWindow
from edge.predictors import Prediction, Predictor
from edge.score_report import RowScores
from edge.scoring import Scores
from edge.types import Float64, Frame

SEED = 4711


class CarelessClicks:
    """A `Predictor` that gives another one clicks with a normal error in x and in y.

    The errors depend on the frame and the order of its clicks alone: every predictor gets the same,
    on every map, and a larger sigma stretches the very errors of a smaller one.

    Args:
        predictor: what is put to the test.
        sigma_px: of the error, pixels of the frame as stored. Clicks stay inside the frame.
    """

    def __init__(self, predictor: Predictor, sigma_px: float) -> None:
        self._predictor = predictor
        self._sigma_px = sigma_px

    @property
    def name(self) -> str:
        """Row of the table: the predictor's, and the error."""
        return f"{self._predictor.name}, clicks off by {self._sigma_px:g} px"

    def predict(
        self, frame: Frame, click_xy_px: Float64, windows: Sequence[MapWindow]
    ) -> list[Prediction]:
        """See `Predictor.predict`."""
        return self._predictor.predict(frame, self.moved(frame, click_xy_px), windows)

    def moved(self, frame: Frame, click_xy_px: Float64) -> Float64:
        """The clicks that are given on. [N, 2] -> [N, 2]."""
        random = np.random.default_rng((SEED, frame.index, zlib.crc32(frame.source.encode())))
        height, width = frame.image.shape[:2]
        error = self._sigma_px * random.standard_normal((len(click_xy_px), 2))
        inside = np.clip(click_xy_px + error, 0.0, (width - 1e-3, height - 1e-3))
        return np.asarray(inside, np.float64)


def scores_by_error(
    rows: Sequence[RowScores], predictors: Sequence[Predictor], sigmas_px: Sequence[float]
) -> dict[str, dict[float, Scores]]:
    """Scores of each predictor by the error of its clicks, 0 for exact ones.

    Args:
        rows: of one site; or of several and then of all, which are taken.
        predictors: with rows of their own, and one for each error.
        sigmas_px: the errors.
    """
    scores = {row.predictor: row.scores for row in rows}  # the last of each is that of all sites
    return {
        each.name: {
            0.0: scores[each.name],
            **{sigma: scores[CarelessClicks(each, sigma).name] for sigma in sigmas_px},
        }
        for each in predictors
    }
