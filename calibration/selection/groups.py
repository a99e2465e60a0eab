"""The groups that get shares: site, season, height and brightness, from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

from calibration.selection.candidate import Candidate
from calibration.selection.coverage import Key

TONES = ("dark", "dim", "bright", "glaring")  # quarters of the range of the mean luma
HEIGHTS = ("low", "middle", "high")
LEAST_RANGE_M = 20.0  # a site whose heights differ by less has one height


def group_keys(candidates: Sequence[Candidate], sites: Sequence[str]) -> list[Key]:
    """The groups of each candidate: (site, season, height, brightness); unknown is None.

    Args:
        candidates: of frames, or of windows.
        sites: by the candidates' `source`.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for each in candidates:
        if each.altitude_m is not None:
            low, high = ranges.get(sites[each.source], (each.altitude_m, each.altitude_m))
            ranges[sites[each.source]] = min(low, each.altitude_m), max(high, each.altitude_m)
    return [
        (
            sites[each.source],
            each.season,
            _height(each.altitude_m, ranges.get(sites[each.source])),
            tone(each.brightness),
        )
        for each in candidates
    ]


def tone(brightness: float) -> str:
    """The name of a mean luma of 0 to 255."""
    return TONES[min(int(brightness // 64), len(TONES) - 1)]


def _height(altitude_m: float | None, lowest_highest_m: tuple[float, float] | None) -> str | None:
    if altitude_m is None or lowest_highest_m is None:
        return None
    low, high = lowest_highest_m
    if high - low < LEAST_RANGE_M:
        return HEIGHTS[1]
    return HEIGHTS[min(int(3 * (altitude_m - low) / (high - low)), 2)]
