"""Weights in INT8 with one symmetric scale per output channel, and scales that float16 can hold.

Both forms of a quantised graph use the same scales, so they are numbers of float16: TensorRT wants
the scale in the type of the data. They are rounded up, so that the largest value is not clipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import Float32

LEVELS = 127  # of the 255 symmetric ones; -128 is never used: TensorRT's kernels and ours agree
SMALLEST_SCALE = 2.0**-20  # sixteen steps of float16's subnormals; a channel of zeros gets this one


@dataclass(frozen=True, slots=True)
class QuantizedWeights:
    """Weights of one convolution."""

    values: NDArray[np.int8]  # [out, in / groups, *kernel]
    scale: Float32  # [out] numbers of float16

    @property
    def dequantized(self) -> Float32:
        """What the convolution computes with, [out, in / groups, *kernel]."""
        shape = (-1,) + (1,) * (self.values.ndim - 1)
        dequantized: Float32 = self.values.astype(np.float32) * self.scale.reshape(shape)
        return dequantized


def scale_up(values: NDArray[np.floating]) -> Float32:
    """The next number of float16 that is not below, at least `SMALLEST_SCALE`.

    Raises:
        OverflowError: a scale above float16's largest number.
    """
    wanted = np.maximum(np.asarray(values, np.float64), SMALLEST_SCALE)
    with np.errstate(over="ignore"):
        rounded = wanted.astype(np.float16)
        rounded = np.where(
            rounded.astype(np.float64) < wanted, np.nextafter(rounded, np.float16(np.inf)), rounded
        )
    if not np.isfinite(rounded).all():
        raise OverflowError(f"a scale of {wanted.max():g} is no float16")
    return rounded.astype(np.float32)


def quantize_weights(weights: Float32) -> QuantizedWeights:
    """Round weights to symmetric INT8, one scale per output channel from its largest magnitude.

    Args:
        weights: [out, in / groups, *kernel].
    """
    flat = np.abs(weights.astype(np.float32)).reshape(len(weights), -1)
    scale = scale_up(flat.max(axis=1) / LEVELS)
    shape = (-1,) + (1,) * (weights.ndim - 1)
    levels = np.rint(weights.astype(np.float32) / scale.reshape(shape))
    return QuantizedWeights(np.clip(levels, -LEVELS, LEVELS).astype(np.int8), scale)
