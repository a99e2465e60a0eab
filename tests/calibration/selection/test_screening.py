"""What is left out, why, and what is said when too little is left."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from made_flights import texture

from calibration.selection.candidate import Candidate, seen
from calibration.selection.look import look_at
from calibration.selection.reasons import PoorImage
from calibration.selection.request import why
from calibration.selection.screening import check_enough, repeated, screen
from edge.errors import CalibrationError


def candidates(images, source: int = 0, first: int = 0) -> list[Candidate]:
    return [
        Candidate(
            source=source,
            item=first + n,
            place=(first + n, 0),
            name=f"{first + n}.png",
            words=f"frame {first + n}",
            **seen(look_at(image), image),
        )
        for n, image in enumerate(images)
    ]


def broken(number: int) -> Candidate:
    return Candidate(
        source=0,
        item=number,
        place=(number, 0),
        name=f"{number}.jpg",
        words=f"frame {number}",
        poor="unreadable",
        detail="7 bytes that no decoder understands",
    )


def test_each_reason_is_found_and_counted():
    sharp = [texture(n) for n in range(6)]
    images = [
        *sharp,
        np.zeros((72, 96, 3), np.uint8),
        np.full((72, 96, 3), 200, np.uint8),
        cv2.GaussianBlur(texture(50), (0, 0), 2),
        np.clip(sharp[2].astype(int) + 1, 0, 255).astype(np.uint8),
    ]
    found = screen([*candidates(images), broken(10)], blur=True)
    assert [each.item for each in found.usable] == list(range(6))
    assert found.left_out == {
        PoorImage.UNREADABLE: 1,
        PoorImage.BLACK: 1,
        PoorImage.CONSTANT: 1,
        PoorImage.BLURRED: 1,
        PoorImage.DUPLICATE: 1,
    }
    assert found.notes == ("10.jpg frame 10: 7 bytes that no decoder understands",)


def test_blurred_is_judged_within_the_own_source():
    """A soft lens everywhere is no blur; among sharp frames the same picture is."""
    soft = [cv2.GaussianBlur(texture(n), (0, 0), 1.5) for n in range(7)]
    assert screen(candidates(soft), blur=True).left_out == {}
    sharp = [texture(100 + n) for n in range(8)]
    both = [*candidates(sharp, source=0), *candidates(soft, source=1)]
    assert screen(both, blur=True).left_out == {}
    mixed = candidates([*sharp, soft[0]])
    assert screen(mixed, blur=True).left_out == {PoorImage.BLURRED: 1}
    assert screen(mixed, blur=False).left_out == {}


def test_a_meadow_among_houses_is_not_blurred():
    images = [*(texture(n, spread=60) for n in range(8)), texture(99, spread=8)]
    meadow = candidates(images)[-1]
    assert meadow.sharpness < 0.35 * np.median([x.sharpness for x in candidates(images)])
    assert screen(candidates(images), blur=True).left_out == {}


def test_the_first_of_near_duplicates_stays_in_a_chain():
    image = texture(7, (512, 384))
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])
    again = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    brighter = np.clip(image.astype(int) + 12, 0, 255).astype(np.uint8)
    assert repeated(candidates([image, again, brighter, image, texture(8, (512, 384))])) == [1, 3]
    assert repeated([]) == []
    steps = [np.clip(image.astype(int) + 2 * n, 0, 255).astype(np.uint8) for n in range(5)]
    assert repeated(candidates(steps)) == [1, 3]  # 2 is far enough from 0, though not from 1


def refusal(found, looked_at: int, kind: str = "frames") -> str:
    with pytest.raises(CalibrationError) as caught:
        check_enough(found, kind, looked_at, 32, why(32))
    assert caught.value.exit_code == 15
    return str(caught.value)


def test_too_few_says_how_many_are_needed_and_why():
    images = [texture(n) for n in range(5)] + [texture(0)] * 3
    text = refusal(screen(candidates(images), blur=True), 8)
    assert "the flights have too few frames to calibrate with" in text
    assert (
        "at least 32 frames: with 32 seen, the next one exceeds all of them with a chance" in text
    )
    assert "3 %" in text
    assert "5 usable of 8 looked at; 3 show the same as another" in text
    assert "--frames" in text


def test_all_black_all_constant_none_decodable():
    black = screen(candidates([np.zeros((9, 9, 3), np.uint8)] * 4), blur=True)
    assert "all 4 frames of the flights are black" in refusal(black, 4)
    grey = screen(candidates([np.full((9, 9, 3), 90, np.uint8)] * 4), blur=False)
    text = refusal(grey, 4, "windows")
    assert "all 4 windows of the map are one colour all over" in text
    assert "--tiles" in text
    text = refusal(screen([broken(n) for n in range(9)], blur=True), 9)
    assert "all 9 frames of the flights cannot be decoded" in text
    assert "2.jpg frame 2: 7 bytes" in text
    assert "6 more cannot be decoded" in text
    assert "3.jpg" not in text


def test_enough_is_enough():
    check_enough(screen(candidates([texture(n) for n in range(4)]), blur=True), "frames", 4, 4, "")
