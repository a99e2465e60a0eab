"""What the published recipes do to the colours of a window; no pixel moves.

The official loaders call albumentations without a version pin and mostly without arguments, so the
ranges here are the defaults of its 1.x series. torchvision.transforms.v2 has the grey and the gamma
of it. It has no CLAHE, median or box blur and no additive hue, saturation and value, and its noise
takes no generator: those are OpenCV and NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.vision_ops import import_torchvision

Image = NDArray[np.uint8]  # [H, W, 3] RGB
Tint = Callable[[Image, np.random.Generator], Image]

NOISE_VARIANCE = (10.0, 50.0)  # of 8-bit values
HUE_SHIFT, SATURATION_SHIFT, VALUE_SHIFT = 20, 30, 20  # in OpenCV's 180, 255 and 255 steps
BLUR_SIDES_PX = (3, 5, 7)
BRIGHTNESS, CONTRAST = 0.2, 0.2
CLAHE_CLIP = (1.0, 4.0)
CLAHE_TILES = (8, 8)
GAMMA = (0.8, 1.2)


def add_noise(image: Image, rng: np.random.Generator) -> Image:
    """Gaussian noise of a random variance, each channel its own."""
    sigma = np.float32(np.sqrt(rng.uniform(*NOISE_VARIANCE)))
    noise = rng.standard_normal(image.shape, np.float32)
    return np.asarray(cv2.addWeighted(image, 1.0, noise, float(sigma), 0.0, dtype=cv2.CV_8U))


def shift_hue(image: Image, rng: np.random.Generator) -> Image:
    """Shift hue, saturation and value by a constant each."""
    hue, saturation, value = (
        rng.uniform(-most, most) for most in (HUE_SHIFT, SATURATION_SHIFT, VALUE_SHIFT)
    )
    steps = np.arange(256, dtype=np.float32)
    tables = [
        ((steps + hue) % 180).astype(np.uint8),
        _clipped(steps + saturation),
        _clipped(steps + value),
    ]
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    shifted = cv2.merge([cv2.LUT(hsv[..., k], table) for k, table in enumerate(tables)])
    return np.asarray(cv2.cvtColor(shifted, cv2.COLOR_HSV2RGB), np.uint8)


def blur(image: Image, rng: np.random.Generator) -> Image:
    """Mean over a square of random side."""
    side = int(rng.choice(BLUR_SIDES_PX))
    return np.asarray(cv2.blur(image, (side, side)), np.uint8)


def median_blur(image: Image, rng: np.random.Generator) -> Image:
    """Median over a square of random side."""
    return np.asarray(cv2.medianBlur(image, int(rng.choice(BLUR_SIDES_PX))), np.uint8)


def change_brightness(image: Image, rng: np.random.Generator) -> Image:
    """Brightness and contrast: values times one factor, plus a share of the full range."""
    factor = 1 + rng.uniform(-CONTRAST, CONTRAST)
    added = 255 * rng.uniform(-BRIGHTNESS, BRIGHTNESS)
    table = _clipped(np.arange(256, dtype=np.float32) * factor + added)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def equalize(image: Image, rng: np.random.Generator) -> Image:
    """CLAHE: the lightness's histogram is equalised within tiles, with limited contrast."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    clahe = cv2.createCLAHE(clipLimit=float(rng.uniform(*CLAHE_CLIP)), tileGridSize=CLAHE_TILES)
    light = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(cv2.merge([light, lab[..., 1], lab[..., 2]]), cv2.COLOR_LAB2RGB))


def to_grey(image: Image, rng: np.random.Generator) -> Image:
    """Grey in all three channels."""
    whole = np.require(image, requirements=["C", "W"])  # torch warns of others
    grey = _functional().rgb_to_grayscale(torch.from_numpy(whole).permute(2, 0, 1))
    return np.repeat(grey.permute(1, 2, 0).numpy(), 3, axis=2)


def change_gamma(image: Image, rng: np.random.Generator) -> Image:
    """Values to a random power."""
    gamma = float(rng.uniform(*GAMMA))
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 256)
    table = _functional().adjust_gamma(values, gamma).reshape(256).numpy()
    return np.asarray(cv2.LUT(image, table), np.uint8)


def _functional() -> Any:
    import_torchvision()
    from torchvision.transforms.v2 import functional

    return functional


def _clipped(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
