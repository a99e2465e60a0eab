"""The line of one tensor in the study of entropy ranges, against its values."""

from __future__ import annotations

import numpy as np
import pytest
from made_histograms import histogram_of

from benchmarks.studies.entropy import shown
from calibration.ranges.record import METHODS


def test_a_tensor_is_shown_with_what_each_threshold_cuts_and_costs() -> None:
    values = np.random.default_rng(1).normal(size=50_000).astype(np.float32)
    histogram = histogram_of(values)
    amax = {
        method: {"a": histogram.amax * share}
        for method, share in zip(METHODS, (1, 0.9, 0.5, 0.25), strict=True)
    }
    found = shown("a", histogram, amax)
    assert found["tensor"] == "a"
    for method in METHODS:
        threshold = amax[method]["a"]
        scale = threshold / 127
        rounded = np.clip(np.rint(values / scale), -127, 127) * scale
        rms = float(np.sqrt(np.mean((values - rounded) ** 2)))
        assert found[method]["of_amax"] == pytest.approx(threshold / histogram.amax, abs=6e-4)
        beyond = float((np.abs(values) > threshold).mean())
        assert found[method]["beyond"] == pytest.approx(beyond, abs=1e-4)
        assert found[method]["rms_error"] == pytest.approx(rms, rel=0.03)
