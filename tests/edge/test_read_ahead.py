"""Stored windows are read beside the frame path, before a frame asks for them."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
from stored_features import check, fill, reader

import edge.assembly
from edge.assembly import PriorChoice, assemble
from edge.bundle import Bundle, shipped_bundle_path
from edge.errors import FeatureStoreError
from edge.feature_cache import FeatureCache
from edge.read_ahead import PREPARED, ReadAhead
from edge.tiles.lattice import WindowPlace, around, nearest, within
from edge.types import FramePose
from edge.window_choice import MOST_AHEAD, LatticeWindows


class Noted:
    """A store in memory that notes which thread reads which window."""

    def __init__(self, *names):
        self.windows = {name: object() for name in names}
        self.reads = []
        self.may_read = threading.Event()
        self.may_read.set()

    def __contains__(self, name):
        return name in self.windows

    def read(self, name):
        self.reads.append((name, threading.current_thread().name))
        if threading.current_thread().name == "read ahead":
            assert self.may_read.wait(5)
        if self.windows[name] is None:
            raise FeatureStoreError("corrupt", expected="a", found="b", do="c")
        return self.windows[name]

    def take(self):
        reads, self.reads = self.reads, []
        return reads


BESIDE, FRAME = "read ahead", threading.main_thread().name


@pytest.fixture
def opened():
    """`opened(store)`: reads ahead, closed at the end."""
    made = []

    def of(store, prepare=None):
        made.append(ReadAhead(store, prepare))
        return made[-1]

    yield of
    for each in made:
        each.close()


def test_what_is_expected_is_read_beside_and_only_taken_by_the_frame(opened):
    store = Noted("a", "b", "c")
    ahead = opened(store)
    ahead.expect(["a", "elsewhere", "b"])
    assert ahead.wait(5)
    assert store.take() == [("a", BESIDE), ("b", BESIDE)]
    assert ahead.read("a") is store.windows["a"] and store.take() == []
    assert ahead.read("c") is store.windows["c"] and store.take() == [("c", FRAME)]
    assert "c" in ahead and "elsewhere" not in ahead


def test_what_was_taken_is_let_go_of_and_not_read_again(opened):
    store = Noted("a", "b")
    ahead = opened(store)
    ahead.expect(["a", "b"])
    assert ahead.wait(5)
    ahead.read("a")
    store.take()
    assert ahead.wait(5) and store.take() == []
    ahead.read("a")
    assert store.take() == [("a", FRAME)]


def test_what_is_no_longer_expected_is_let_go_of(opened):
    store = Noted("a", "b", "c")
    ahead = opened(store)
    ahead.expect(["a", "b"])
    assert ahead.wait(5)
    ahead.expect(["b", "c"])
    assert ahead.wait(5)
    assert store.take() == [("a", BESIDE), ("b", BESIDE), ("c", BESIDE)]  # "b" stays
    ahead.read("a")
    assert store.take() == [("a", FRAME)]


def test_a_frame_never_waits_for_a_window_that_is_being_read(opened):
    store = Noted("a")
    ahead = opened(store)
    store.may_read.clear()
    ahead.expect(["a"])
    while not store.reads:
        pass
    assert not ahead.wait(0.01)
    assert ahead.read("a") is store.windows["a"]
    assert store.take() == [("a", BESIDE), ("a", FRAME)]
    store.may_read.set()
    assert ahead.wait(5)
    ahead.read("a")
    assert store.take() == [("a", FRAME)], "what came too late is not kept"


def test_a_broken_window_is_left_to_the_frame_that_needs_it(opened):
    store = Noted("broken", "whole")
    store.windows["broken"] = None
    ahead = opened(store)
    ahead.expect(["broken", "whole"])
    assert ahead.wait(5)
    assert store.take() == [("broken", BESIDE), ("whole", BESIDE)]  # once, and on it goes
    with pytest.raises(FeatureStoreError, match="corrupt"):
        ahead.read("broken")
    assert ahead.read("whole") is store.windows["whole"]


def test_a_real_store_gives_the_same_window_either_way(tmp_path, opened):
    with reader(fill(tmp_path / "store", range(3))) as store:
        ahead = opened(store)
        ahead.expect(["z19/x512/y1024"])
        assert ahead.wait(5)
        check(ahead.read("z19/x512/y1024"), 1)
        check(ahead.read("z19/x1024/y1024"), 2)
        ahead.close()


class Told:
    """Keeps what it is told to expect."""

    def __init__(self):
        self.names = None

    def expect(self, window_ids):
        self.names = list(window_ids)


def test_the_windows_around_those_of_a_frame_are_expected_but_not_what_is_at_hand(parts):
    grid, told = parts.PlainGrid(), Told()
    cache = FeatureCache(parts.FakeLocalizer(), grid, ahead=told)
    windows = LatticeWindows(cache, grid)
    position = grid.lon_lat_deg(1500, 1500)
    here = nearest(grid, position)
    steps = [(x, y) for y in (-512, 0, 512) for x in (-512, 0, 512) if (x, y) != (0, 0)]
    middle = here.left_px + 512 - parts.LEFT_PX, here.top_px + 512 - parts.TOP_PX
    steps.sort(key=lambda step: math.dist(np.add(middle, step), (1500, 1500)))
    near = [grid.window_id(here.left_px + x, here.top_px + y) for x, y in steps]
    many = windows.choose(FramePose(grid.lon_lat_deg(2000, 2000), sigma_m=300)).places
    assert len(told.names) == MOST_AHEAD + len(many)
    choice = windows.choose(FramePose(position))
    assert told.names == [*near, grid.window_id(here.left_px, here.top_px)]
    cache.get(WindowPlace(here.left_px + steps[0][0], here.top_px + steps[0][1]))
    choice.feature(choice.places[0])
    windows.choose(FramePose(position))
    assert told.names == near[1:]


def test_a_flight_across_the_map_reads_only_its_first_windows_itself(parts, opened):
    """Each frame is 100 px further on; few windows are held, as in a long flight."""
    grid = parts.PlainGrid()
    names = [
        grid.window_id(parts.LEFT_PX + 512 * x, parts.TOP_PX + 512 * y)
        for x in range(-1, 8)
        for y in range(-1, 8)
    ]
    store = Noted(*names)
    ahead = opened(store)
    windows = LatticeWindows(FeatureCache(None, grid, store=ahead, ahead=ahead, capacity=4), grid)
    itself = []
    for step in range(24):
        at = 800 + 100 * step
        choice = windows.choose(FramePose(grid.lon_lat_deg(at, at), sigma_m=20.0))
        for place in choice.places:
            choice.feature(place)
        itself.append([name for name, thread in store.take() if thread == FRAME])
        assert ahead.wait(5)
    assert itself[0] and not any(itself[1:])


def test_nothing_beyond_the_map_is_expected_and_nothing_twice(parts):
    grid = parts.PlainGrid(side_px=1024)
    places = within(grid, grid.lon_lat_deg(300, 300), 30.0)
    assert len(places) > 1
    found = list(around(grid, places))
    assert len(set(found)) == len(found) and not set(found) & set(places)
    left, top = parts.LEFT_PX, parts.TOP_PX
    every = {WindowPlace(left + 512 * x, top + 512 * y) for x in range(-1, 2) for y in range(-1, 2)}
    assert set(found) <= every - set(places)


@pytest.mark.parametrize(("live", "stored"), [(True, True), (True, False), (False, True)])
def test_only_a_live_run_with_a_store_reads_ahead(parts, monkeypatch, live, stored):
    grid, store = parts.PlainGrid(), Noted()
    monkeypatch.setattr(edge.assembly.Localizer, "open", lambda *a, **k: parts.FakeLocalizer())
    assembly = assemble(
        Bundle.open(shipped_bundle_path()),
        grid,
        lambda cache: LatticeWindows(cache, grid),
        store=store if stored else None,
        prior=PriorChoice.NONE,
        live=live,
    )
    running = {thread.name for thread in threading.enumerate()}
    assert (assembly.ahead is not None) == (BESIDE in running) == (live and stored)
    assembly.close()
    assert BESIDE not in {thread.name for thread in threading.enumerate()}


class Prepared:
    """Notes what it is asked to prepare, by which thread; refuses one."""

    def __init__(self, refused=None):
        self.calls, self.refused = [], refused

    def __call__(self, feature):
        self.calls.append((feature, threading.current_thread().name))
        if feature is self.refused:
            raise FeatureStoreError("of another model", expected="a", found="b", do="c")


def test_the_nearest_are_prepared_once_read(opened):
    names = [f"w{n}" for n in range(PREPARED + 2)]
    store = Noted(*names)
    prepare = Prepared(refused=store.windows["w1"])
    ahead = opened(store, prepare)
    ahead.expect(names)
    assert ahead.wait(5)
    assert {name for name, _ in store.take()} == set(names)
    assert prepare.calls == [(store.windows[name], BESIDE) for name in names[:PREPARED]]
    ahead.expect(names[::-1])  # others have come nearer
    assert ahead.wait(5)
    nearest = names[::-1][:PREPARED]  # those that are ready already are asked for again: they stay
    assert [feature for feature, _ in prepare.calls[PREPARED:]] == [
        store.windows[name] for name in nearest
    ]
    ahead.expect([nearest[1], nearest[0], *names[::-1][2:]])
    assert ahead.wait(5)
    assert len(prepare.calls) == 2 * PREPARED, "the same ones in another order"
    assert store.take() == []
    assert ahead.read("w0") is store.windows["w0"]
    ahead.expect(["w0"])  # forgotten meanwhile: read and prepared anew
    assert ahead.wait(5)
    assert store.take() == [("w0", BESIDE)] and prepare.calls[-1][0] is store.windows["w0"]


def test_a_live_run_prepares_windows_for_its_localizer(parts, monkeypatch):
    localizer, grid, store = parts.FakeLocalizer(), parts.PlainGrid(), Noted("a")
    localizer.prepare = Prepared()
    monkeypatch.setattr(edge.assembly.Localizer, "open", lambda *a, **k: localizer)
    bundle, given = Bundle.open(shipped_bundle_path()), {"store": store, "prior": PriorChoice.NONE}
    assembly = assemble(bundle, grid, lambda cache: LatticeWindows(cache, grid), live=True, **given)
    try:
        assembly.ahead.expect(["a"])
        assert assembly.ahead.wait(5)
    finally:
        assembly.close()
    assert localizer.prepare.calls == [(store.windows["a"], BESIDE)]


@pytest.mark.parametrize("faulty", ["read", "prepare"])
def test_a_fault_of_the_program_itself_is_raised_in_the_frame_path(opened, faulty):
    store, fault = Noted("a", "b"), ZeroDivisionError("a slip")

    def fail(_):
        raise fault

    if faulty == "read":
        store.read = fail
    ahead = opened(store, prepare=fail)
    ahead.expect(["a"])
    assert ahead.wait(5)
    with pytest.raises(ZeroDivisionError, match="a slip"):
        ahead.expect(["b"])
    if faulty == "prepare":  # what was read before is still good
        assert ahead.read("a") is store.windows["a"]
