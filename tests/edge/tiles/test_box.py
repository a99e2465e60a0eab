"""A box in degrees: what can be meant by one, and what is a slip."""

from __future__ import annotations

import pytest

from edge.errors import UsageError
from edge.tiles.box import Box, check_box, parse_box


@pytest.mark.parametrize(
    "text",
    [
        "11.57,48.12,11.60,48.15",
        "-1.5,50,-1.4,51",
        "-180,-90,180,90",
        "179,-18,-179,-17",
        "100,-18,-80.5,-17",  # 179.5 degrees over the 180th meridian
    ],
)
def test_boxes_that_can_be_meant(text):
    box = parse_box(text)
    assert list(box) == [float(part) for part in text.split(",")]
    assert parse_box(str(box)) == box


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", "1;2;3;4", ""])
def test_text_that_is_no_box(text):
    with pytest.raises(UsageError, match="--bbox cannot be read") as caught:
        parse_box(text)
    assert caught.value.found == text and "--bbox=-1.5" in caught.value.do


@pytest.mark.parametrize("text", ["1,2,1,3", "1,3,2,3", "1,4,2,3", "nan,1,2,3", "1,1,inf,3"])
def test_a_box_without_area(text):
    with pytest.raises(UsageError, match="a box cannot be used"):
        parse_box(text)


@pytest.mark.parametrize(
    "text", ["-181,1,2,3", "1,1,180.5,3", "170,-18,190,-17", "1,-91,2,3", "1,1,2,90.5"]
)
def test_a_box_beyond_the_earth(text):
    with pytest.raises(UsageError, match="not on the Earth") as caught:
        parse_box(text)
    for value in text.split(","):
        assert f" {float(value)}" in caught.value.found
    assert "-180 to 180" in caught.value.expected and "-90 to 90" in caught.value.expected


@pytest.mark.parametrize(
    ("west", "east"), [(7.4392, 7.4388), (90.0, -90.0), (0.5, 0.0), (180.0, -180.0), (10.0, -170.0)]
)
def test_swapped_sides_do_not_go_round_the_globe(west, east):
    with pytest.raises(UsageError, match="lies east of its east") as caught:
        check_box(Box(west, 46.9992, east, 46.9996))
    assert caught.value.found == f"west {west}, east {east}"
    assert "180th meridian" in caught.value.expected
    advised = caught.value.do.rpartition("--bbox=")[2]
    assert parse_box(advised) == Box(east, 46.9992, west, 46.9996)
