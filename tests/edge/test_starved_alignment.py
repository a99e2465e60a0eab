"""A frame waits for its alignment only where the thread beside it gets too little of the cores."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

import edge.assembly
import edge.cores
from edge.alignment_worker import AlignedFrame
from edge.assembly import CROWDED_PATIENCE_S, ExecutorChoice, PriorChoice, assemble
from edge.bundle import LOCALIZER, Bundle, shipped_bundle_path
from edge.cores import CoreShares
from edge.executors.base import open_executor
from edge.executors.host_threads import HostThreads
from edge.feature_cache import FeatureCache
from edge.frame_placer import STARVED_S, WorkerPlacer
from edge.tiles.lattice import WindowPlace
from edge.types import Frame, FramePose
from edge.window_choice import WindowChoice

IMAGE = np.zeros((48, 64, 3), np.uint8)
PATIENCE_S = 0.07


class Worker:
    """Finishes a frame when it is told to, or when somebody waits for it."""

    def __init__(self):
        self.finished = None
        self.offered = None
        self.waits = []
        self.roams = 0

    def roam(self):
        self.roams += 1

    def offer(self, frame, features, pose=None):
        self.offered = frame

    def latest(self):
        return self.finished

    def finish(self):
        self.finished = AlignedFrame(self.offered.index, self.offered.time_s, None)

    def wait(self, timeout_s=None):
        self.waits.append(timeout_s)
        self.finish()
        return True

    def close(self):
        pass


@pytest.fixture
def place(parts):
    """`place(placer, time_s)`: shows it a frame of that time."""
    cache = FeatureCache(parts.FakeLocalizer(), parts.PlainGrid())
    choice = WindowChoice([WindowPlace(parts.LEFT_PX, parts.TOP_PX)], cache)

    def shown(placer, time_s):
        frame = Frame(IMAGE, round(10 * time_s), 1e9 + time_s, "live")
        return placer.place(frame, FramePose(), choice)

    return shown


def test_nobody_waits_while_frames_are_finished_even_without_a_place(place):
    worker = Worker()
    placer = WorkerPlacer(worker, patience_s=PATIENCE_S)
    for tenth in range(100):
        place(placer, tenth / 10)
        if tenth % 15 == 14:  # every one and a half seconds
            worker.finish()
    assert worker.waits == []
    assert worker.roams == 0


def test_after_long_with_nothing_finished_frames_wait_until_something_is(place):
    worker = Worker()
    placer = WorkerPlacer(worker, patience_s=PATIENCE_S)
    waited_at = []
    for tenth in range(60):
        place(placer, tenth / 10)
        if len(worker.waits) > len(waited_at):
            waited_at.append(tenth / 10)
    assert worker.waits == [PATIENCE_S] * len(waited_at)
    # The wait finishes the frame, so that the next one comes as long after as the first.
    assert waited_at == [pytest.approx(n * (STARVED_S + 0.1)) for n in (1, 2)]


def test_a_wait_that_brings_nothing_is_repeated_by_the_next_frame(place, monkeypatch):
    worker = Worker()
    monkeypatch.setattr(worker, "finish", lambda: None)
    placer = WorkerPlacer(worker, patience_s=PATIENCE_S)
    for tenth in range(30):
        place(placer, tenth / 10)
    assert len(worker.waits) == 30 - round(10 * STARVED_S) - 1


def test_without_patience_nobody_ever_waits(place):
    worker = Worker()
    placer = WorkerPlacer(worker)
    for second in range(20):
        place(placer, float(second))
    assert worker.waits == []
    assert worker.roams > 0, "its core is too full: it may leave it"


@pytest.mark.parametrize(
    ("cores", "executor", "patience_s"),
    [
        (2, ExecutorChoice(threads=2), CROWDED_PATIENCE_S),
        (1, ExecutorChoice(threads=2), CROWDED_PATIENCE_S),
        (3, ExecutorChoice(threads=2), 0.0),
        (2, ExecutorChoice("tensorrt", threads=2), 0.0),  # the cores are free
    ],
)
def test_patience_is_for_machines_whose_cores_are_all_taken(
    monkeypatch, cores, executor, patience_s
):
    monkeypatch.setattr(edge.cores, "usable_cores", lambda: cores)
    placer = edge.assembly._placer(object(), True, edge.assembly.is_crowded(executor), CoreShares())
    try:
        assert isinstance(placer, WorkerPlacer)
        assert placer._patience_s == patience_s
    finally:
        placer.close()


SPINNING = "session.intra_op.allow_spinning"


@pytest.mark.parametrize("executor", ["onnxruntime", "reference"])
@pytest.mark.parametrize("spinning", [True, False])
def test_idle_threads_of_a_graph_spin_unless_told_not_to(tiny_bundle, executor, spinning):
    host = HostThreads(spinning=spinning)
    opened = open_executor(executor, tiny_bundle, LOCALIZER, host=host)
    graph = opened if executor == "onnxruntime" else opened._graph
    options = graph._session.get_session_options()
    if spinning:
        with pytest.raises(RuntimeError):  # the default: nothing is set
            options.get_session_config_entry(SPINNING)
        # but not on, after a run, where another graph needs the core
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    else:
        assert options.get_session_config_entry(SPINNING) == "0"


@pytest.mark.parametrize("spinning", [True, False])
def test_a_graph_that_has_run_takes_no_more_of_the_processor(spinning):
    """Whatever its threads do while it runs: another graph may come next."""
    bundle = Bundle.open(shipped_bundle_path())
    host = HostThreads(spinning=spinning)
    graph = open_executor("onnxruntime", bundle, LOCALIZER, threads=2, host=host)
    shape = {None: 1, "clicks": 1}
    inputs = {
        spec.name: np.zeros([shape.get(side, side) for side in spec.shape], spec.dtype)
        for spec in graph.inputs
    }
    taken = []
    for _ in range(3):
        graph.run(inputs)
        start_s = time.process_time()
        time.sleep(0.05)
        taken.append((time.process_time() - start_s) / 0.05)
    assert min(taken) < 0.2  # 2.0 where three graphs leave a thread each waiting in circles


@pytest.mark.parametrize(
    ("live", "prior", "cores", "threads", "host"),
    [
        (True, PriorChoice.ALIGNMENT, 2, 2, HostThreads(spinning=False)),
        (True, PriorChoice.ALIGNMENT, 4, 2, HostThreads(apart=True)),  # a core for alignment too
        (True, PriorChoice.ALIGNMENT, 2, 1, HostThreads(spinning=False, apart=True, cores=(9,))),
        (True, PriorChoice.ALIGNMENT, 3, 2, HostThreads(apart=True, cores=(9, 10))),
        (True, PriorChoice.NONE, 2, 2, HostThreads()),  # there is nothing beside
        (False, PriorChoice.ALIGNMENT, 2, 2, HostThreads()),  # one after the other
        (False, PriorChoice.ALIGNMENT, 2, 1, HostThreads()),
    ],
)
def test_a_live_flight_has_its_graphs_beside_it_where_there_are_the_cores(
    monkeypatch, live, prior, cores, threads, host
):
    class OpenedError(Exception):
        pass

    def opened(bundle, *given, host):
        raise OpenedError(host)

    monkeypatch.setattr(edge.cores, "usable_cores", lambda: cores)
    monkeypatch.setattr(
        os,
        "sched_getaffinity",
        lambda pid: set(range(10 - cores + 1, 11) if cores == 3 else (8, 9)),
        raising=False,
    )
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: None, raising=False)
    monkeypatch.setattr(edge.assembly.Localizer, "open", opened)
    reserved = []
    monkeypatch.setattr(edge.assembly.Aligner, "reserve", lambda self: reserved.append(self))
    bundle = Bundle.open(shipped_bundle_path())
    choice = ExecutorChoice(threads=threads)
    with pytest.raises(OpenedError) as caught:
        assemble(bundle, object(), lambda cache: cache, prior=prior, live=live, executor=choice)
    assert caught.value.args == (host,)
    aligned = prior is PriorChoice.ALIGNMENT
    assert len(reserved) == (live and aligned), "a live flight has its memory before it begins"


@pytest.mark.parametrize(
    ("executor", "precision"), [("reference", "fp32"), ("onnxruntime", "fp16")]
)
def test_a_localizer_that_is_not_in_parts_leaves_the_cores_to_all(monkeypatch, executor, precision):
    """Nothing of it would run on the cores that the others were kept from."""
    monkeypatch.setattr(edge.cores, "usable_cores", lambda: 2)
    bundle = Bundle.open(shipped_bundle_path())
    assert precision in bundle.precisions
    choice = ExecutorChoice(executor, precision, threads=1)
    assert edge.assembly._shares(bundle, choice) is None
    assert edge.assembly._shares(bundle, ExecutorChoice(threads=1)) is not None
    assert edge.assembly._host_threads(False, None) == HostThreads()
