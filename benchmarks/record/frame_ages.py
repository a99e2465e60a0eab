"""The ages of all frames that a camera gave in an open loop, those included that nobody answered.

A frame that a newer one took the place of is older than any that was answered: a percentile that
falls among such frames does not exist. Over the survivors alone, a program that answers one frame
in ten would look as quick as one that answers all.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.record.lines import MeasurementLine
from benchmarks.record.observed import Numbers, Punctuality
from benchmarks.record.percentiles import percentile_ms
from benchmarks.record.series import unpack
from edge.errors import BenchmarkError

NEVER_NS: Final = int(np.iinfo(np.int64).max)  # the age of a frame that was not answered
NEVER: Final = "never answered"  # what is shown in place of a percentile that is `math.inf`
TYPE = np.dtype("<u4")


def all_latencies_ns(line: MeasurementLine) -> NDArray[np.int64]:
    """Of every query; of an open loop from the arrival of every scheduled frame, or NEVER_NS.

    Returns:
        [count of queries], of an open loop [scheduled]: by number of the frame where the record
        keeps it, else those that were answered first.
    """
    if line.punctuality is None:
        return unpack(line.latency)
    return all_ages_ns(line.punctuality)


def all_ages_ns(late: Punctuality) -> NDArray[np.int64]:
    """The age of every scheduled frame [scheduled], NEVER_NS where it was not answered."""
    known = unpack(late.age)
    ages = np.full(max(late.scheduled, len(known)), NEVER_NS, np.int64)
    at = np.arange(len(known)) if late.frames is None else unpack_numbers(late.frames)
    ages[at] = known
    return ages


def percentile_or_never_ms(ns: NDArray[np.int64], percent: float) -> float | None:
    """As `percentile_ms`; `math.inf`: it falls among frames that were never answered."""
    found_ms = percentile_ms(ns, percent)
    return math.inf if found_ms is not None and found_ms >= NEVER_NS / 1e6 else found_ms


def pack_numbers(rising: Sequence[int] | NDArray[np.int64]) -> Numbers:
    """Keep whole numbers that rise, the first at least 0.

    Raises:
        BenchmarkError: they do not rise.
    """
    values = np.asarray(rising, np.int64)
    steps = np.diff(values, prepend=-1)
    if len(steps) and not 1 <= steps.min() <= steps.max() < 2**32:
        raise BenchmarkError(
            "numbers of frames cannot be kept in a record",
            expected="numbers that rise from 0 or more",
            found=f"steps of {steps.min()} to {steps.max()}",
            do="report this, with the command that you ran",
        )
    packed = base64.b64encode(zlib.compress(steps.astype(TYPE).tobytes())).decode()
    return Numbers(len(values), packed)


def unpack_numbers(numbers: Numbers) -> NDArray[np.int64]:
    """The numbers, int64 [count].

    Raises:
        BenchmarkError: they are damaged.
    """
    try:
        raw = zlib.decompress(base64.b64decode(numbers.packed, validate=True))
    except (binascii.Error, zlib.error) as error:
        raise _damaged(numbers, f"{type(error).__name__}: {error}") from error
    if len(raw) != TYPE.itemsize * numbers.count:
        raise _damaged(numbers, f"{len(raw)} bytes")
    return np.cumsum(np.frombuffer(raw, TYPE).astype(np.int64)) - 1


def _damaged(numbers: Numbers, found: str) -> BenchmarkError:
    return BenchmarkError(
        "the numbers of frames in a record are damaged",
        expected=f"{numbers.count} numbers of {TYPE.itemsize} bytes",
        found=found,
        do="measure again into a new folder",
    )
