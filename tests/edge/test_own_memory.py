"""Arrays in memory of their own: the same numbers, and gone from the process when let go of."""

from __future__ import annotations

import gc
import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.own_memory import in_own_memory


@pytest.mark.parametrize("shape", [(3, 5), (0, 4), (), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_it_is_the_same_array(shape, dtype):
    given = np.random.default_rng(0).uniform(-9, 9, shape).astype(dtype)
    made = in_own_memory(given)
    assert made.dtype == dtype and made.shape == shape and made.flags.c_contiguous
    np.testing.assert_array_equal(made, given)
    assert not np.shares_memory(made, given)


def test_an_array_that_lies_otherwise_is_copied_by_its_elements():
    given = np.arange(24.0).reshape(4, 6).T[::2]
    made = in_own_memory(given)
    np.testing.assert_array_equal(made, given)
    assert made.flags.c_contiguous


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_heap_holds_it():
    """Of arrays that lie one behind another, each goes by itself."""

    def resident_mb():
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE / 1e6

    small = np.ones(1_000_000, np.float32)  # the heap's, once larger ones were freed
    before = resident_mb()
    kept = [in_own_memory(small) for _ in range(40)]
    assert resident_mb() - before > 150
    del kept[:-1]  # all but the last one
    assert resident_mb() - before < 20
    np.testing.assert_array_equal(kept[0], small)
