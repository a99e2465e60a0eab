"""The values that travel between the rooms of `edge`. Read this file first.

Conventions: images are uint8 RGB, height x width x 3. Pixel corners lie on integers, so the centre
of the first pixel is (0.5, 0.5). Pixel coordinates are (x right, y down). Longitude comes before
latitude, both WGS84 degrees in float64. Arrays are not copied; nobody writes into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Uint8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
Array = NDArray[Any]

# Where a picture shows nothing: the mean of ImageNet, neutral for encoders.
FILL_RGB = (124, 116, 104)


class WindowGeometry(Protocol):
    """Where the pixels of a window are on the Earth. Implementations live in `edge.geodesy`."""

    def lon_lat_deg(self, xy_px: Float64) -> Float64:
        """WGS84 of window pixels. xy_px [N, 2] -> [N, 2]."""
        ...

    def xy_px(self, lon_lat_deg: Float64) -> Float64:
        """Window pixels of WGS84 positions. [N, 2] -> [N, 2]; may lie outside the window."""
        ...

    def metres_per_px(self, xy_px: Float64) -> Float64:
        """Ground size of one pixel, (east-west, north-south) in metres. [N, 2] -> [N, 2]."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `edge.geodesy.geometry_from_dict` turns back into an equal geometry."""
        ...


@dataclass(frozen=True, slots=True)
class ReferenceWindow:
    """A north-up piece of the map, ready for the reference encoder."""

    image: Uint8  # [H, W, 3] RGB; where `valid` is False the value is FILL_RGB
    valid: Bool  # [H, W], False where the map has no imagery
    geometry: WindowGeometry | None  # None: a map without a position, pixels only
    window_id: str  # unique within the map: "z19/x123456/y234567" or "affine/x0/y512"
    map_id: str  # identity of the map: sha256 of its content or of its index
    imagery_ce90_m: float | None = None  # horizontal accuracy of the imagery, where the map says it

    @property
    def coverage(self) -> float:
        """Share of the window that has imagery, 0 to 1."""
        return float(self.valid.mean()) if self.valid.size else 0.0


@dataclass(frozen=True, slots=True)
class FramePose:
    """What telemetry knows of a frame. Any field may be None: unknown."""

    lon_lat_deg: tuple[float, float] | None = None  # rough ground position of the frame's centre
    sigma_m: float | None = None  # one sigma of that position
    yaw_deg: float | None = None  # clockwise from north to the top of the frame
    gsd_m: float | None = None  # ground size of a frame pixel near the centre
    alt_m: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One camera picture."""

    image: Uint8  # [H, W, 3] RGB
    index: int  # position in its source, from 0
    time_s: float  # capture time, seconds since the source began (live: Unix time)
    source: str  # file or device, for people
    pose: FramePose = FramePose()
    timed: bool = True  # False: `time_s` is made up, as for the pictures of a folder


@dataclass(frozen=True, slots=True)
class Click:
    """One object to locate, in pixels of its frame."""

    click_id: str
    x_px: float
    y_px: float


@dataclass(frozen=True, slots=True)
class ReferenceFeature:
    """The named outputs of the reference encoder for one window; cacheable, shareable, hashable."""

    tensors: Mapping[str, Array]  # e.g. v [128, 128, 128] float16, u [64, 128, 128] float16
    geometry: WindowGeometry | None
    width_px: int
    height_px: int
    window_id: str
    map_id: str
    model_id: str  # sha256 of the encoder graph that made it
    coverage: float
    imagery_ce90_m: float | None = None


class PriorSource(str, Enum):
    """Who said beforehand where an object must be."""

    NONE = "none"
    ALIGNMENT = "alignment"
    TELEMETRY = "telemetry"
    TRACKER = "tracker"


@dataclass(frozen=True, slots=True)
class Prior:
    """Beforehand knowledge of each click's window position, added to the confidence as log-density.

    `inv_var` is per square pixel of the window; 0 means that nothing is known of that click.
    """

    xy_px: Float32  # [N, 2]
    inv_var: Float32  # [N]
    source: PriorSource = PriorSource.NONE
    inliers: int = 0  # matches behind an alignment prior, 0 otherwise

    @staticmethod
    def none(count: int) -> Prior:
        """No knowledge about any of `count` clicks."""
        return Prior(np.zeros((count, 2), np.float32), np.zeros(count, np.float32))


@dataclass(frozen=True, slots=True)
class Localizations:
    """What the localizer graph says of N clicks, in pixels of the window."""

    box_xyxy_px: Float32  # [N, 4]
    confidence_logit: Float32  # [N], at the winning cell, prior included
    peak_similarity: Float32  # [N], raw maximum cosine over the window
    second_peak_similarity: Float32  # [N], maximum outside the first peak's neighbourhood
    cell_similarity: Float32  # [N], raw cosine at the winning cell
    attention: Float32 | None = None  # [N, H, W] raw cosine, on request


class Verdict(str, Enum):
    """What to think of a fix."""

    ACCEPTED = "accepted"
    NOT_HERE = "not_here"  # the object does not seem to be in this window
    NO_COVERAGE = "no_coverage"  # the map has too little imagery here to say
    NO_WINDOW = "no_window"  # the position lies outside the map


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one frame went, milliseconds; None: that stage did not run."""

    window_ms: float | None = None  # read and decode tiles, or read the stored feature
    encode_ms: float | None = None
    align_ms: float | None = None
    preprocess_ms: float | None = None
    localize_ms: float | None = None
    total_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """Where one clicked object is: the one result type of the whole program."""

    click_id: str
    click_xy_px: tuple[float, float]
    frame_index: int
    frame_source: str
    capture_time_s: float
    window_id: str | None
    box_xyxy_px: tuple[float, float, float, float] | None  # in the window
    lon_lat_deg: tuple[float, float] | None  # centre of the box, WGS84
    corners_lon_lat_deg: tuple[tuple[float, float], ...]  # NW, NE, SE, SW of the box; () if none
    error_radius_m: float | None  # 90 % circle: imagery, and the spread of the centre
    acceptance_probability: float
    verdict: Verdict
    reason: str
    confidence_logit: float | None = None
    peak_similarity: float | None = None
    second_peak_similarity: float | None = None
    prior_source: PriorSource = PriorSource.NONE
    prior_inliers: int = 0
    executor: str = ""
    precision: str = ""
    timings: Timings = field(default_factory=Timings)
