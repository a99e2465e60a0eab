"""What sun, season, sensor and JPEG do to a picture: independent draws for frame and window.

Each function takes and returns uint8 RGB and a seeded generator; none moves a pixel, so boxes and
clicks stay where they are.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def jitter_colour(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """Gain per channel, contrast, gamma, saturation and hue, as another sensor would see it."""
    x = image.astype(np.float32) / 255.0
    x = x ** np.float32(np.exp(rng.normal(0, 0.18 * strength)))
    gain = np.exp(rng.normal(0, 0.06 * strength, 3) + rng.normal(0, 0.12 * strength))
    x = (x - 0.45) * np.float32(np.exp(rng.normal(0, 0.15 * strength))) + 0.45
    x = np.clip(x * gain.astype(np.float32), 0, 1)
    hsv = cv2.cvtColor(x, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + np.float32(rng.normal(0, 6 * strength))) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * np.float32(np.exp(rng.normal(0, 0.25 * strength))), 0, 1)
    out = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    return np.clip(out * 255 + 0.5, 0, 255).astype(np.uint8)


def change_season(image: Image, rng: np.random.Generator) -> Image:
    """Turn what is green towards straw, brown or a deeper green; leaves roofs and roads alone."""
    target = np.array(
        [(150, 135, 90), (110, 95, 70), (60, 95, 45), (190, 190, 180)][rng.integers(4)], np.float32
    )
    x = image.astype(np.float32)
    green = np.clip((2 * x[..., 1] - x[..., 0] - x[..., 2]) / 40.0, 0, 1)[..., None]
    amount = np.float32(rng.uniform(0.2, 0.8))
    shade = x.mean(2, keepdims=True) / 110.0
    return np.clip(x + green * amount * (target * shade - x), 0, 255).astype(np.uint8)


def blur(image: Image, rng: np.random.Generator, most_sigma_px: float = 1.2) -> Image:
    """Gaussian defocus with a random sigma."""
    sigma = float(rng.uniform(0.0, most_sigma_px))
    return image if sigma < 0.2 else cv2.GaussianBlur(image, (0, 0), sigma).astype(np.uint8)


def add_noise(image: Image, rng: np.random.Generator, most_sigma: float = 6.0) -> Image:
    """Additive sensor noise."""
    sigma = rng.uniform(0, most_sigma)
    noise = rng.normal(0, sigma, image.shape).astype(np.float32)
    return np.clip(image.astype(np.float32) + noise, 0, 255).astype(np.uint8)


def cast_cloud(image: Image, rng: np.random.Generator) -> Image:
    """A soft shadow over part of the picture."""
    height, width = image.shape[:2]
    coarse = cv2.resize(
        rng.uniform(0, 1, (5, 5)).astype(np.float32), (width, height), interpolation=2
    )
    shade = 1 - rng.uniform(0, 0.45) * np.clip(coarse * 2 - 0.8, 0, 1)[..., None]
    return (image * shade).astype(np.uint8)


def recompress(image: Image, rng: np.random.Generator, lowest_quality: int = 45) -> Image:
    """JPEG round trip at a random quality."""
    quality = int(rng.integers(lowest_quality, 96))
    _, coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1]).astype(np.uint8)


def degrade(
    image: Image, rng: np.random.Generator, *, season: bool = False, strength: float = 1.0
) -> Image:
    """The usual chain: season, colour, cloud, blur, noise, JPEG, each with its own chance.

    Args:
        image: what to degrade.
        rng: source of all chance.
        season: may also change the season (scenes bring their own).
        strength: of the colour changes.
    """
    if season and rng.random() < 0.4:
        image = change_season(image, rng)
    image = jitter_colour(image, rng, strength)
    if rng.random() < 0.3:
        image = cast_cloud(image, rng)
    if rng.random() < 0.5:
        image = blur(image, rng)
    if rng.random() < 0.5:
        image = add_noise(image, rng)
    return recompress(image, rng)
