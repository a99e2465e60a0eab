"""Who may use the cores of a live run, and with what right."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import cv2
import pytest
from click.testing import CliRunner

import edge.cores
from edge.alignment_worker import AlignmentWorker
from edge.commands.run import run
from edge.cores import NICE, SWITCH_S, CoreShares, give_way, share_cores, staying_on, threads_beside
from edge.types import ReferenceFeature

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities on Linux alone")


def priority() -> tuple[int, int]:
    """Policy and nice value of the calling thread."""
    thread = threading.get_native_id()
    return os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)


def low() -> tuple[int, int]:
    return os.SCHED_IDLE, max(NICE, priority()[1])


@LINUX
def test_alignment_works_with_a_low_priority_and_the_frame_path_keeps_its_own(parts):
    before, seen = priority(), []

    class Aligner:
        def attempt(self, image, feature, hypothesis):
            seen.append(priority())

        track = attempt

    with AlignmentWorker(Aligner()) as worker:
        frame = parts.frame()
        worker.offer(frame, (ReferenceFeature({}, None, 64, 64, "w", "m", "x", 1.0),))
        assert worker.wait(5.0)
    assert seen and set(seen) == {low()}
    assert priority() == before


@LINUX
def test_threads_that_are_started_later_inherit_it():
    seen = []

    def work() -> None:
        give_way()
        child = threading.Thread(target=lambda: seen.append(priority()))
        child.start()
        child.join()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == [low()]


def test_elsewhere_no_priority_of_a_process_is_touched(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    for name in ("setpriority", "sched_setscheduler"):
        told = lambda *given, name=name: pytest.fail(f"{name}{given}")  # noqa: E731
        monkeypatch.setattr(os, name, told, raising=False)
    give_way()


@LINUX
def test_a_system_that_refuses_is_no_failure(monkeypatch):
    def refuse(*given):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    give_way()


@LINUX
def test_where_the_policy_is_refused_the_priority_is_low(monkeypatch):
    def refuse(*given):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    seen = []
    worker = threading.Thread(target=lambda: (give_way(), seen.append(priority())))
    worker.start()
    worker.join()
    assert seen == [(priority()[0], max(NICE, priority()[1]))]


@pytest.mark.parametrize(
    ("cores", "threads", "beside"), [(2, 2, 1), (1, 2, 1), (6, 2, 2), (6, 4, 2), (3, 2, 1)]
)
def test_beside_the_frame_path_there_are_the_cores_to_spare(monkeypatch, cores, threads, beside):
    monkeypatch.setattr(edge.cores, "usable_cores", lambda: cores)
    assert threads_beside(threads) == beside


@LINUX
def test_where_its_core_is_full_alignment_and_who_waits_for_it_take_any(parts):
    cores = sorted(os.sched_getaffinity(0))
    shares, seen = CoreShares(tuple(cores[1:]), (cores[0],)), []

    class Aligner:
        def attempt(self, image, feature, hypothesis):
            seen.append(os.sched_getaffinity(0))

        track = attempt

    feature = ReferenceFeature({}, None, 64, 64, "w", "m", "x", 1.0)
    with AlignmentWorker(Aligner(), shares=shares) as worker, staying_on(shares.others):
        for _ in range(2):
            worker.offer(parts.frame(), (feature,))
            assert worker.wait(5.0)
            worker.roam()
        assert os.sched_getaffinity(0) == set(cores)
    assert seen[0] == {cores[0]} and seen[-1] == set(cores)
    assert os.sched_getaffinity(0) == set(cores)


@pytest.mark.parametrize(
    ("cores", "threads", "shares"),
    [
        ((0,), 1, None),
        ((0, 1), 2, None),
        ((0, 1), 3, None),
        ((0, 1), 1, CoreShares(graphs=(1,), others=(0,))),
        ((5, 3, 4), 2, CoreShares(graphs=(4, 5), others=(3,))),
        ((0, 1, 2, 3, 4, 5), 2, CoreShares()),  # there is one for alignment too
        ((0, 1, 2), 1, CoreShares()),
    ],
)
def test_with_a_single_core_to_spare_each_has_its_own(monkeypatch, cores, threads, shares):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(cores), raising=False)
    assert share_cores(threads) == shares


def test_where_threads_cannot_be_bound_nobody_is(monkeypatch):
    monkeypatch.setattr(edge.cores, "usable_cores", lambda: 2)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    assert share_cores(1) == CoreShares()


@LINUX
def test_a_frame_path_stays_on_its_cores_until_it_ends():
    before, one = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
    with staying_on((one,)):
        assert os.sched_getaffinity(0) == {one}
        with staying_on(()):
            assert os.sched_getaffinity(0) == {one}
    assert os.sched_getaffinity(0) == before
    with pytest.raises(KeyError), staying_on((one,)):
        raise KeyError
    assert os.sched_getaffinity(0) == before


@LINUX
def test_a_system_that_refuses_cores_leaves_them_anybodys(monkeypatch):
    def refuse(*given):
        raise OSError(22, "no such core")

    before = os.sched_getaffinity(0)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with staying_on((0,)):
        assert os.sched_getaffinity(0) == before
    worker = threading.Thread(target=give_way, args=((0,),))
    worker.start()
    worker.join()


@LINUX
def test_alignment_stays_on_the_cores_it_is_given(parts):
    seen, one = [], min(os.sched_getaffinity(0))

    class Aligner:
        def attempt(self, image, feature, hypothesis):
            seen.append(os.sched_getaffinity(0))

        track = attempt

    with AlignmentWorker(Aligner(), shares=CoreShares((), (one,))) as worker:
        frame = parts.frame()
        worker.offer(frame, (ReferenceFeature({}, None, 64, 64, "w", "m", "x", 1.0),))
        assert worker.wait(5.0)
    assert seen and all(each == {one} for each in seen)


SCRIPT = """
import os, sys, threading
from edge.cores import import_numpy_on_one_thread
assert "numpy" not in sys.modules
import_numpy_on_one_thread()
import numpy
a = numpy.ones((1500, 1500), numpy.float32)
a @ a
print(len(os.listdir("/proc/self/task")), os.environ.get("OPENBLAS_NUM_THREADS"))
"""


@LINUX
@pytest.mark.parametrize("given", [{}, {"OPENBLAS_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "2"}])
def test_matrix_products_stay_on_one_thread_unless_somebody_chose(given):
    variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    clean = {name: value for name, value in os.environ.items() if name not in variables}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**clean, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    threads, variable = done.stdout.split()
    assert variable == given.get("OPENBLAS_NUM_THREADS", "None"), "it does not stay"
    if not given:
        assert threads == "1"


@pytest.mark.parametrize(("live", "threads"), [(True, 1), (False, 2)])
def test_a_live_run_puts_its_frame_path_first(monkeypatch, tmp_path, tiny_bundle, live, threads):
    """OpenCV stays on the thread that calls it, and Python's threads hand over soon."""

    class StoppedError(Exception):
        pass

    def stop(*given, **named):
        raise StoppedError(cv2.getNumThreads(), sys.getswitchinterval())

    (tmp_path / "clicks.csv").write_text("frame,id,x,y\n0,a,1,2\n")
    source = SimpleNamespace(live=live, close=lambda: None)
    monkeypatch.setattr("edge.frames.open_source", lambda name, unreadable: source)
    monkeypatch.setattr("edge.assembly.assemble_on_map", stop)
    before, switch_s = cv2.getNumThreads(), sys.getswitchinterval()
    cv2.setNumThreads(2)
    options = ["--bundle", str(tiny_bundle.path), "--tiles", "map.mbtiles", "--source", "0"]
    options += ["--clicks", str(tmp_path / "clicks.csv"), "--out", str(tmp_path / "out")]
    try:
        done = CliRunner().invoke(run, options)
    finally:
        cv2.setNumThreads(before)
        sys.setswitchinterval(switch_s)
    assert isinstance(done.exception, StoppedError), done.output
    assert done.exception.args == (threads, pytest.approx(SWITCH_S if live else switch_s))


