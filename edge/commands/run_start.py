"""Whether a run can find anything: a place on the map for at least one of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge.errors import UsageError, WindowError
from edge.telemetry import Telemetry
from edge.types import FramePose
from edge.window_choice import WindowSupply

MOST_LOOKED_AT = 1000  # lines whose exchange is tried: an exchange is of all lines or of none


def check_start(
    windows: WindowSupply, position: FramePose | None, telemetry: Telemetry | None
) -> list[str]:
    """Refuse a run that could only say "no window" of every frame; warn where it may.

    Telemetry off the map is not refused by itself: --position may serve other frames, and between
    two lines beside a small map a frame may lie on it.

    Args:
        windows: of the map.
        position: of all frames that telemetry does not place.
        telemetry: of the frames.

    Returns:
        What is to be feared, for people.

    Raises:
        UsageError: the position is off the map, or telemetry is and lies on it with longitude and
            latitude exchanged, or neither says a position and the map is large.
    """
    placed = telemetry.placed if telemetry is not None else ()
    if position is not None:
        _check_position(windows, position)
    if placed:
        return _check_telemetry(windows, placed)
    if position is None:
        _check_nothing_said(windows, telemetry)
    return []


def _check_position(windows: WindowSupply, position: FramePose) -> None:
    error = _off_the_map(windows, position)
    if error is not None:
        swapped = _exchanged(windows, [position])
        raise UsageError(
            "--position lies outside the map",
            expected=error.expected,
            found=error.found,
            do=f"longitude comes first: --position {swapped} lies on the map"
            if swapped
            else "correct it, or take a map of that area",
        ) from error


def _check_telemetry(windows: WindowSupply, placed: tuple[FramePose, ...]) -> list[str]:
    """One line on the map is enough: a flight may begin or end beside it."""
    first: WindowError | None = None
    for pose in placed:
        error = _off_the_map(windows, pose)
        if error is None:
            return []
        first = first or error
    if first is None:
        return []
    exchanged = _exchanged(windows, placed[:MOST_LOOKED_AT])
    if exchanged is not None:
        raise UsageError(
            "every position of --telemetry lies outside the map",
            expected=first.expected,
            found=f"{first.found}, the first of {len(placed)}",
            do=f"exchange lon and lat: {exchanged}, of one of its lines, lies on the map",
        ) from first
    where = f"{first.found}, the first of {len(placed)}; the map is {first.expected}"
    return [f"every position of --telemetry lies outside the map ({where})"]


def _check_nothing_said(windows: WindowSupply, telemetry: Telemetry | None) -> None:
    error = _off_the_map(windows, FramePose())
    if error is not None:
        without = "no --position, and --telemetry without lon and lat"
        raise UsageError(
            "nothing says where on the map the frames are",
            expected=error.expected,
            found=without if telemetry is not None else "neither --position nor --telemetry",
            do=error.do,
        ) from error


def _off_the_map(windows: WindowSupply, pose: FramePose) -> WindowError | None:
    try:
        windows.choose(pose)
    except WindowError as error:
        return error
    return None


def _exchanged(windows: WindowSupply, poses: Sequence[FramePose]) -> str | None:
    """The first "LON,LAT" that lies on the map if both changed places; None: that is not it."""
    for pose in poses:
        lon, lat = pose.lon_lat_deg or (0.0, 0.0)
        if (
            abs(lon) <= 90.0
            and _off_the_map(windows, replace(pose, lon_lat_deg=(lat, lon))) is None
        ):
            return f"{lat},{lon}"
    return None
