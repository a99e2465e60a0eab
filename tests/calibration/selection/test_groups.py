"""Groups of candidates."""

from __future__ import annotations

import pytest

from calibration.selection.candidate import Candidate
from calibration.selection.groups import group_keys, tone


def candidate(source: int, brightness: float, altitude_m=None, season=None) -> Candidate:
    return Candidate(
        source=source,
        item=0,
        place=(0, 0),
        name="",
        words="",
        brightness=brightness,
        altitude_m=altitude_m,
        season=season,
    )


def test_site_season_height_and_tone():
    seen = [
        candidate(0, 10, 100, "Jun-Aug"),
        candidate(0, 100, 160),
        candidate(0, 100, 131),
        candidate(0, 100),
        candidate(1, 255, 40),
        candidate(1, 128, 59),
    ]
    assert group_keys(seen, ["town", "port"]) == [
        ("town", "Jun-Aug", "low", "dark"),
        ("town", None, "high", "dim"),
        ("town", None, "middle", "dim"),
        ("town", None, None, "dim"),
        ("port", None, "middle", "glaring"),  # 19 m apart are one height
        ("port", None, "middle", "bright"),
    ]


def test_sources_of_one_name_are_one_site():
    keys = group_keys([candidate(0, 70, 10), candidate(1, 70, 100)], ["town", "town"])
    assert keys == [("town", None, "low", "dim"), ("town", None, "high", "dim")]


@pytest.mark.parametrize(
    ("luma", "word"), [(0, "dark"), (63.9, "dark"), (64, "dim"), (255, "glaring")]
)
def test_tones(luma, word):
    assert tone(luma) == word
