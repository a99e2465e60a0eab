"""Whether a run can find anything: a place on the map for at least one of its frames."""

from __future__ import annotations

from dataclasses import replace

from edge.errors import UsageError, WindowError
from edge.telemetry import Telemetry
from edge.types import FramePose
from edge.window_choice import WindowSupply


def check_start(
    windows: WindowSupply, position: FramePose | None, telemetry: Telemetry | None
) -> None:
    """Refuse a run that could only say "no window" of every frame.

    Args:
        windows: of the map.
        position: of all frames that telemetry does not place.
        telemetry: of the frames.

    Raises:
        UsageError: the position or all of telemetry is off the map, or neither says a position and
            the map is large.
    """
    placed = telemetry.placed if telemetry is not None else ()
    if position is not None:
        _check_position(windows, position)
    if placed:
        _check_telemetry(windows, placed)
    elif position is None:
        _check_nothing_said(windows, telemetry)


def _check_position(windows: WindowSupply, position: FramePose) -> None:
    error = _off_the_map(windows, position)
    if error is not None:
        swapped = _swapped(windows, position, "--position {lon},{lat} lies on the map")
        raise UsageError(
            "--position lies outside the map",
            expected=error.expected,
            found=error.found,
            do=swapped or "correct it, or take a map of that area",
        ) from error


def _check_telemetry(windows: WindowSupply, placed: tuple[FramePose, ...]) -> None:
    """One line on the map is enough: a flight may begin or end beside it."""
    first: WindowError | None = None
    for pose in placed:
        error = _off_the_map(windows, pose)
        if error is None:
            return
        first = first or error
    if first is not None:
        hint = "with lon and lat exchanged the first line, at {lon},{lat}, lies on the map"
        raise UsageError(
            "every position of --telemetry lies outside the map",
            expected=first.expected,
            found=f"{first.found}, the first of {len(placed)}",
            do=_swapped(windows, placed[0], hint) or "take a map of that area",
        ) from first


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


def _swapped(windows: WindowSupply, pose: FramePose, hint: str) -> str | None:
    """What to do if latitude and longitude changed places; None: that is not it."""
    lon, lat = pose.lon_lat_deg or (0.0, 0.0)
    if _off_the_map(windows, replace(pose, lon_lat_deg=(lat, lon))) is not None:
        return None
    return f"longitude comes first: {hint.format(lon=lat, lat=lon)}"
