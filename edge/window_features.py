"""The local features of a reference window, as tensors that the feature store can hold.

A window is described at two levels: enlarged twice (frames sharper than the map, the usual case of
a low flight) and as it is (frames as coarse as the map, a high flight). Each level is cut into
tiles, and every tile keeps as many of its keypoints as there is room for, so that a flat field
beside a busy street is not left empty. For a window of 1024 px: `align_xy_2x` int16 [16384, 2],
`align_descriptor_2x` int8 [16384, 64], `align_count_2x` int32 [1], and the same with 4096 slots for
`1x`; 1.4 MB in all. Unused slots are zero.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.errors import FeatureStoreError
from edge.local_features import DESCRIPTOR_SIZE, FeatureExtractor, LocalFeatures
from edge.types import Array, Bool, Float32, ReferenceFeature, ReferenceWindow, Uint8

LEVELS = (2, 1)  # enlargement of the window, finest first
TILE_PX = 512  # of a level
TILE_MARGIN_PX = 32  # what the network sees around a tile
TILE_SLOTS = 1024
_INT8_SCALE = 254.0  # values of unit descriptors stay within +-0.5; the rest is clipped


def tensor_names(level: int) -> tuple[str, str, str]:
    """Names of the tensors of a level: positions, descriptors, count."""
    return f"align_xy_{level}x", f"align_descriptor_{level}x", f"align_count_{level}x"


def slots(width_px: int, height_px: int, level: int) -> int:
    """Keypoints that a level of a window has room for."""
    columns = -(-width_px * level // TILE_PX)
    rows = -(-height_px * level // TILE_PX)
    return columns * rows * TILE_SLOTS


def describe_window(extractor: FeatureExtractor, window: ReferenceWindow) -> dict[str, Array]:
    """All `align_*` tensors of a window."""
    tensors: dict[str, Array] = {}
    height, width = window.image.shape[:2]
    for level in LEVELS:
        image, valid = _enlarged(window, level)
        found = _tiled(extractor, image, valid)
        room = slots(width, height, level)
        xy = np.zeros((room, 2), np.int16)
        descriptor = np.zeros((room, DESCRIPTOR_SIZE), np.int8)
        xy[: len(found)] = np.floor(found.xy_px)  # keypoints sit on centres of pixels
        descriptor[: len(found)] = quantise(found.descriptor)
        values = xy, descriptor, np.array([len(found)], np.int32)
        tensors.update(zip(tensor_names(level), values, strict=True))
    return tensors


def read_level(feature: ReferenceFeature, level: int) -> LocalFeatures:
    """The keypoints of one level, in pixels of that level, descriptors of unit length.

    Raises:
        FeatureStoreError: the feature was stored without them.
    """
    names = tensor_names(level)
    missing = [name for name in names if name not in feature.tensors]
    if missing:
        raise FeatureStoreError(
            "the stored window cannot be aligned with frames",
            expected=f"tensors {', '.join(names)}",
            found=f"window {feature.window_id} without {', '.join(missing)}",
            do="encode the map again with a bundle that has an alignment graph",
        )
    xy, descriptor, count = (feature.tensors[name] for name in names)
    used = int(count[0])
    if not 0 <= used <= len(xy) or len(xy) != len(descriptor):
        raise FeatureStoreError(
            "the stored local features of a window do not fit together",
            expected=f"a count within its {len(xy)} slots and as many descriptors",
            found=f"window {feature.window_id}: count {used}, {len(descriptor)} descriptors",
            do="encode the map again (tilefix tiles encode)",
        )
    restored = descriptor[:used].astype(np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", restored, restored))
    restored /= np.maximum(length, 1e-6)[:, None]
    return LocalFeatures(xy[:used].astype(np.float64) + 0.5, restored, np.ones(used, np.float32))


def quantise(descriptor: Float32) -> Array:
    """Unit descriptors as int8. [N, 64] float32 -> [N, 64] int8."""
    scaled: Float32 = np.clip(np.rint(descriptor * _INT8_SCALE), -127, 127)
    return scaled.astype(np.int8)


def _enlarged(window: ReferenceWindow, level: int) -> tuple[Uint8, Bool]:
    if level == 1:
        return window.image, window.valid
    size = window.image.shape[1] * level, window.image.shape[0] * level
    image = cv2.resize(window.image, size, interpolation=cv2.INTER_CUBIC)
    valid = cv2.resize(window.valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(image, np.uint8), np.asarray(valid > 0)


def _tiled(extractor: FeatureExtractor, image: Uint8, valid: Bool) -> LocalFeatures:
    """Keypoints of all tiles; the strongest of every tile come first, then the second ones."""
    height, width = valid.shape
    # A keypoint at the rim of the imagery describes the rim: keep away from it.
    inner = cv2.erode(valid.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1) > 0
    parts, ranks = [], []
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            rows = slice(max(0, top - TILE_MARGIN_PX), top + TILE_PX + TILE_MARGIN_PX)
            columns = slice(max(0, left - TILE_MARGIN_PX), left + TILE_PX + TILE_MARGIN_PX)
            if not inner[rows, columns].any():
                continue
            found = extractor.extract(image[rows, columns], inner[rows, columns])
            xy = found.xy_px + np.array([columns.start, rows.start])
            own = ((xy >= (left, top)) & (xy < (left + TILE_PX, top + TILE_PX))).all(axis=1)
            keep = np.flatnonzero(own)[:TILE_SLOTS]
            parts.append(LocalFeatures(xy[keep], found.descriptor[keep], found.score[keep]))
            ranks.append(np.arange(len(keep)))
    if not parts:
        empty = np.zeros((0, DESCRIPTOR_SIZE), np.float32)
        return LocalFeatures(np.zeros((0, 2)), empty, np.zeros(0, np.float32))
    order = np.argsort(np.concatenate(ranks), kind="stable")
    return LocalFeatures(
        np.concatenate([part.xy_px for part in parts])[order],
        np.concatenate([part.descriptor for part in parts])[order],
        np.concatenate([part.score for part in parts])[order],
    )
