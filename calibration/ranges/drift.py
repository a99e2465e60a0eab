"""Whether a new flight still fits the ranges that a bundle was calibrated with.

Three things can go wrong with a range. Values lie beyond it (they saturate), they reach far
beyond what was ever seen, or they fill so little of it that most levels are idle. The judge's
figures are of the calibrated flights; these limits say when they can no longer be relied upon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from calibration.ranges.finding import ZERO_AMAX
from calibration.ranges.histogram import Histogram
from calibration.ranges.histogram_file import TensorHistograms
from calibration.ranges.inputs import unseeded
from calibration.ranges.methods import PERCENTILE, percentile
from calibration.ranges.record import Ranges, TensorRange
from calibration.ranges.staleness import changes_between, stale
from edge.errors import CalibrationError

# A range that clips 99.99 % saturates 0.01 % by design. Ten times that is past every intent of the
# methods that look at tails, and is counted on top of what the method itself gave up.
MORE_SATURATED = 1e-3
# ... and twice what it gave up: entropy may clip a percent, and images differ by some of that.
TIMES_SATURATED = 2.0
# The largest value of all is one value of one image: within a factor of two it is luck. Beyond, the
# flight shows what the selection did not (and INT8 renders it at less than half).
OVERSHOOT = 2.0
# With the bulk below a quarter of the range, two of the eight bits carry nothing: its error is four
# times what it had to be, and more than any of the methods would choose.
IDLE = 0.25
# Single tensors idle by chance (a class of object is not there); a tenth of them does not.
IDLE_TENSORS = 0.1


class Advice(str, Enum):
    """What to do with the calibration."""

    KEEP = "keep"
    RECALIBRATE = "recalibrate"


@dataclass(frozen=True, slots=True)
class TensorDrift:
    """One tensor on the new flight against its range."""

    graph: str
    tensor: str
    amax: float  # the threshold
    calibrated_share: float  # saturated, of the sampled values of the calibration
    saturated_share: float  # the same of the new flight
    reach: float  # largest |x| of the new flight over that of the calibration; 1 = as far
    filled: float  # 99.99th percentile of |x| over the threshold
    reasons: tuple[str, ...]  # why this tensor asks for another calibration
    idle: bool  # filled below IDLE, though it was filled when calibrated


@dataclass(frozen=True, slots=True)
class Drift:
    """The verdict on a flight."""

    advice: Advice
    images: int
    tensors: tuple[TensorDrift, ...]  # in the order of the ranges
    reasons: tuple[str, ...]  # of the verdict: empty for keep

    @property
    def worst(self) -> tuple[TensorDrift, ...]:
        """All tensors, those that saturate most first."""
        return tuple(sorted(self.tensors, key=lambda x: (-x.saturated_share, -x.reach, x.tensor)))


def check_drift(ranges: Ranges, histograms: Sequence[TensorHistograms]) -> Drift:
    """Compare a new flight with the calibrated ranges.

    Args:
        ranges: of the bundle.
        histograms: of the new flight, by the same fp32 graphs and the same preprocessing; a graph
            of the ranges may be left out (a flight without a new map has no new windows).

    Raises:
        CalibrationError: other graphs, another preprocessing, a tensor without a range, or no
            images.
    """
    tensors: list[TensorDrift] = []
    for one in histograms:
        _check_fits(ranges, one)
        known = ranges.of(one.identity.graph)
        missing = [name for name in known if name not in one.tensors]
        if missing:
            raise CalibrationError(
                f"the flight was not looked at where {one.identity.graph} was calibrated",
                expected=f"{len(known)} tensors of the ranges",
                found=f"{len(missing)} were not observed, among them {missing[0]}",
                do="observe all tensors of the ranges",
            )
        tensors += [tensor_drift(known[name], one.tensors[name]) for name in known]
    if not tensors:
        raise CalibrationError(
            "there is nothing to compare the ranges with",
            expected="histograms of the new flight, of graphs that were calibrated",
            found=f"{len(histograms)} graphs without a common tensor",
            do="observe the flight with the bundle that the ranges belong to",
        )
    reasons = [f"{x.graph} {x.tensor}: {reason}" for x in tensors for reason in x.reasons]
    idle = [x for x in tensors if x.idle]
    if len(idle) > IDLE_TENSORS * len(tensors):
        reasons.append(
            f"{len(idle)} of {len(tensors)} tensors fill less than {IDLE:.0%} of their range "
            f"(at most {IDLE_TENSORS:.0%} of them may), for example {idle[0].tensor}"
        )
    advice = Advice.RECALIBRATE if reasons else Advice.KEEP
    images = len({image for one in histograms for image in one.images})
    return Drift(advice, images, tuple(tensors), tuple(reasons))


def tensor_drift(calibrated: TensorRange, seen: Histogram) -> TensorDrift:
    """Compare one tensor with its range."""
    then = calibrated.saturated_share
    now = seen.share_beyond(calibrated.amax)
    before = max(abs(calibrated.lowest), abs(calibrated.highest))
    reach = seen.amax / before if before else (math.inf if seen.amax else 1.0)
    filled = percentile(seen, PERCENTILE) / calibrated.amax
    reasons = []
    if now > then + MORE_SATURATED and now > TIMES_SATURATED * then:
        limit = max(then + MORE_SATURATED, TIMES_SATURATED * then)
        reasons.append(f"{now:.2%} of its values saturate, limit {limit:.2%} (then {then:.2%})")
    if reach > OVERSHOOT and seen.amax > ZERO_AMAX:
        reasons.append(
            f"it reaches {seen.amax:.4g}, limit {OVERSHOOT:g} times the {before:.4g} of then"
        )
    return TensorDrift(
        graph=calibrated.graph,
        tensor=calibrated.tensor,
        amax=calibrated.amax,
        calibrated_share=then,
        saturated_share=now,
        reach=reach,
        filled=filled,
        reasons=tuple(reasons),
        # The threshold may be far above the bulk by choice (min-max with an outlier): then the
        # largest value shrinks too before the tensor counts as idle.
        idle=before > 0 and filled < IDLE and reach < IDLE,
    )


def _check_fits(ranges: Ranges, one: TensorHistograms) -> None:
    kind = one.identity.graph
    changes = changes_between(
        {
            f"sha256 of {kind}.onnx": ranges.graph_sha256.get(kind),
            "preprocessing": unseeded(ranges.preprocessing),
        },
        {
            f"sha256 of {kind}.onnx": one.identity.graph_sha256,
            "preprocessing": unseeded(one.identity.preprocessing),
        },
    )
    if changes:
        do = "check the flight with the bundle that was calibrated"
        raise stale("flight and ranges do not belong together", changes, do)
    if not one.images:
        raise CalibrationError(
            "the flight shows nothing",
            expected="at least one image",
            found="none",
            do="give a flight with frames that can be used",
        )
