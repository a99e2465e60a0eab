"""What is watched beside a measurement, whatever cores its threads stay on meanwhile."""

from __future__ import annotations

import os
import time

import pytest

from benchmarks.record.observed import ProcessorTime
from benchmarks.scenarios.measuring import _Watch
from edge.cores import staying_on


class NoSampler:
    def begin(self, sample) -> None:
        """Nothing is read."""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are Linux's")
def test_the_processor_is_that_of_the_process_where_the_frame_path_stays_on_one_core():
    """All threads' time on one core's count would leave nothing to others, whatever they took."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core is all there is")
    watch = _Watch(NoSampler())
    with staying_on(tuple(cores[:1])):
        watch.begin()
        end_s = time.monotonic() + 1.2
        while time.monotonic() < end_s:
            pass
        watch.end()
    seen = watch._seen[1]
    assert isinstance(seen, ProcessorTime)
    assert seen.cores == len(cores)
