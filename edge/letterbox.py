"""A camera frame fitted into the fixed size of a model, and the way back.

The resize stays outside the graphs: OpenCV's area average is what the models were trained with, and
an antialiased resize of unknown size does not belong in a TensorRT graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.errors import SourceError
from edge.types import FILL_RGB, Float32, Float64, Uint8


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A frame in the model's size, and the affine from the frame's pixels to the model's."""

    image: Uint8  # [height_px, width_px, 3] RGB
    affine: Float32  # [2, 3]; pixel corners on integers: x' = a00 x + a01 y + a02
    picture_wh_px: tuple[int, int]  # of the frame in it, without borders

    @property
    def inverse_affine(self) -> Float64:
        """The affine from the model's pixels back to the frame's, [2, 3], float64."""
        return inverse_affine(self.affine)


def letterbox(image: Uint8, width_px: int, height_px: int) -> Letterbox:
    """Shrink or enlarge `image` to fit, centred, with its proportions, and fill the borders.

    Shrinking averages areas (INTER_AREA); enlarging interpolates (INTER_LINEAR), since the area
    average would only repeat pixels. Both map pixel corners to pixel corners, so the affine is
    exact: its scales are the resized sides over the frame's sides, and may differ from each other
    by the rounding to whole pixels.

    Args:
        image: RGB uint8 [H, W, 3].
        width_px: width of the result.
        height_px: height of the result.

    Raises:
        SourceError: the frame is not an RGB uint8 picture, or has no pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise SourceError(
            "a frame cannot be used",
            expected="an RGB picture, uint8 [height, width, 3]",
            found=f"{image.dtype.name} {list(image.shape)}",
            do="convert the frame to 8-bit RGB before it is located in",
        )
    rows, columns = image.shape[:2]
    scale = min(width_px / columns, height_px / rows)
    wide = min(width_px, max(1, round(columns * scale)))
    high = min(height_px, max(1, round(rows * scale)))
    left, top = (width_px - wide) // 2, (height_px - high) // 2
    if (wide, high) == (width_px, height_px) == (columns, rows):
        fitted = np.ascontiguousarray(image)
    else:
        shrinks = wide < columns or high < rows
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(image, (wide, high), interpolation=method)
        borders = top, height_px - high - top, left, width_px - wide - left
        framed = cv2.copyMakeBorder(resized, *borders, cv2.BORDER_CONSTANT, value=FILL_RGB)
        fitted = np.asarray(framed, np.uint8)
    affine = np.array([[wide / columns, 0, left], [0, high / rows, top]], np.float32)
    return Letterbox(fitted, affine, (wide, high))


def inverse_affine(affine: Float32 | Float64) -> Float64:
    """Invert a 2x3 affine in float64."""
    linear = np.linalg.inv(affine[:, :2].astype(np.float64))  # [2, 2]
    return np.hstack([linear, -linear @ affine[:, 2:].astype(np.float64)])


def apply_affine(affine: Float32 | Float64, xy_px: Float32 | Float64) -> Float64:
    """Carry points through a 2x3 affine. [N, 2] -> [N, 2] float64."""
    wide = affine.astype(np.float64)
    moved: Float64 = xy_px.astype(np.float64) @ wide[:, :2].T + wide[:, 2]
    return moved
