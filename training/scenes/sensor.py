"""From linear light to the delivered picture: pixels, air, colours, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.scenes.season import Appearance

Float32 = NDArray[np.float32]
Uint8 = NDArray[np.uint8]

_VEIL = np.array([0.52, 0.58, 0.66], np.float32)


def develop(linear: Float32, width_px: int, height_px: int, appearance: Appearance) -> Uint8:
    """Make the RGB picture [height_px, width_px, 3] from linear light of any larger size."""
    picture = linear
    if picture.shape[:2] != (height_px, width_px):
        picture = cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA)
    a = appearance
    gain = np.array(a.white_balance, np.float32) * np.float32(a.exposure * (1 - a.haze))
    picture = picture * gain + np.float32(a.haze) * _VEIL
    picture = np.power(np.clip(picture, 0, 1.6), 1 / 2.2, dtype=np.float32)
    picture = np.where(picture > 0.8, 0.8 + 0.2 * np.tanh((picture - 0.8) / 0.2), picture)
    if a.saturation != 1.0:
        grey = picture @ np.array([0.3, 0.59, 0.11], np.float32)
        picture = grey[..., None] + np.float32(a.saturation) * (picture - grey[..., None])
    if a.contrast != 1.0:
        picture = 0.45 + np.float32(a.contrast) * (picture - 0.45)
    picture = np.asarray(picture * 255.0, np.float32)
    if a.blur_px > 0.05:
        picture = cv2.GaussianBlur(picture, (0, 0), a.blur_px)
    if a.noise > 0:
        rng = np.random.default_rng([a.sensor_seed, 3])
        picture = picture + np.float32(a.noise) * rng.standard_normal(picture.shape, np.float32)
    out = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    if a.jpeg_quality is not None:
        flags = [cv2.IMWRITE_JPEG_QUALITY, a.jpeg_quality]
        _, stream = cv2.imencode(".jpg", out[..., ::-1], flags)
        out = np.ascontiguousarray(cv2.imdecode(stream, cv2.IMREAD_COLOR)[..., ::-1])
    return np.asarray(out)
