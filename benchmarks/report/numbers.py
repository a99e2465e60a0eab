"""Numbers as the report writes them."""

from __future__ import annotations

import math

from benchmarks.record.frame_ages import NEVER
from benchmarks.record.lines import Unknown
from edge.page_parts import Cell

NOT_KNOWN = "not known"


def ms(value: float | None, otherwise: str = "-") -> str:
    """Milliseconds, or a rate, with about three digits: "0.21", "21.4", "1,930".

    Infinity is a percentile that falls among frames that were never answered.
    """
    if value is None:
        return otherwise
    if math.isinf(value):
        return NEVER
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def frame_size(frame_px: tuple[int, int]) -> str:
    """Width and height as one side where it is a square: "512 px", "512 x 288 px"."""
    width_px, height_px = frame_px
    return f"{width_px} px" if width_px == height_px else f"{width_px} x {height_px} px"


def took(value: float | None, otherwise: str) -> str:
    """Milliseconds with their unit, or why there are none."""
    told = ms(value, otherwise)
    return told if value is None or math.isinf(value) else f"{told} ms"


def share(value: float | Unknown, digits: int = 1) -> str | Cell:
    """A share in percent."""
    return unknown(value) if isinstance(value, Unknown) else f"{value:.{digits}%}"


def missed_share(missed: int, scheduled: int) -> str:
    """Missed frames of an open loop: none are "0 %", few are never rounded to none."""
    if not missed or not scheduled:
        return "0 %" if scheduled else "-"
    value = 100 * missed / scheduled
    return f"{value:.3g} %" if value >= 1 else f"{value:.2g} %"


def mega(value: float | Unknown) -> str | Cell:
    """Bytes in millions."""
    return unknown(value) if isinstance(value, Unknown) else f"{value / 1e6:,.1f}"


def mib(value: float) -> str:
    """Bytes in MiB."""
    return f"{value / 2**20:,.0f} MiB"


def unknown(value: Unknown) -> Cell:
    """What could not be had: the reason shows on hovering, and all reasons stand in a list."""
    return Cell(NOT_KNOWN, "none", value.reason)
