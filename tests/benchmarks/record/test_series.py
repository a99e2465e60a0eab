"""Series: what comes back, what is refused, what is damaged."""

from __future__ import annotations

import base64
import struct
import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.record.lines import Series
from benchmarks.record.series import LIMIT_NS, pack, unpack
from edge.errors import BenchmarkError


@given(st.lists(st.integers(0, LIMIT_NS), max_size=50))
def test_values_come_back_within_half_a_step(values):
    found = unpack(pack(values))
    assert found.dtype == np.int64 and len(found) == len(values)
    assert np.abs(found - np.array(values, np.int64)).max(initial=0) <= 50


def test_the_format_is_what_lines_says():
    raw = base64.b64encode(zlib.compress(struct.pack("<3I", 10, 0, 4_294_967_295))).decode()
    assert unpack(Series(3, raw)).tolist() == [1000, 0, 429_496_729_500]
    assert struct.unpack("<2I", zlib.decompress(base64.b64decode(pack([149, 151]).packed))) == (
        1,
        2,
    )


@pytest.mark.parametrize("value", [-1, LIMIT_NS + 1])
def test_what_cannot_be_kept_is_refused(value):
    with pytest.raises(BenchmarkError, match="a duration cannot be kept"):
        pack([5, value])


def test_an_empty_series_is_one():
    assert unpack(pack([])).tolist() == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"packed": "not base64!"}, "Error"),
        ({"packed": base64.b64encode(b"not zlib").decode()}, "error"),
        ({"count": 4}, "12 bytes"),
    ],
)
def test_damage_is_told(change, found):
    with pytest.raises(BenchmarkError, match="a series of a record is damaged") as caught:
        unpack(msgspec.structs.replace(pack([1, 2, 3]), **change))
    assert found in caught.value.found
