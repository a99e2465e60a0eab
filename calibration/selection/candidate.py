"""One picture that may be chosen: all that is kept of it once its pixels are gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from calibration.selection.look import THUMB_PX, Look
from calibration.selection.reasons import PoorImage
from calibration.selection.record import pixels_sha256
from edge.types import Float32, Uint8


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What the scan saw. About 2 kB, so that thousands fit into memory."""

    source: int  # index of the source or map in the request
    item: int  # index of the picture or video in its source; of a map: 0
    place: tuple[int, int]  # (index of the frame, 0), or left and top of a window
    name: str  # file, for people
    words: str  # "frame 17", or the id of a window
    poor: str = ""  # a `PoorImage` that is known from the picture alone
    detail: str = ""  # of an unreadable one
    sha256: str = ""  # of the pixels as they enter the graph
    size_px: tuple[int, int] = (0, 0)  # width, height before the letterbox
    brightness: float = 0.0
    contrast: float = 0.0
    sharpness: float = 0.0
    fineness: float = 0.0
    season: str | None = None
    altitude_m: float | None = None
    frame_affine: tuple[float, ...] = ()
    thumb: bytes = b""
    descriptor: bytes = b""
    feature: bytes = b""  # of the encoder, where one was given

    def thumb_pixels(self) -> Uint8:
        """[16, 16, 3] uint8 RGB."""
        return np.frombuffer(self.thumb, np.uint8).reshape(THUMB_PX, THUMB_PX, 3)


@dataclass(frozen=True, slots=True)
class FeatureMaker:
    """A descriptor by a network, such as that of `calibration.selection.peaks`.

    The selection needs no executor of its own: whoever has one hands in two functions from the
    pixels that enter the graph, uint8 [H, W, 3], to a vector of one fixed length each.
    """

    name: str  # what it is, e.g. the sha256 of the encoder's graph; part of the request's identity
    frame: Callable[[Uint8], Float32] | None  # None: the cheap numbers alone
    window: Callable[[Uint8], Float32] | None


def seen(look: Look, pixels: Uint8) -> dict[str, object]:
    """The fields of a candidate that come from its pixels."""
    poor = PoorImage.BLACK if look.black else PoorImage.CONSTANT if look.constant else None
    return {
        "poor": poor.value if poor else "",
        "sha256": pixels_sha256(pixels),
        "brightness": look.brightness,
        "contrast": look.contrast,
        "sharpness": look.sharpness,
        "fineness": look.fineness,
        "thumb": np.ascontiguousarray(look.thumb).tobytes(),
        "descriptor": look.descriptor.tobytes(),
    }


def vectors(candidates: list[Candidate], part: str) -> Float32:
    """`descriptor` or `feature` of all, [N, D] float32."""
    rows = [np.frombuffer(getattr(each, part), np.float32) for each in candidates]
    return np.stack(rows) if rows else np.zeros((0, 0), np.float32)
