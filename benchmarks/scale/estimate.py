"""From the cost of a window to that of an area: extrapolated, with the formulas that it is done by.

    hours = windows * kept share * ms per window / 3,600,000 / devices
    bytes = windows * kept share * (bytes of a record + bytes of an index line)
    ms    = windows of a search * (ms to load one + ms to locate 8 clicks in it)

Times are means: what adds up over an area is the mean, not the median. Sparse means: only the
windows where an object can be are encoded and stored, as an operator marks them (no forest, water
or field); the others are not even read. Their share is given, not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.scale.areas import Area, searched_windows
from benchmarks.scale.sample import WindowCost

MS_PER_HOUR = 3_600_000.0
HOURS_FORMULA = "hours = windows x ms per window / 3,600,000 / devices"
BYTES_FORMULA = "bytes = windows x (record + index line)"
SEARCH_FORMULA = "ms = windows x (load + locate)"


@dataclass(frozen=True, slots=True)
class Device:
    """What encodes."""

    name: str
    ms_per_window: float
    measured: bool  # here; else as given


@dataclass(frozen=True, slots=True)
class Hours:
    """How long an area takes on some devices."""

    device: str
    count: int
    dense: float
    sparse: float
    measured: bool  # of the time of a window; the hours are extrapolated in any case


@dataclass(frozen=True, slots=True)
class AreaCost:
    """What an area costs, all of it extrapolated."""

    area: str
    km2: float
    windows: float
    kept_share: float
    hours: tuple[Hours, ...]
    float16_bytes: float
    int8_bytes: float
    sparse_float16_bytes: float
    sparse_int8_bytes: float


@dataclass(frozen=True, slots=True)
class SearchCost:
    """What a query costs whose position has one sigma."""

    sigma_m: float
    windows: float
    ms: float


def area_cost(
    area: Area,
    gsd_m: float,
    cost: WindowCost,
    devices: Sequence[Device],
    counts: Sequence[int],
    kept_share: float,
) -> AreaCost:
    """Extrapolate to an area."""
    windows = area.windows(gsd_m)
    float16 = windows * (cost.record_bytes + cost.index_bytes)
    int8 = windows * (cost.int8_record_bytes + cost.index_bytes)
    hours = tuple(
        Hours(
            device.name,
            count,
            windows * device.ms_per_window / MS_PER_HOUR / count,
            kept_share * windows * device.ms_per_window / MS_PER_HOUR / count,
            device.measured,
        )
        for device in devices
        for count in counts
    )
    return AreaCost(
        area=area.name,
        km2=area.km2,
        windows=windows,
        kept_share=kept_share,
        hours=hours,
        float16_bytes=float16,
        int8_bytes=int8,
        sparse_float16_bytes=kept_share * float16,
        sparse_int8_bytes=kept_share * int8,
    )


def search_cost(sigma_m: float, gsd_m: float, cost: WindowCost) -> SearchCost:
    """Extrapolate to a position of one sigma."""
    windows = searched_windows(sigma_m, gsd_m)
    return SearchCost(sigma_m, windows, windows * (cost.load.mean_ms + cost.locate.mean_ms))
