"""How a picture looks in a few numbers: the cheap descriptor that coverage is measured with.

Four blocks, each about one thing that moves the activations of a network: tones (histogram of the
luma), colours (moments in Lab), layout (8 x 8 means in Lab) and texture (energy of gradients by
direction at three scales). A near-duplicate is found with a thumbnail instead, since two pictures
with equal statistics may show different things.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import cv2
import numpy as np

from edge.types import Bool, Float32, Uint8

THUMB_PX = 16
_TONES, _LAYOUT, _DIRECTIONS, _SCALES = 16, 8, 4, 3
BLOCKS = (_TONES, 6, 3 * _LAYOUT**2, _DIRECTIONS * _SCALES)  # lengths, in order
DESCRIPTOR = sum(BLOCKS)
_BLACK_LUMA = 12  # 99 of 100 pixels are no brighter
_CONSTANT_STD = 2.0  # of the luma; noise of a covered sensor is about 1
_WORK_PX = 256
# Variance of a Laplacian (squares of its kernel add up to 20) of nothing but rounding to whole
# levels: all that is left of detail in a picture that is wholly out of focus.
_ROUNDING = 20 / 12


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of one picture, without its borders."""

    brightness: float
    contrast: float
    sharpness: float
    fineness: float  # share of the sharpness that a slight blur takes away
    black: bool
    constant: bool
    thumb: Uint8  # [16, 16, 3]
    descriptor: Float32  # [DESCRIPTOR]


def look_at(image: Uint8, shown: Bool | None = None) -> Look:
    """Describe a picture.

    Args:
        image: RGB uint8 [H, W, 3].
        shown: [H, W], False where there is no imagery; None: all of it is imagery.
    """
    luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)  # [H, W]
    mask = np.ones(luma.shape, np.bool_) if shown is None else shown
    seen = luma[mask] if mask.any() and not mask.all() else luma.reshape(-1)
    counts = np.bincount(seen, minlength=256)  # of 256 levels, which all statistics come from
    levels = np.arange(256)
    sharpness, softened = _sharpness(luma, mask)
    mean = float((counts * levels).sum() / seen.size)
    spread = float(np.sqrt((counts * np.square(levels - mean)).sum() / seen.size))
    tones = counts.reshape(_TONES, -1).sum(axis=1) / seen.size
    small = _shrunk(image if mask.all() else _filled(image, mask))
    scaled = small.astype(np.float32) / 255
    lab = np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB), np.float32)  # [h, w, 3]
    moments = np.concatenate([lab.mean(axis=(0, 1)), lab.std(axis=(0, 1))])
    layout = cv2.resize(lab, (_LAYOUT, _LAYOUT), interpolation=cv2.INTER_AREA)
    thumb = cv2.resize(image, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    blocks = [np.sqrt(tones), moments, layout.reshape(-1), _texture(lab[:, :, 0])]
    return Look(
        brightness=round(mean, 2),
        contrast=round(spread, 2),
        sharpness=round(sharpness, 2),
        fineness=max(0.0, 1 - softened / max(sharpness - _ROUNDING, 1e-6)),
        black=bool(counts[: _BLACK_LUMA + 1].sum() >= 0.99 * seen.size),
        constant=spread < _CONSTANT_STD,
        thumb=np.asarray(thumb, np.uint8),
        descriptor=np.concatenate(blocks).astype(np.float32),
    )


def _sharpness(luma: Uint8, mask: Bool) -> tuple[float, float]:
    """Variance of the Laplacian, and the same after a slight blur; edges of the mask left out."""
    inner: Bool | EllipsisType = ...
    if not mask.all():
        eroded = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        inner = eroded if eroded.any() else mask
    light = luma.astype(np.float32)  # rounding after the blur would look like detail
    soft = cv2.GaussianBlur(light, (0, 0), 1.2)
    sharp, softened = (
        _variance(np.asarray(cv2.Laplacian(each, cv2.CV_32F), np.float32)[inner])
        for each in (light, soft)
    )
    return sharp, softened


def _variance(values: Float32) -> float:
    _, deviation = cv2.meanStdDev(values.reshape(-1, 1)) if values.size else (0.0, [[0.0]])
    return float(deviation[0][0]) ** 2


def _filled(image: Uint8, mask: Bool) -> Uint8:
    """Without imagery: the mean colour, so that the shape of the gap describes nothing."""
    colour = image[mask].mean(axis=0) if mask.any() else image.mean(axis=(0, 1))
    return np.where(mask[:, :, None], image, colour.astype(np.uint8))


def _shrunk(image: Uint8) -> Uint8:
    """At most 256 px a side: colours and texture need no more."""
    high, wide = image.shape[:2]
    scale = min(1.0, _WORK_PX / max(high, wide))
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _texture(light: Float32) -> Float32:
    """Log energy of the gradients in four directions at three scales, [12]."""
    found: list[float] = []
    for _ in range(_SCALES):
        dx = cv2.Sobel(light, cv2.CV_32F, 1, 0)
        dy = cv2.Sobel(light, cv2.CV_32F, 0, 1)
        for step in range(_DIRECTIONS):
            angle = np.pi * step / _DIRECTIONS
            along = dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle))
            found.append(float(np.log1p((along**2).mean(dtype=np.float64))))
        size = max(1, light.shape[1] // 2), max(1, light.shape[0] // 2)
        light = np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_AREA), np.float32)
    return np.array(found, np.float32)
