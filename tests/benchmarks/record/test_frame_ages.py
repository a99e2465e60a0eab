"""Ages of all frames, answered or not, and the numbers of those that were."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from made_record import measurement_line

from benchmarks.record.frame_ages import (
    NEVER_NS,
    all_ages_ns,
    all_latencies_ns,
    pack_numbers,
    percentile_or_never_ms,
    unpack_numbers,
)
from benchmarks.record.lines import MeasurementLine, Memory, Punctuality
from benchmarks.record.observed import Numbers
from benchmarks.record.series import pack
from edge.errors import BenchmarkError

MS = 1_000_000


def late(ages_ms, scheduled, numbers=None):
    ages = pack([round(MS * each) for each in ages_ms])
    frames = None if numbers is None else pack_numbers(numbers)
    return Punctuality(30.0, scheduled, 0, ages, ages, (), frames=frames)


@pytest.mark.parametrize("numbers", [[], [0], [7], [0, 1, 2], [3, 70_000, 2**31]])
def test_numbers_come_back_as_they_were(numbers):
    packed = pack_numbers(numbers)
    assert packed.count == len(numbers) and unpack_numbers(packed).tolist() == numbers


def test_ten_minutes_of_frames_take_little_room():
    """Every third frame of 18,000: it is the step that is kept."""
    assert len(pack_numbers(range(0, 18_000, 3)).packed) < 200


@pytest.mark.parametrize("numbers", [[-1], [0, 0], [5, 4], [2**32]])
def test_numbers_that_do_not_rise_are_refused(numbers):
    with pytest.raises(BenchmarkError, match="cannot be kept"):
        pack_numbers(numbers)


@pytest.mark.parametrize("packed", ["", "!", "AAAA", pack_numbers([1, 2]).packed])
def test_damaged_numbers_are_told(packed):
    with pytest.raises(BenchmarkError, match="damaged"):
        unpack_numbers(Numbers(3, packed))


def test_every_age_stands_at_its_frame_and_the_others_are_never():
    found = all_ages_ns(late([5, 6, 7], 6, [0, 3, 4]))
    assert found.tolist() == [5 * MS, NEVER_NS, NEVER_NS, 6 * MS, 7 * MS, NEVER_NS]


def test_an_older_record_without_numbers_has_as_many_unanswered():
    found = all_ages_ns(late([5, 6], 4))
    assert sorted(found.tolist()) == [5 * MS, 6 * MS, NEVER_NS, NEVER_NS]


@pytest.mark.parametrize("answered", [11, 10, 9])
def test_a_percentile_among_unanswered_frames_does_not_exist(answered):
    """Of twenty frames the tenth youngest is the median: with nine answers there is none."""
    ages = all_ages_ns(late(range(1, answered + 1), 20))
    expected = 10.0 if answered >= 10 else math.inf
    assert percentile_or_never_ms(ages, 50.0) == expected
    assert percentile_or_never_ms(ages, 90.0) is None, "twenty frames support no p90"


def test_only_an_open_loop_has_frames_that_were_due():
    line = measurement_line([MS, 2 * MS])
    assert all_latencies_ns(line).tolist() == [MS, 2 * MS]
    line = msgspec.structs.replace(line, punctuality=late([1, 2], 3, [0, 2]))
    assert all_latencies_ns(line).tolist() == [MS, NEVER_NS, 2 * MS]


def test_a_record_from_before_these_fields_is_read():
    """As an earlier version wrote it: without what was not measured then."""
    line = measurement_line(punctuality=late([5, 6], 4), memory=Memory(100, 104, 110))
    entry = msgspec.json.decode(msgspec.json.encode(line))
    for name in ("processor", "accuracy"):
        del entry[name]
    for name in ("samples_bytes", "first_bytes", "last_bytes"):
        del entry["memory"][name]
    for name in ("frames", "aligned"):
        del entry["punctuality"][name]
    found = msgspec.json.decode(msgspec.json.encode(entry), type=MeasurementLine)
    assert found.processor is None and found.accuracy is None
    assert found.punctuality.frames is None and found.punctuality.unanswered == 2
    assert found.memory.growth == pytest.approx(0.04), "between its ends"
    assert np.array_equal(all_latencies_ns(found), all_ages_ns(line.punctuality))
