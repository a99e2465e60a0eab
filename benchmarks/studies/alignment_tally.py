"""What the experiments on frame alignment count: outcomes, times, the evidence of every look."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.studies.alignment_data import Site, TrueFrame, errors_px
from edge.alignment import PLENTY_INLIERS, Aligner, Alignment
from edge.frame_look import Look, WorkingFrame
from edge.local_features import FeatureExtractor
from edge.types import ReferenceFeature

RIGHT_M = 3.0  # median error of a right alignment


class Recorder(Aligner):
    """An aligner that tells the inliers of every look; its own verdict is loose."""

    def __init__(self, extractor: FeatureExtractor) -> None:
        super().__init__(extractor, least_inliers=6)
        self.counts: list[int] = []

    def _judge(
        self, look: Look, frame: WorkingFrame, feature: ReferenceFeature
    ) -> Alignment | None:
        found = super()._judge(look, frame, feature)
        self.counts.append(0 if found is None else found.inliers)
        return found

    def evidence(self) -> int:
        """The inliers that two looks in a row agree on, or that one has in plenty."""
        plenty = [count for count in self.counts if count >= PLENTY_INLIERS]
        pairs = [min(pair) for pair in zip(self.counts, self.counts[1:], strict=False)]
        self.counts = []
        return max([*plenty, *pairs, 0])


class Took:
    """Time since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    @property
    def wall_ms(self) -> float:
        """Time that passed."""
        return 1e3 * (time.perf_counter() - self._start[0])

    @property
    def cpu_ms(self) -> float:
        """Time that the threads of this process computed."""
        return 1e3 * (time.process_time() - self._start[1])


@dataclass(slots=True)
class Tally:
    """Outcomes of one experiment."""

    right: list[int] = field(default_factory=list)  # inliers
    wrong: list[int] = field(default_factory=list)
    error_m: list[float] = field(default_factory=list)  # of the right ones, medians per frame
    time_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)  # of all threads: the load does not count
    count: int = 0

    def add(self, found: Alignment | None, site: Site, frame: TrueFrame, took: Took) -> bool:
        """Count one outcome; True where it is right."""
        self.count += 1
        self.time_ms.append(took.wall_ms)
        self.cpu_ms.append(took.cpu_ms)
        if found is None:
            return False
        miss_m = float(np.median(errors_px(found.homography, site, frame)[1])) * site.gsd_m
        if miss_m < RIGHT_M:
            self.right.append(found.inliers)
            self.error_m.append(miss_m)
            return True
        self.wrong.append(found.inliers)
        return False

    def summary(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "frames": self.count,
            "right": len(self.right),
            "wrong": len(self.wrong),
            "inliers_of_right_min_median_max": quantiles(self.right, (0, 50, 100)),
            "inliers_of_wrong": sorted(self.wrong),
            "error_m_median_of_medians": rounded(np.median(self.error_m)) if self.error_m else None,
            "time_ms_min_median_max": quantiles(self.time_ms, (0, 50, 100)),
            "cpu_ms_median": rounded(np.median(self.cpu_ms)) if self.cpu_ms else None,
        }


def quantiles(values: Sequence[float], percent: tuple[int, ...]) -> list[float] | None:
    """Percentiles to three digits; None of nothing."""
    return [rounded(v) for v in np.percentile(values, percent)] if len(values) else None


def rounded(value: float | np.floating[Any]) -> float:
    """Three digits."""
    return float(f"{float(value):.3g}")