@LINUX
def test_a_run_takes_so_many_threads_and_its_frames_stay_on_their_cores(
    monkeypatch, tmp_path, tiny_bundle
):
    one, seen = min(os.sched_getaffinity(0)), []

    class Loop:
        fixes = 0

        def __init__(self, *given, **named):
            pass

        def run(self, frames, show_progress):
            seen.append(os.sched_getaffinity(0))
            return SimpleNamespace(stopped=False, nowhere=False)

    def assembled(bundle, tiles, **named):
        seen.append(named["executor"].threads)
        localizer = SimpleNamespace(notes=())
        return SimpleNamespace(
            localizer=localizer, windows=None, cores=(one,), close=lambda: seen.append("closed")
        )

    (tmp_path / "clicks.csv").write_text("frame,id,x,y\n0,a,1,2\n")
    source = SimpleNamespace(live=False, close=lambda: None)
    monkeypatch.setattr("edge.frames.open_source", lambda name, unreadable: source)
    monkeypatch.setattr("edge.assembly.assemble_on_map", assembled)
    monkeypatch.setattr("edge.run_loop.RunLoop", Loop)
    monkeypatch.setattr("edge.commands.run_start.check_start", lambda *given: [])
    monkeypatch.setattr("edge.run_summary.print_summary", lambda summary: None)
    before = os.sched_getaffinity(0)
    options = ["--bundle", str(tiny_bundle.path), "--tiles", "map.mbtiles", "--source", "0"]
    options += ["--clicks", str(tmp_path / "clicks.csv"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(run, [*options, "--threads", "1"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert seen == [1, {one}, "closed"]
    assert os.sched_getaffinity(0) == before
    refused = CliRunner().invoke(run, [*options, "--threads", "0"])
    assert refused.exit_code == 2 and "--threads" in refused.output
