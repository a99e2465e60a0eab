"""Every value of one quantity, small enough to keep: in steps of 100 ns, compressed."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.lines import Series
from edge.errors import BenchmarkError

STEP_NS = 100
LIMIT_NS = STEP_NS * (2**32 - 1)  # 429 s
LEVEL = 6  # of zlib: more takes longer and saves nothing on noise
TYPE = np.dtype("<u4")


def pack(ns: Sequence[int] | NDArray[np.int64]) -> Series:
    """Keep durations in nanoseconds, rounded to STEP_NS.

    Raises:
        BenchmarkError: one is negative, or longer than LIMIT_NS.
    """
    values = np.asarray(ns, np.int64)
    if len(values) and not 0 <= values.min() <= values.max() <= LIMIT_NS:
        raise BenchmarkError(
            "a duration cannot be kept in a record",
            expected=f"0 to {LIMIT_NS / 1e9:.0f} s",
            found=f"{values.min() / 1e9} to {values.max() / 1e9} s",
            do="report this, with the command that you ran",
        )
    steps = ((values + STEP_NS // 2) // STEP_NS).astype(TYPE)
    packed = base64.b64encode(zlib.compress(steps.tobytes(), LEVEL)).decode()
    return Series(len(values), packed)


def unpack(series: Series) -> NDArray[np.int64]:
    """The durations of a series, nanoseconds, int64 [count].

    Raises:
        BenchmarkError: it is damaged, or holds another number of values than it says.
    """
    try:
        raw = zlib.decompress(base64.b64decode(series.packed, validate=True))
    except (binascii.Error, zlib.error) as error:
        raise _damaged(series, f"{type(error).__name__}: {error}") from error
    if len(raw) != TYPE.itemsize * series.count:
        raise _damaged(series, f"{len(raw)} bytes")
    return STEP_NS * np.frombuffer(raw, TYPE).astype(np.int64)


def _damaged(series: Series, found: str) -> BenchmarkError:
    return BenchmarkError(
        "a series of a record is damaged",
        expected=f"{series.count} values of {TYPE.itemsize} bytes",
        found=found,
        do="measure again into a new folder",
    )
