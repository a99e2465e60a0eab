"""Power over time, and its integral by trapezoids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading."""

    time_s: float  # monotonic
    watts: float


@dataclass(frozen=True, slots=True)
class MeanPower:
    """Of a stretch of time."""

    watts: float
    samples: int  # that lie in it


def mean_power(samples: Sequence[Sample], start_s: float, end_s: float) -> MeanPower:
    """Mean power from `start_s` to `end_s`: the integral by trapezoids over the time stamps.

    At the ends the power is interpolated between the samples on both sides, and held where there
    is no sample beyond. Late samples weigh for as long as they stand, so a sampler that was held
    up does no harm but to detail.

    Args:
        samples: in order of time, at least one.
        start_s: monotonic seconds.
        end_s: monotonic seconds, after `start_s`.
    """
    times = np.array([each.time_s for each in samples])
    watts = np.array([each.watts for each in samples])
    inside = (times > start_s) & (times < end_s)
    at_s = np.concatenate([[start_s], times[inside], [end_s]])
    power = np.interp(at_s, times, watts)
    joules = float(np.sum(np.diff(at_s) * (power[1:] + power[:-1]) / 2))
    return MeanPower(joules / (end_s - start_s), int(inside.sum()))
