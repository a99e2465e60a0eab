"""How a live run shares few cores: the frame path comes first, alignment takes what is left.

A graph on two threads is as slow as the slower one, so a second thread of equal right on one of two
cores costs the frame path more than half of its speed: measured, 50 ms become 150. Alignment has a
thread that gives way, then, and no more threads than there are cores to spare; numpy's matrix
products, which alignment and the head make, stay on the thread that asks, and so does what OpenCV
does, whose own threads would have the priority of the frame path. In turn the threads of the
localizer's graph do not wait in circles between two frames, which would leave alignment no core at
all (see `edge.assembly.is_crowded`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from edge.machine import usable_cores

SWITCH_S = 0.0005  # of the interpreter, from thread to thread; its default is 0.005
NICE = 10  # a tenth of the frame path's right to a core, where the system refuses SCHED_IDLE
BLAS_VARIABLE = "OPENBLAS_NUM_THREADS"
_BLAS_VARIABLES = (BLAS_VARIABLE, "OMP_NUM_THREADS")  # who sets one of them, decides


@dataclass(frozen=True, slots=True)
class CoreShares:
    """Which cores are whose in a live run whose graphs leave some free; empty: anybody's.

    Of Python's threads one at a time holds the interpreter. If that is alignment's, and a thread of
    a graph takes the core it runs on, the frame path waits for both. So with a single core left,
    alignment has that of the frame path, and runs as soon as the frame path waits for anything.
    Flown in turns at 192 px in INT8 on two cores, without a record and with a head that was a graph
    still: a frame of 17 ms took 10 so, 12 with alignment on any core, and 15 where the graphs'
    threads chose theirs too.

    Where another program fills that core, alignment gets next to nothing of it, and what it holds
    the frame path waits for: after some seconds nobody stays any more (`roam`).
    """

    graphs: tuple[int, ...] = ()
    others: tuple[int, ...] = ()  # of the frame path, and of what gives way to it


ANYBODYS = CoreShares()


def share_cores(threads: int) -> CoreShares | None:
    """Whose the cores are beside graphs of so many threads; None: there is none but theirs."""
    spare = usable_cores() - threads
    if spare < 1:
        return None
    if spare > 1 or not hasattr(os, "sched_setaffinity"):
        return ANYBODYS  # the system finds a core for each
    cores = sorted(os.sched_getaffinity(0))
    return CoreShares(tuple(cores[spare:]), tuple(cores[:spare]))


def roam(shares: CoreShares, *threads: int) -> None:
    """Free the calling thread and others, by their native numbers, of the cores they stay on."""
    for thread in (0, *threads):
        with contextlib.suppress(OSError):  # one that has ended
            os.sched_setaffinity(thread, (*shares.graphs, *shares.others))


@contextlib.contextmanager
def staying_on(cores: tuple[int, ...]) -> Iterator[None]:
    """Keep the calling thread, and threads that it starts meanwhile, on these cores; (): any."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):  # a system that refuses leaves them anybody's
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, before)


def give_way(cores: tuple[int, ...] = ()) -> None:
    """Have this thread, and those that it starts, leave the cores to all others; on Linux alone.

    A thread of the policy SCHED_IDLE is put off its core the moment that another wakes there; one
    of low priority alone finishes its turn of some milliseconds first, for which the other thread
    of a graph waits. Measured at 320 px and 30 Hz, a minute each in turns: 9 % of the frames missed
    against 59 % with low priority (in the two minutes of the record, 33 %: a shared machine). It
    takes what is left: a frame path that asks for more than there is still waits for its own
    answers, and for alignment (`edge.frame_placer`). Where other processes fill the cores that is
    little; with two such, 155 of 289 frames were aligned in time, and 173 of 297 with low priority,
    but 47 of 300 were missed, not 91.

    Args:
        cores: that it stays on; (): any.
    """
    if sys.platform == "linux":  # elsewhere the number would be taken for one of a process
        thread = threading.get_native_id()
        if cores:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, cores)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, NICE)
        with contextlib.suppress(OSError):
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def threads_beside(threads: int) -> int:
    """Threads for work beside a frame path that takes `threads`: the cores to spare, at least 1."""
    return max(1, min(threads, usable_cores() - threads))


def import_numpy_on_one_thread() -> None:
    """Load numpy with its matrix products on one thread, unless the environment says otherwise.

    Its BLAS reads the variable when it is loaded and never again, so the variable does not stay:
    other programs that this one starts may use all cores. Without effect where numpy is loaded.
    """
    if any(os.environ.get(name) for name in _BLAS_VARIABLES):
        return
    os.environ[BLAS_VARIABLE] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        del os.environ[BLAS_VARIABLE]


def put_frame_path_first() -> None:
    """Keep OpenCV on the thread that calls it, and have threads of Python hand over soon.

    For the whole process. Of all threads only one runs Python at a time, and keeps it for 5 ms
    unless told otherwise: with alignment beside it, a frame waited so after each of its steps.
    """
    import cv2

    cv2.setNumThreads(1)
    sys.setswitchinterval(SWITCH_S)
