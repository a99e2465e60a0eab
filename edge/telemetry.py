"""What telemetry knows of a frame: a CSV file beside the source, or one position for all.

Columns: `frame` (index or file name) or `time` in seconds of the source (`time_s` is the same; of
both the frame counts), and any of `lon, lat, sigma_m, yaw_deg, gsd_m, alt_m`. Times of live sources
are Unix time, as in `edge.clicks`. An empty cell is an unknown value. Between two times the pose is
interpolated, and held for one second beyond the last.

Lines that have both, the frame by its index, say how far apart in time frames are, by whatever
clock: a frame that has no line itself is interpolated likewise between two of them, by its index,
and beyond the last two, or before the first two, the pose is held as long as their pace says.
"""

from __future__ import annotations

import bisect
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.clicks import frame_key
from edge.errors import TelemetryError, UsageError
from edge.table import Row, Schema, read_table
from edge.types import Frame, FramePose

SCHEMA = Schema(
    kind="telemetry file",
    columns=("frame", "time", "time_s", "lon", "lat", "sigma_m", "yaw_deg", "gsd_m", "alt_m"),
    required=(),
    error=TelemetryError,
    example="frame,lon,lat,sigma_m,yaw_deg,gsd_m / 0,16.92,52.41,20,37.5,0.08",
    optional=True,
)
MOST_SIGMA_M = 1e7  # a quarter of the way round the Earth: more says nothing
MOST_GSD_M = 10.0  # no frame of a drone: rather centimetres
LONGEST_GAP_S = 5.0  # between two lines that are interpolated
HOLD_S = 1.0


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A line that has both: a frame by its index, and when it was taken by any clock."""

    index: int
    time_s: float
    pose: FramePose


class Telemetry:
    """Poses by frame and by time."""

    def __init__(
        self,
        by_frame: dict[int | str, FramePose],
        timed: list[tuple[float, FramePose]],
        timed_frames: Sequence[TimedFrame] = (),
    ) -> None:
        self._by_frame = by_frame
        self._timed = sorted(timed, key=lambda pair: pair[0])
        self._times = [time_s for time_s, _ in self._timed]
        self._timed_frames = sorted(timed_frames, key=lambda each: each.index)
        self._indices = [each.index for each in self._timed_frames]

    @staticmethod
    def read(path: str | os.PathLike[str]) -> Telemetry:
        """Read a telemetry file.

        Raises:
            TelemetryError: an unreadable or empty file, an unknown column, a line without frame and
                time, a value that is not a number or cannot be, a frame that is there twice.
        """
        by_frame: dict[int | str, FramePose] = {}
        timed: list[tuple[float, FramePose]] = []
        timed_frames: list[TimedFrame] = []
        for row in read_table(path, SCHEMA):
            frame = frame_key(row, SCHEMA)
            pose = _pose_of(row)
            time_s = SCHEMA.number(row, "time")
            time_s = SCHEMA.number(row, "time_s") if time_s is None else time_s
            if frame is not None:
                if frame in by_frame:
                    raise TelemetryError(
                        f"{row.where}: the frame {frame} is there twice",
                        expected="each frame once",
                        found=f"frame {frame} again",
                        do="take one of the lines out",
                    )
                by_frame[frame] = pose
                if time_s is not None and isinstance(frame, int):
                    timed_frames.append(TimedFrame(frame, time_s, pose))
                continue
            if time_s is None:
                raise TelemetryError(
                    f"{row.where}: a pose of no frame",
                    expected="a value in `frame` or `time`",
                    found="neither",
                    do="fill one in, or take that line out",
                )
            timed.append((time_s, pose))
        return Telemetry(by_frame, timed, timed_frames)

    @property
    def tells_altitude(self) -> bool:
        """Whether any row has one."""
        return any(pose.alt_m is not None for pose in self._poses)

    @property
    def placed(self) -> tuple[FramePose, ...]:
        """The poses that have a position."""
        return tuple(pose for pose in self._poses if pose.lon_lat_deg is not None)

    @property
    def _poses(self) -> tuple[FramePose, ...]:
        return (*self._by_frame.values(), *(pose for _, pose in self._timed))

    def pose(self, frame: Frame) -> FramePose | None:
        """The pose of a frame; None where the telemetry says nothing of it."""
        for key in (frame.index, Path(frame.source).name):
            if key in self._by_frame:
                return self._by_frame[key]
        at_time = self._at(frame.time_s)  # of the source's own clock: nearer than an index
        return self._by_index(frame.index) if at_time is None else at_time

    def _by_index(self, index: int) -> FramePose | None:
        """The pose of a frame without a line, from the two next to it that say when."""
        if len(self._indices) < 2:
            return None
        after = min(max(bisect.bisect_left(self._indices, index), 1), len(self._indices) - 1)
        earlier, later = self._timed_frames[after - 1], self._timed_frames[after]
        gap_s = later.time_s - earlier.time_s
        if gap_s <= 0:  # a clock that was set back, or a column that nobody filled
            return None
        share = (index - earlier.index) / (later.index - earlier.index)
        if gap_s <= LONGEST_GAP_S and 0 <= share <= 1:
            return _between(earlier.pose, later.pose, share)
        if abs(1.0 - share) * gap_s <= HOLD_S:
            return later.pose
        return earlier.pose if abs(share) * gap_s <= HOLD_S else None

    def _at(self, time_s: float) -> FramePose | None:
        after = bisect.bisect_left(self._times, time_s)
        if after < len(self._timed):
            later_s, later = self._timed[after]
            if after > 0:
                earlier_s, earlier = self._timed[after - 1]
                if later_s - earlier_s <= LONGEST_GAP_S:
                    share = (time_s - earlier_s) / max(later_s - earlier_s, 1e-9)
                    return _between(earlier, later, share)
            if later_s - time_s <= HOLD_S:
                return later
        if after > 0 and time_s - self._times[after - 1] <= HOLD_S:
            return self._timed[after - 1][1]
        return None


def parse_position(text: str) -> FramePose:
    """`LON,LAT` or `LON,LAT,sigma_m` in degrees and metres, longitude first.

    Raises:
        UsageError: not two or three finite numbers, or not on the Earth.
    """
    try:
        values = [float(part) for part in text.split(",")]
        if len(values) not in (2, 3) or not all(map(math.isfinite, values)):
            raise ValueError(text)
    except ValueError as error:
        raise UsageError(
            "the position cannot be read",
            expected="LON,LAT or LON,LAT,sigma_m, such as 16.9252,52.4064,20",
            found=repr(text),
            do="give degrees with a decimal point, longitude first, no spaces",
        ) from error
    lon, lat = values[0], values[1]
    sigma_m = values[2] if len(values) == 3 else None
    bad_sigma = sigma_m is not None and not 0 <= sigma_m <= MOST_SIGMA_M
    if not (-180 <= lon <= 180 and -90 <= lat <= 90) or bad_sigma:
        raise UsageError(
            "bad sigma" if bad_sigma else "the position is not on the Earth",
            expected=f"longitude -180 to 180, latitude -90 to 90, sigma_m 0 to {MOST_SIGMA_M:g}",
            found=repr(text),
            do="longitude comes first; sigma is the one-sigma error in metres",
        )
    return FramePose(lon_lat_deg=(lon, lat), sigma_m=sigma_m)


def _pose_of(row: Row) -> FramePose:
    lon, lat = SCHEMA.number(row, "lon"), SCHEMA.number(row, "lat")
    sigma_m, gsd_m = SCHEMA.number(row, "sigma_m"), SCHEMA.number(row, "gsd_m")
    found = None
    if (lon is None) != (lat is None):
        found = "only one of lon and lat"
    elif lon is not None and lat is not None and not (abs(lon) <= 180 and abs(lat) <= 90):
        found = f"lon {lon:g}, lat {lat:g}"
    elif sigma_m is not None and not 0 <= sigma_m <= MOST_SIGMA_M:
        found = f"sigma_m {sigma_m:g}"
    elif gsd_m is not None and not 0 < gsd_m <= MOST_GSD_M:
        found = f"gsd_m {gsd_m:g}"
    if found is not None:
        raise TelemetryError(
            f"{row.where}: a pose that cannot be",
            expected=f"lon -180 to 180, lat -90 to 90, sigma_m 0 to {MOST_SIGMA_M:g}, gsd_m above "
            f"0 and at most {MOST_GSD_M:g}",
            found=found,
            do="correct that line (metres, of a pixel as well); leave unknown values empty",
        )
    return FramePose(
        lon_lat_deg=None if lon is None or lat is None else (lon, lat),
        sigma_m=sigma_m,
        yaw_deg=SCHEMA.number(row, "yaw_deg"),
        gsd_m=gsd_m,
        alt_m=SCHEMA.number(row, "alt_m"),
    )


def _between(a: FramePose, b: FramePose, share: float) -> FramePose:
    """The pose a share of the way from a to b; a value that one of them lacks is unknown."""
    position = None
    if a.lon_lat_deg is not None and b.lon_lat_deg is not None:
        lon = _turn(a.lon_lat_deg[0], b.lon_lat_deg[0], share)
        lat = a.lon_lat_deg[1] + share * (b.lon_lat_deg[1] - a.lon_lat_deg[1])
        position = (lon + 180.0) % 360.0 - 180.0, lat
    yaw_deg = None
    if a.yaw_deg is not None and b.yaw_deg is not None:
        yaw_deg = _turn(a.yaw_deg, b.yaw_deg, share) % 360.0
    return FramePose(
        lon_lat_deg=position,
        sigma_m=_mix(a.sigma_m, b.sigma_m, share),
        yaw_deg=yaw_deg,
        gsd_m=_mix(a.gsd_m, b.gsd_m, share),
        alt_m=_mix(a.alt_m, b.alt_m, share),
    )


def _mix(a: float | None, b: float | None, share: float) -> float | None:
    return None if a is None or b is None else a + share * (b - a)


def _turn(a_deg: float, b_deg: float, share: float) -> float:
    """From one angle to another by the shorter way."""
    return a_deg + share * ((b_deg - a_deg + 180.0) % 360.0 - 180.0)
