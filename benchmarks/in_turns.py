"""Two ways of the same work, timed in turns: for ratios that a machine's moods must not decide.

A machine that other programs share is half as fast for seconds at a time. Calls that alternate meet
the same moods, and the least time of several is what the work takes where nothing else interferes:
noise only ever adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def least_ms(
    rounds: int,
    *calls: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Least milliseconds of each call, over rounds in which every call has its turn.

    Args:
        rounds: counted ones; one more before them warms up.
        calls: what is timed.
        clock: in seconds; `time.process_time` counts the processor's time of all threads, for
            work on one thread that may have to wait for a core.
    """
    times_s = np.zeros((rounds + 1, len(calls)))
    for row in times_s:
        for index, call in enumerate(calls):
            start_s = clock()
            call()
            row[index] = clock() - start_s
    return [1e3 * float(least) for least in times_s[1:].min(axis=0)]
