"""INT8 features: half the bytes, and an error of at most half a level of each channel."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import UsageError
from edge.feature_quantization import LEVELS, SCALE, dequantized, quantized


def features(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    spread = np.logspace(-3, 2, 6)[:, None, None]
    return {
        "v": (rng.normal(0, 1, (6, 5, 4)) * spread).astype(np.float16),
        "u": rng.normal(0, 1, (3, 5, 4)).astype(np.float32),
        "align_points": rng.normal(0, 1, (9, 2)).astype(np.float32),
    }


def test_every_channel_is_within_half_a_level() -> None:
    given = features()
    stored = quantized(given, ("v", "u"))
    assert stored["v"].dtype == stored["u"].dtype == np.int8
    assert (
        stored["v"].nbytes * 2 == given["v"].nbytes and stored["u"].nbytes * 4 == given["u"].nbytes
    )
    back = dequantized(stored)
    assert list(back) == list(given) and back["v"].dtype == np.float16
    assert back["align_points"] is given["align_points"]
    for name in ("v", "u"):
        value = given[name].astype(np.float64)
        level = np.abs(value).max((1, 2), keepdims=True) / LEVELS
        error = np.abs(back[name].astype(np.float64) - value)
        assert (error <= 0.5 * level * 1.002 + np.abs(value) * 2.0**-10 + 2.0**-24).all()
        assert error.max() > 0


def test_zero_channels_and_signs_survive() -> None:
    value = np.zeros((2, 3, 3), np.float16)
    value[1, 0, 0], value[1, 2, 2] = -8.0, 8.0
    stored = quantized({"v": value}, ("v",))
    assert stored["v" + SCALE][0] == 0 and not stored["v"][0].any()
    assert stored["v"][1, 0, 0] == -stored["v"][1, 2, 2]
    back = dequantized(stored)["v"]
    assert not back[0].any() and back[1, 2, 2] == pytest.approx(8.0, rel=0.01)


def test_the_largest_value_is_not_clipped() -> None:
    for largest in (1e-4, 0.3, 1.0, 127.0, 60000.0):
        value = np.full((1, 2, 2), largest, np.float16)
        back = dequantized(quantized({"v": value}, ("v",)))["v"].astype(np.float64)
        assert np.abs(back - value.astype(np.float64)).max() <= float(largest) * 0.005


def test_every_level_is_the_product_with_its_channels_scale() -> None:
    """By float64, rounded once; of a view into a larger array too, as a store gives it."""
    levels = np.arange(-LEVELS, LEVELS + 1).astype(np.int8).reshape(1, 5, 51)
    stored = np.concatenate([levels, levels[:, ::-1], levels])
    scale = np.array([3e-5, 0.0123, 510.0], np.float16)
    back = dequantized({"v": stored[:, :, ::2], "v" + SCALE: scale})["v"]
    wanted = stored.astype(np.float64) * scale.astype(np.float64)[:, None, None]
    assert np.array_equal(back, wanted[:, :, ::2].astype(np.float16))


@pytest.mark.parametrize("value", [np.zeros((3, 3), np.float16), np.zeros((1, 2, 2), np.int32)])
def test_what_has_no_channels_or_is_no_float_is_refused(value) -> None:
    with pytest.raises(UsageError, match="cannot be stored in int8"):
        quantized({"v": value}, ("v",))
