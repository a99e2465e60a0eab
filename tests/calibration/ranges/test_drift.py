"""The verdict on flights that fit, that are brighter, and that show little."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from made_histograms import DISTRIBUTIONS, histogram_of, identity, tensor_histograms

from calibration.ranges.drift import (
    IDLE,
    MORE_SATURATED,
    OVERSHOOT,
    Advice,
    check_drift,
    tensor_drift,
)
from calibration.ranges.finding import find_ranges
from calibration.ranges.inputs import preprocessing
from calibration.ranges.record import METHODS, TensorRange
from edge.errors import CalibrationError

RANDOM = np.random.default_rng(11)


def normal(scale: float = 1.0, count: int = 40_000) -> np.ndarray:
    return (RANDOM.normal(size=count) * scale).astype(np.float32)


def ranges_of(method: str = "percentile", **values: np.ndarray):
    return find_ranges([tensor_histograms(**values)], method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["normal", "laplace", "even", "rectified", "heavy tail"])
def test_halves_of_the_same_are_kept(method, name):
    values = RANDOM.permutation(DISTRIBUTIONS[name])
    ranges = ranges_of(method, a=values[::2])
    drift = check_drift(ranges, [tensor_histograms(a=values[1::2])])
    if name == "heavy tail":  # there a largest value tells nothing, and may say so
        assert all("reaches" in reason for reason in drift.reasons)
        return
    assert drift.advice is Advice.KEEP and drift.reasons == ()
    assert drift.images == 1


def test_a_brighter_flight_saturates():
    ranges = ranges_of(a=normal(), b=normal())
    flight = normal(1.8)
    drift = check_drift(ranges, [tensor_histograms(a=flight, b=normal())])
    assert drift.advice is Advice.RECALIBRATE
    (reason,) = [x for x in drift.reasons if "saturate" in x]
    assert reason.startswith("localizer a: ") and "limit 0.11%" in reason
    found = drift.tensors[0]
    share = np.mean(np.abs(flight) > ranges.entries[0].amax)
    assert found.saturated_share == pytest.approx(share, abs=1e-4)
    assert share > MORE_SATURATED
    assert drift.worst[0].tensor == "a" and drift.tensors[1].reasons == ()


def test_what_the_method_gave_up_is_not_drift():
    """A threshold that clips a percent: the same share on the new flight is as calibrated."""
    values = DISTRIBUTIONS["normal"]
    share = float(np.mean(np.abs(values) > 2.5))
    ranges = ranges_of("entropy", a=values)
    entry = msgspec.structs.replace(ranges.entries[0], amax=2.5, saturated_share=share)
    ranges = msgspec.structs.replace(ranges, entries=(entry,))
    assert share > 10 * MORE_SATURATED
    for flight, advice in ((normal(), Advice.KEEP), (normal(1.4), Advice.RECALIBRATE)):
        drift = check_drift(ranges, [tensor_histograms(a=flight)])
        assert drift.advice is advice
    assert "limit 2." in drift.reasons[0] and "(then 1." in drift.reasons[0]


@pytest.mark.parametrize(
    ("then", "now", "drifts"),
    [
        (0.0, 0.0009, False),
        (0.0, 0.0011, True),
        (0.0005, 0.0012, False),  # more than twice, and yet next to nothing
        (0.01, 0.0115, False),  # more by a thousandth, and yet as it was
        (0.01, 0.021, True),
    ],
)
def test_both_limits_of_saturation(then, now, drifts):
    count = 100_000
    sample = np.ones(count, np.float32)
    sample[: round(now * count)] = 3
    calibrated = TensorRange(
        tensor="a",
        amax=2.0,
        lowest=0.0,
        highest=3.0,
        saturated_share=then,
        method="entropy",
    )
    found = tensor_drift(calibrated, histogram_of(sample))
    assert found.saturated_share == now
    assert bool(found.reasons) is drifts


def test_a_single_value_far_beyond():
    ranges = ranges_of("minmax", a=normal())
    reach = ranges.entries[0].amax
    for factor, advice in ((0.95, Advice.KEEP), (1.05, Advice.RECALIBRATE)):
        flight = np.append(normal(), np.float32(reach * OVERSHOOT * factor))
        drift = check_drift(ranges, [tensor_histograms(a=flight)])
        assert drift.advice is advice
        assert drift.tensors[0].reach == pytest.approx(OVERSHOOT * factor)
    assert "it reaches" in drift.reasons[0] and "limit 2 times" in drift.reasons[0]


def test_a_flight_that_fills_nothing():
    names = [f"t{index}" for index in range(10)]
    ranges = ranges_of("minmax", **{name: normal() for name in names})
    faint = {name: normal(IDLE / 2) for name in names}
    drift = check_drift(ranges, [tensor_histograms(**faint)])
    assert drift.advice is Advice.RECALIBRATE
    assert drift.reasons[0].startswith("10 of 10 tensors fill less than 25% of their range")
    one = {**{name: normal() for name in names}, "t3": faint["t3"]}
    drift = check_drift(ranges, [tensor_histograms(**one)])
    assert drift.advice is Advice.KEEP  # one of ten may
    assert [x.tensor for x in drift.tensors if x.idle] == ["t3"]


def test_an_outlier_of_the_calibration_is_no_idle_range():
    ranges = ranges_of("minmax", a=DISTRIBUTIONS["outlier"])
    drift = check_drift(ranges, [tensor_histograms(a=DISTRIBUTIONS["outlier"])])
    assert drift.tensors[0].filled < IDLE and not drift.tensors[0].idle


def test_a_tensor_that_was_always_zero():
    ranges = ranges_of(a=np.zeros(9, np.float32))
    same = check_drift(ranges, [tensor_histograms(a=np.zeros(9, np.float32))])
    assert same.advice is Advice.KEEP and same.tensors[0].reach == 1
    now = check_drift(ranges, [tensor_histograms(a=normal())])
    assert now.advice is Advice.RECALIBRATE and now.tensors[0].reach == math.inf


def test_flights_that_do_not_belong_to_the_ranges():
    made = tensor_histograms(a=normal(), b=normal())
    ranges = find_ranges([made], "mse")
    other = replace(made, identity=identity(graph_sha256="8" * 64))
    with pytest.raises(CalibrationError, match=r"changed: sha256 of localizer\.onnx\n"):
        check_drift(ranges, [other])
    with pytest.raises(CalibrationError, match="changed: preprocessing\n"):
        check_drift(ranges, [replace(made, identity=identity(preprocessing="x"))])
    with pytest.raises(CalibrationError, match="not looked at where") as caught:
        check_drift(ranges, [tensor_histograms(a=normal())])
    assert caught.value.found == "1 were not observed, among them b"
    with pytest.raises(CalibrationError, match="the flight shows nothing"):
        check_drift(ranges, [replace(made, images=())])
    with pytest.raises(CalibrationError, match="nothing to compare"):
        check_drift(ranges, [])


def test_another_seed_of_the_clicks_is_no_other_preprocessing():
    """`--check` draws its own clicks, whatever seed the calibration had."""
    values = normal()
    then = tensor_histograms(a=values)
    then = replace(then, identity=identity(preprocessing=preprocessing(7)))
    now = replace(then, identity=identity(preprocessing=preprocessing(0)))
    assert check_drift(find_ranges([then], "minmax"), [now]).advice is Advice.KEEP
